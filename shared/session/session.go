// Package session hands out MCP session ids that only their owner can use, for
// the revisions before 2026-07-28.
//
// The id that an upstream gives is never shown to the client. The client gets
// it wrapped: sealed together with what the session began with (binding,
// revision, the client's capabilities, an expiry) and bound to environment,
// server, origin, principal and agent. Whoever presents the id as somebody
// else, at another server, or altered by one bit, learns that it is unknown and
// nothing more. All processes seal under the same keys, one for each day, so a
// session lives in its id alone, and any process can serve it.
//
// An id has exactly one spelling: what is revoked by the digest of an id cannot
// come back in other letters.
//
// The same keys seal what a question of Bindery's own carries through a client of
// 2026-07-28 until its answer comes back (state.go).
//
// The package never stores a session, never takes an id for proof of who calls
// (the owner comes from the verified token), never says why an id is unknown,
// and cannot tell whether the upstream has ended the session meanwhile.
package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// Life is how long an id can be used. Clients do not begin a new session by
// themselves when one ends, so it is generous.
const Life = 7 * 24 * time.Hour

// ErrUnknown says that an id is not a living one of this owner. It never says
// more: forged, altered, expired and somebody else's look alike.
var ErrUnknown = errors.New("unknown session")

// Owner is whom and what an id is bound to, besides the environment. All of it
// is derived from the token and the catalogue, never from the id.
type Owner struct {
	Server    string
	Origin    string // digest of the upstream's origin
	Principal string
	Agent     string // empty: a principal without agent
}

// Session is what an id carries.
type Session struct {
	Upstream     string // the upstream's own id; empty: the upstream keeps no sessions
	Binding      string
	Version      string   // the protocol revision that initialize proposed
	Capabilities []string // of the client, by short names such as "elicitation.url"
	Expires      time.Time
}

// Sessions wraps and unwraps the ids of one environment. It is safe for
// concurrent use.
type Sessions struct {
	environment string
	now         func() time.Time
	keys        *keyring
	base64      *base64.Encoding
}

// New makes Sessions. It reads no key before the first id.
func New(rows broker.RollingKeys, sealer broker.Sealer, environment string, now func() time.Time) *Sessions {
	return &Sessions{
		environment: environment, now: now,
		keys:   &keyring{rows: rows, sealer: sealer, environment: environment, now: now, days: map[int64]*dayKey{}},
		base64: base64.RawURLEncoding.Strict(),
	}
}

// Ready fails as Wrap would where the key of the day cannot be had, so that
// nobody begins at an upstream what could not be given out.
func (s *Sessions) Ready(ctx context.Context) error {
	now := s.now()
	_, err := s.keys.get(ctx, dayOf(now), now)
	return err
}

// Wrap makes the id that the client gets. It is visible ASCII, at most
// MaxLength bytes long, and expires after Life, whatever v.Expires says. It
// fails with broker.ErrInvalid for what an id cannot carry, and as Unwrap does
// when the key of the day cannot be had.
func (s *Sessions) Wrap(ctx context.Context, o Owner, v Session) (string, error) {
	if err := check(o, v); err != nil {
		return "", err
	}
	now := s.now()
	v.Expires = now.Add(Life)
	day := dayOf(now)
	key, err := s.keys.get(ctx, day, now)
	if err != nil {
		return "", err
	}
	// One buffer in four parts: what the box is bound to, what goes into it, the
	// raw id that ends in it, and the text of the id.
	bound, plain := s.boundSize(o), plainSize(v)
	raw := dayBytes + plain + key.Overhead()
	buffer := make([]byte, 0, bound+plain+raw+len(prefix)+s.base64.EncodedLen(raw))
	buffer = s.appendBound(buffer, o, day)
	buffer = appendPlain(buffer, v)
	buffer = appendDay(buffer, day)
	buffer = key.Seal(buffer, nil, buffer[bound:bound+plain], buffer[:bound])
	start := len(buffer)
	buffer = append(buffer, prefix...)
	buffer = s.base64.AppendEncode(buffer, buffer[bound+plain:start])
	return string(buffer[start:]), nil
}

// Unwrap reads an id that Wrap made for the same owner. It fails with
// ErrUnknown for every other text and when the id is expired, with
// broker.ErrUnavailable when its key could not be read, and with
// broker.ErrKeyUnavailable when KMS refuses the key. An id that cannot be a
// living one costs no read.
func (s *Sessions) Unwrap(ctx context.Context, o Owner, id string) (Session, error) {
	if !spelled(id) {
		return Session{}, ErrUnknown
	}
	// One buffer in three parts: what the box is bound to, the raw id, and what
	// was in the box.
	text, bound := id[len(prefix):], s.boundSize(o)
	raw := s.base64.DecodedLen(len(text))
	buffer := make([]byte, bound+raw, bound+raw+raw)
	if _, err := s.base64.Decode(buffer[bound:], []byte(text)); err != nil {
		return Session{}, ErrUnknown
	}
	now := s.now()
	day := readDay(buffer[bound:])
	key, err := s.keys.get(ctx, day, now)
	if err != nil {
		return Session{}, err
	}
	s.appendBound(buffer[:0], o, day)
	plain, err := key.Open(buffer[bound+raw:], nil, buffer[bound+dayBytes:], buffer[:bound])
	if err != nil {
		return Session{}, ErrUnknown
	}
	v, ok := readPlain(string(plain))
	if !ok || !now.Before(v.Expires) {
		return Session{}, ErrUnknown
	}
	return v, nil
}

// check refuses what an id cannot carry, and an owner that would bind it to
// too little.
func check(o Owner, v Session) error {
	if err := o.check(); err != nil {
		return err
	}
	if !visible(v.Upstream, 0, maxUpstream) {
		return fmt.Errorf("%w session: the upstream's id must have at most %d characters of visible ASCII", broker.ErrInvalid, maxUpstream)
	}
	if err := broker.CheckName("binding of the session", v.Binding); err != nil {
		return err
	}
	if !visible(v.Version, 1, maxVersion) {
		return fmt.Errorf("%w session: the revision must have 1 to %d characters of visible ASCII", broker.ErrInvalid, maxVersion)
	}
	if len(v.Capabilities) > maxCapabilities {
		return fmt.Errorf("%w session: it has more than %d capabilities", broker.ErrInvalid, maxCapabilities)
	}
	for _, c := range v.Capabilities {
		if !visible(c, 1, maxCapability) {
			return fmt.Errorf("%w session: a capability must have 1 to %d characters of visible ASCII", broker.ErrInvalid, maxCapability)
		}
	}
	return nil
}

func (o Owner) check() error {
	if o.Server == "" || o.Origin == "" || o.Principal == "" {
		return fmt.Errorf("%w session: its owner needs a server, an origin and a principal", broker.ErrInvalid)
	}
	return nil
}

// visible reports that text has min to max characters of visible ASCII, which
// is what MCP allows in a session id.
func visible(text string, min, max int) bool {
	if len(text) < min || len(text) > max {
		return false
	}
	for i := range len(text) {
		if text[i] < 0x21 || text[i] > 0x7e {
			return false
		}
	}
	return true
}
