package identity

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
	"bindery/shared/secret"
)

const publicURL = "https://bindery.example"

var github = broker.Route{Environment: "prod", Server: "github"}

// clock is the time of a test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

// rows is a broker.KeySets in memory, shared by the processes of a test.
type rows struct {
	mu      sync.Mutex
	sets    map[string]broker.KeySet
	claimed map[string]time.Time
	down    error
	loads   int
	claims  int // asked
	granted int
}

func newRows() *rows {
	return &rows{sets: map[string]broker.KeySet{}, claimed: map[string]time.Time{}}
}

func (r *rows) LoadKeys(_ context.Context, environment, issuer string) (broker.KeySet, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads++
	k, ok := r.sets[environment+" "+issuer]
	switch {
	case r.down != nil:
		return broker.KeySet{}, r.down
	case !ok:
		return broker.KeySet{}, broker.ErrNotFound
	}
	return k, nil
}

func (r *rows) ClaimFetch(_ context.Context, environment, issuer string, now, notSince time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claims++
	if r.down != nil {
		return false, r.down
	}
	if last, ok := r.claimed[environment+" "+issuer]; ok && last.After(notSince) && !last.After(now.Add(broker.ClockSkew)) {
		return false, nil
	}
	r.claimed[environment+" "+issuer] = now
	r.granted++
	return true, nil
}

func (r *rows) SaveKeys(_ context.Context, k broker.KeySet) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := k.Environment + " " + k.Issuer
	if there := r.sets[id].Fetched; r.down == nil && (there.Before(k.Fetched) || there.After(k.Fetched.Add(broker.ClockSkew))) {
		r.sets[id] = k
	}
	return r.down
}

// sealer binds a text to its context as a real one does, without hiding it.
type sealer struct{ down error }

func (s sealer) Seal(_ context.Context, c broker.SealContext, plain secret.Value) ([]byte, error) {
	if s.down != nil {
		return nil, s.down
	}
	return json.Marshal([]string{c.Environment, c.Purpose, c.Origin, c.ID, plain.Reveal()})
}

func (s sealer) Open(_ context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	var parts []string
	if err := json.Unmarshal(sealed, &parts); err != nil || s.down != nil || len(parts) != 5 ||
		parts[0] != c.Environment || parts[1] != c.Purpose || parts[2] != c.Origin || parts[3] != c.ID {
		return secret.Value{}, errors.Join(s.down, broker.ErrKeyUnavailable)
	}
	return secret.New(parts[4]), nil
}

// world is one deployment: an issuer, a clock, shared rows and one process.
type world struct {
	*testing.T
	idp   *idp.Server
	clock *clock
	rows  *rows
	doc   *Document
	*Verifier
}

// newWorld trusts the fake issuer under the name "corp". edit changes the
// issuer's entry in the document.
func newWorld(t *testing.T, edit map[string]any) *world {
	t.Helper()
	w := &world{T: t, idp: idp.New(t), clock: newClock(), rows: newRows()}
	w.doc = document(t, entry(w.idp, edit))
	w.Verifier = w.process(nil)
	return w
}

// entry is the document's entry for a fake issuer.
func entry(s *idp.Server, edit map[string]any) map[string]any {
	e := map[string]any{
		"name": "corp", "issuer": s.Issuer(), "kind": "user", "environments": []string{"prod"},
		"algorithms": []string{"ES256", "RS256"}, "claims": map[string]any{"email": "email", "groups": "groups"},
	}
	maps.Copy(e, edit)
	return e
}

func document(t testing.TB, entries ...map[string]any) *Document {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"issuers": entries})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(raw, true)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// process starts another process of the deployment.
func (w *world) process(edit func(*Config)) *Verifier {
	w.Helper()
	c := Config{
		Document: w.doc, Environment: "prod", PublicURL: publicURL, HTTP: w.idp.Client(),
		KeySets: w.rows, Sealer: sealer{}, Now: w.clock.now,
	}
	if edit != nil {
		edit(&c)
	}
	v, err := New(c)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

// claims of an ordinary good token; a nil value removes a claim.
func (w *world) claims(edit map[string]any) map[string]any {
	now := w.clock.now().Unix()
	c := map[string]any{
		"iss": w.idp.Issuer(), "sub": "alice", "client_id": "cli", "aud": publicURL + "/mcp/prod/github",
		"exp": now + 600, "iat": now, "nbf": now, "email": "alice@corp.example",
	}
	maps.Copy(c, edit)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func (w *world) token(edit map[string]any) string { return w.idp.Sign("k1", nil, w.claims(edit)) }

func (w *world) verify(token string) (broker.Principal, error) { return ask(w.Verifier, token) }

func ask(v *Verifier, token string) (broker.Principal, error) {
	return v.Verify(context.Background(), request("Bearer "+token), github)
}

func request(authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, publicURL+"/mcp/prod/github", strings.NewReader("{}"))
	r.Header["Authorization"] = authorization
	return r
}

func (w *world) accepts(token string) broker.Principal {
	w.Helper()
	p, err := w.verify(token)
	if err != nil {
		w.Fatalf("refused: %v", err)
	}
	return p
}

func (w *world) refuses(token string, want Reason) {
	w.Helper()
	refused(w.T, w.Verifier, token, want)
}

func refused(t *testing.T, v *Verifier, token string, want Reason) {
	t.Helper()
	p, err := ask(v, token)
	if !errors.Is(err, ErrInvalidToken) || ReasonOf(err) != want || p.ID != "" {
		t.Errorf("got %q, %v; want refused with reason %s", p.ID, err, want)
	}
}
