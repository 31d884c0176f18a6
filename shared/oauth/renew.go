package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// SecretMaker is broker.ValueMaker for the secret of a client that was registered
// with a provider by hand (RFC 7592). Beside the secret, the same object in the
// store holds what the registration gave for its own management:
//
//	{"client_secret": "...", "registration_client_uri": "https://...", "registration_access_token": "..."}
//
// What a provider gives in their place is kept with the rotation from then on.
//
// A provider has one secret of a client: with the new one, the one before is
// over. So nothing can be withdrawn; a new secret that was not stored is found
// again by the next attempt, because the registration is read before it is changed.
type SecretMaker struct {
	HTTP     func(networks []netip.Prefix) *http.Client
	Provider func(ctx context.Context, environment, name string) (broker.Provider, error)
	// Read reads members of the object that holds the secret; the plan's own is "".
	Read     func(ctx context.Context, p broker.Provider, m broker.Making, members ...string) (map[string]secret.Value, error)
	Now      func() time.Time
	Loopback bool
}

const (
	managedAt   = "registration_client_uri"
	managedWith = "registration_access_token"
)

// Make implements broker.ValueMaker.
func (s *SecretMaker) Make(ctx context.Context, m broker.Making) (broker.Made, error) {
	p, err := s.Provider(ctx, m.Plan.Environment, m.Plan.Provider)
	if err != nil {
		return broker.Made{}, fmt.Errorf("read the provider: %w", err)
	}
	at, err := s.management(ctx, p, m)
	if err != nil {
		return broker.Made{}, err
	}
	present, err := s.Read(ctx, p, m, "")
	if err != nil {
		return broker.Made{}, fmt.Errorf("read the client's secret: %w", err)
	}
	value, after, err := New(s.HTTP(p.Networks), s.Now, s.Loopback).renewSecret(ctx, at, present[""])
	if err != nil {
		return broker.Made{}, refusedBy(err)
	}
	keep, err := json.Marshal(map[string]string{managedAt: after.URL, managedWith: after.Token.Reveal()})
	return broker.Made{Value: value, Keep: secret.New(string(keep))}, err
}

// Withdraw implements broker.ValueMaker: it says that it cannot be done.
func (s *SecretMaker) Withdraw(context.Context, broker.Making, broker.Made) error {
	return fmt.Errorf("%w: a provider does not take a client's new secret back", broker.ErrProviderRefused)
}

// Retire implements broker.ValueMaker: the one before was over with the new one.
func (s *SecretMaker) Retire(context.Context, broker.Making, secret.Value) error { return nil }

// management is where and with what the registration is changed: as the rotation
// before has left it, or as the store has it.
func (s *SecretMaker) management(ctx context.Context, p broker.Provider, m broker.Making) (Registration, error) {
	members, err := m.Kept.Members()
	if m.Kept.IsZero() {
		members, err = s.Read(ctx, p, m, managedAt, managedWith)
	}
	if err != nil {
		return Registration{}, fmt.Errorf("read how the registration is managed: %w", err)
	}
	return Registration{URL: members[managedAt].Reveal(), Token: members[managedWith]}, nil
}

// refusedBy says whether another attempt may come to something else. One after an
// unknown outcome does: it reads what the registration has before it changes that.
func refusedBy(err error) error {
	kind := broker.ErrProviderRefused
	if errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrTransient) {
		kind = broker.ErrUnavailable
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// renewSecret has the provider issue another secret. Present is the one that is
// known; where the registration has another by now, an answer was lost before,
// and that one is it.
func (r *Requester) renewSecret(ctx context.Context, at Registration, present secret.Value) (secret.Value, Registration, error) {
	const reading, changing = "read the client's registration", "renew the client's secret"
	o, at, err := r.manage(ctx, reading, http.MethodGet, at, nil)
	if err != nil {
		var f *Fault
		if errors.As(err, &f) && errors.Is(err, ErrOutcomeUnknown) { // reading changes nothing
			f.Kind = ErrTransient
		}
		return secret.Value{}, at, err
	}
	now, ok := o.text("client_secret")
	if !ok {
		return secret.Value{}, at, fault(reading, ErrRefused, "the client's secret")
	}
	if now != "" && !secret.New(now).Equal(present) {
		return newSecret(reading, now, at)
	}
	metadata := map[string]json.RawMessage{}
	for name, raw := range o.members {
		metadata[name] = json.RawMessage(raw)
	}
	for _, own := range []string{managedAt, managedWith, "client_secret", "client_secret_expires_at", "client_id_issued_at"} {
		delete(metadata, own) // RFC 7592, 2.2: these are not the client's to say
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		return secret.Value{}, at, fault(changing, ErrRefused, "the client's metadata")
	}
	o, at, err = r.manage(ctx, changing, http.MethodPut, at, body)
	if err != nil {
		return secret.Value{}, at, err
	}
	now, ok = o.text("client_secret")
	if !ok || now == "" || secret.New(now).Equal(present) {
		return secret.Value{}, at, fault(changing, ErrRefused, "the provider keeps the secret as it is")
	}
	return newSecret(changing, now, at)
}

func newSecret(doing, text string, at Registration) (secret.Value, Registration, error) {
	if len(text) > maxClient || !printable(text) {
		return secret.Value{}, at, fault(doing, ErrOutcomeUnknown, "the client's secret")
	}
	return secret.New(text), at, nil
}

// manage makes one request about the registration, and gives with what the next
// one is to be made: a provider may change its token, and its address within its
// origin, with any answer.
func (r *Requester) manage(ctx context.Context, doing, method string, at Registration, body []byte) (object, Registration, error) {
	if !r.isEndpoint(at.URL) || at.Token.IsZero() || !visible(at.Token.Reveal()) {
		return object{}, at, fault(doing, ErrInvalid, "the registration's own address or token")
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, at.URL, bytes.NewReader(body))
	if err != nil {
		return object{}, at, fault(doing, ErrInvalid, "the registration's own address")
	}
	req.Header.Set("Authorization", "Bearer "+at.Token.Reveal())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	got, sent, err := r.send(req)
	switch {
	case err != nil && got.status == 0:
		return object{}, at, unanswered(ctx, doing, sent)
	case got.status >= 500 && method != http.MethodGet:
		return object{}, at, fault(doing, ErrOutcomeUnknown, "the provider failed")
	case got.status != http.StatusOK:
		return object{}, at, refusal(doing, got, errorCode(got), Quirks{})
	}
	o, ok := parse(got.body)
	address, fine := o.text(managedAt)
	token, whole := o.text(managedWith)
	if err != nil || !ok || !got.json || !fine || !whole || len(token) > maxToken || !printable(token) || address != "" && (!r.isEndpoint(address) || !sameOrigin(address, at.URL)) {
		return object{}, at, fault(doing, ErrOutcomeUnknown, "the answer is not one JSON object about the registration")
	}
	if address != "" {
		at.URL = address
	}
	if token != "" {
		at.Token = secret.New(token)
	}
	return o, at, nil
}

// sameOrigin reports whether two addresses, both endpoints, are of one server. The
// token of a registration goes nowhere else, and opened networks are for no other.
func sameOrigin(a, b string) bool {
	x, bad := url.Parse(a)
	y, worse := url.Parse(b)
	return bad == nil && worse == nil && x.Scheme == y.Scheme && strings.EqualFold(x.Host, y.Host)
}
