package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// State is what a question of Bindery's carries through the client that it was
// put to: which call it interrupted, and the link that was shown. It comes back
// with the answer, and opens for the same owner only.
type State struct {
	Call    string // digest of the call
	Need    string // digest of what was asked for
	Refused string // version of the credential that the upstream did not accept, or empty
	Link    string
	Expires time.Time
}

// The text of a state: like that of an id, without "b1.", bound to the format
// below in the place of the id's. In the box:
//
//	8 bytes  expiry in seconds since 1970, big-endian
//	texts    call, need, refused, link, each after its length in two bytes
const (
	stateFormat = "q1."

	maxStateText = 2048
	maxState     = ((dayBytes+overhead+8+4*(2+maxStateText))*8 + 5) / 6
)

// SealState makes the text of a state. It fails as Wrap does.
func (s *Sessions) SealState(ctx context.Context, o Owner, v State) (string, error) {
	if err := o.check(); err != nil {
		return "", err
	}
	if max(len(v.Call), len(v.Need), len(v.Refused), len(v.Link)) > maxStateText || v.Expires.Unix() < 0 {
		return "", fmt.Errorf("%w state: a text of it has more than %d bytes, or it has no end", broker.ErrInvalid, maxStateText)
	}
	now := s.now()
	day := dayOf(now)
	key, err := s.keys.get(ctx, day, now)
	if err != nil {
		return "", err
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(v.Expires.Unix()))
	for _, text := range [...]string{v.Call, v.Need, v.Refused, v.Link} {
		plain = append(binary.BigEndian.AppendUint16(plain, uint16(len(text))), text...)
	}
	return s.base64.EncodeToString(key.Seal(appendDay(nil, day), nil, plain, s.appendBoundTo(nil, stateFormat, o, day))), nil
}

// OpenState reads a text that SealState made for the same owner, and fails as
// Unwrap does.
func (s *Sessions) OpenState(ctx context.Context, o Owner, text string) (State, error) {
	if len(text) > maxState || !visible(text, 1, maxState) {
		return State{}, ErrUnknown
	}
	raw, err := s.base64.DecodeString(text)
	if err != nil || len(raw) < dayBytes+overhead {
		return State{}, ErrUnknown
	}
	now := s.now()
	day := readDay(raw)
	key, err := s.keys.get(ctx, day, now)
	if err != nil {
		return State{}, err
	}
	plain, err := key.Open(nil, nil, raw[dayBytes:], s.appendBoundTo(nil, stateFormat, o, day))
	if err != nil {
		return State{}, ErrUnknown
	}
	r := reader{rest: string(plain)}
	v := State{Expires: time.Unix(int64(r.number(8)), 0).UTC()}
	for _, text := range [...]*string{&v.Call, &v.Need, &v.Refused, &v.Link} {
		*text = r.take(r.number(2))
	}
	if r.short || r.rest != "" || !now.Before(v.Expires) {
		return State{}, ErrUnknown
	}
	return v, nil
}
