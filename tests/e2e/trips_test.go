//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/infra/cost"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/brokertest/idp"
)

// rounds holds every request to the AWS endpoint until the test lets it pass.
// What is held at the same time was sent side by side; each release is one trip
// in sequence.
type rounds struct {
	t       *testing.T
	arrived chan *held
	waiting []*held
	seen    int // rounds

	mu  sync.Mutex
	all []*held
}

type held struct {
	operation string
	body      string
	at        time.Time
	release   chan struct{}
}

// operations are those that a call may need.
var operations = []string{"GetItem", "Query", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "GetSecretValue", "Decrypt", "GenerateDataKey"}

func (d *deployment) rounds() *rounds {
	r := &rounds{t: d.t, arrived: make(chan *held, 100)}
	for _, operation := range operations {
		d.faults.Inject(faultproxy.Rule{Operations: []string{operation}, Times: -1, Effect: r.hold(operation)})
	}
	d.faults.Inject(faultproxy.Rule{Times: -1, Effect: r.hold("another")})
	return r
}

func (r *rounds) hold(operation string) faultproxy.Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*faultproxy.Answer, error)) {
		h := r.under(operation, string(body))
		faultproxy.Gate(func() { <-h.release })(w, body, forward)
	}
}

// under is the request as it is held already, where this is its repetition: a busy
// machine can take longer over a round than a request waits for its answer.
func (r *rounds) under(operation, body string) *held {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.all {
		if h.operation == operation && h.body == body && time.Since(h.at) > patience-quiet && !h.released() {
			return h
		}
	}
	h := &held{operation, body, time.Now(), make(chan struct{})}
	r.all = append(r.all, h)
	r.arrived <- h
	return h
}

func (h *held) released() bool {
	select {
	case <-h.release:
		return true
	default:
		return false
	}
}

const (
	// quiet is how long nothing more may arrive.
	quiet = 100 * time.Millisecond
	// patience is how long a request waits before it is repeated.
	patience = 900 * time.Millisecond
)

// next requires that exactly these operations are under way, side by side.
func (r *rounds) next(want ...string) {
	r.t.Helper()
	r.seen++
	limit := time.After(pending)
	for len(r.waiting) < len(want) {
		select {
		case h := <-r.arrived:
			r.waiting = append(r.waiting, h)
			continue
		case <-limit:
		}
		break
	}
	r.still()
	var got []string
	for _, h := range r.waiting {
		got = append(got, h.operation)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("requests side by side (-want +got):\n%s", diff)
	}
}

// still collects what arrives although nothing was released.
func (r *rounds) still() {
	for {
		select {
		case h := <-r.arrived:
			r.waiting = append(r.waiting, h)
		case <-time.After(quiet):
			return
		}
	}
}

// pass releases the held requests of an operation, or all.
func (r *rounds) pass(operation string) {
	r.waiting = slices.DeleteFunc(r.waiting, func(h *held) bool {
		if operation != "" && h.operation != operation {
			return false
		}
		close(h.release)
		return true
	})
}

// measured makes one call while its trips are watched, and says how many rounds
// it took.
func (d *deployment) measured(account, server string, watch func(*rounds)) (rounds int) {
	d.t.Helper()
	return d.watched(d.request(account, server, legacy, toolCall(legacy)), watch)
}

// watched makes one request while its trips are watched. A stream is hung up on
// when it is open.
func (d *deployment) watched(request *http.Request, watch func(*rounds)) (rounds int) {
	d.t.Helper()
	d.faults.ResetCounts()
	r := d.rounds()
	done := make(chan answer, 1)
	go func() {
		response, err := client.Do(request)
		if err != nil {
			done <- answer{body: err.Error()}
			return
		}
		defer response.Body.Close()
		done <- answer{status: response.StatusCode}
	}()
	watch(r)
	d.faults.Clear() // nothing more is held, whatever was expected
	r.still()
	r.pass("")
	select {
	case a := <-done:
		a.want(d.t, http.StatusOK, "")
	case <-time.After(pending):
		d.t.Error("the call did not end")
	}
	d.served.Stop() // and with it the outcome's write
	d.faults.Clear()
	return r.seen
}

// TestTripsOfACallWithSecretsManager: two in sequence before the upstream,
// three on the whole path, none for the caller's identity. It does not run
// beside other tests.
func TestTripsOfACallWithSecretsManager(t *testing.T) {
	for name, account := range map[string]string{"a token seen before": alice, "a new token, known keys": carol} {
		t.Run(name, func(t *testing.T) {
			d, u := warmed(t)
			d.post(alice, "notes").want(t, http.StatusOK, "") // from here on the version before is known
			took := d.measured(account, "notes", func(r *rounds) {
				r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query")
				r.pass("")
				r.next("BatchGetItem", "GetSecretValue", "PutItem")
				r.pass("GetSecretValue")
				r.still()
				if len(u.arrivals()) != 2 {
					t.Error("the upstream was called before the intent was stored")
				}
				r.pass("")
				r.next("PutItem")
				if len(u.arrivals()) != 3 {
					t.Error("the outcome was written before the upstream was called")
				}
			})
			d.cost(t, cost.Static, took)
		})
	}
}

// TestTripsOfACallWithASealedValue: one more, because a row is read before it
// is opened.
func TestTripsOfACallWithASealedValue(t *testing.T) {
	d, _ := warmed(t)
	u := d.upstream(echo())
	d.server("sealed", u.URL)
	d.sealFor(u, "token")
	d.bind(d.card("sealed", "card", group("dev"), "sealed:token"))
	took := d.measured(alice, "sealed", func(r *rounds) {
		r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query")
		r.pass("")
		r.next("BatchGetItem", "GetItem", "PutItem")
		r.pass("")
		r.next("Decrypt")
		u.untouched(t)
		r.pass("")
		r.next("PutItem")
		if len(u.arrivals()) != 1 {
			t.Error("the upstream was not called")
		}
	})
	d.cost(t, cost.Sealed, took)
}

// TestWhoHasNoIdentityCostsNothing: a thousand tokens with unknown keys, at a
// process that has no keys yet, and then at a second process.
func TestWhoHasNoIdentityCostsNothing(t *testing.T) {
	t.Parallel()
	own := idp.New(t)
	d := deploy(t, func(p *plan) {
		p.issuers = []any{issuer(p.env, map[string]any{"issuer": own.Issuer(), "algorithms": []string{"ES256"}, "agents": "ignored"})}
	})
	u := d.upstream(echo())
	d.simple(u)
	claims := map[string]any{"iss": own.Issuer(), "sub": "mallory", "aud": audience, "groups": []string{"g-dev"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	flood := func() {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 125 {
					forged := own.Sign("k1", map[string]any{"kid": strings.ToLower(time.Now().String())}, claims)
					r := d.request(alice, "notes", legacy, toolCall(legacy))
					r.Header.Set("Authorization", "Bearer "+forged)
					if a := d.send(r); a.status != http.StatusUnauthorized {
						t.Errorf("answered %d %s", a.status, a.body)
					}
				}
			})
		}
		all.Wait()
	}
	flood()
	if n := d.faults.Count("PutItem"); n != 2 {
		t.Errorf("%d rows were written, want the claim to fetch keys and the keys", n)
	}
	d.another()
	flood()
	d.post(alice, "notes", func(r *http.Request) { r.Header.Del("Authorization") }).want(t, http.StatusUnauthorized, authenticateFirst)
	for what, c := range map[string]struct{ got, most int }{
		"discoveries":      {own.Asked(idp.DiscoveryPath), 1},
		"fetches of keys":  {own.Asked(idp.JWKSPath), 1},
		"rows written":     {d.faults.Count("PutItem"), 2},
		"records":          {d.audited(), 0},
		"reads of a table": {d.faults.Count("GetItem") + d.faults.Count("Query") + d.faults.Count("BatchGetItem"), 12},
		"uses of the key":  {d.faults.Count("Decrypt") + d.faults.Count("GenerateDataKey"), 2},
	} {
		if c.got > c.most {
			t.Errorf("%d %s, want at most %d", c.got, what, c.most)
		}
	}
	u.untouched(t)
}
