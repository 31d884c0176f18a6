package identity

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
)

func TestColdProcessStartsFromTheSharedSet(t *testing.T) {
	w := newWorld(t, nil)
	w.accepts(w.token(nil))
	w.idp.Down()
	if _, err := ask(w.process(nil), w.token(nil)); err != nil {
		t.Error(err)
	}
}

func TestRotationSeenByOneProcessServesTheOthers(t *testing.T) {
	w := newWorld(t, nil)
	second := w.process(nil)
	for _, v := range []*Verifier{w.Verifier, second} {
		if _, err := ask(v, w.token(nil)); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.pass(fetchInterval)
	w.idp.Add("k2", "ES256")
	rotated := w.idp.Sign("k2", nil, w.claims(nil))
	for _, v := range []*Verifier{w.Verifier, second} {
		if _, err := ask(v, rotated); err != nil {
			t.Error(err)
		}
	}
	if w.fetches() != 2 {
		t.Errorf("%d fetches for two processes, want 2: the first start and the rotation", w.fetches())
	}
}

func TestManyColdProcessesFetchOnce(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token(nil)
	var all sync.WaitGroup
	for range 20 {
		v := w.process(nil)
		all.Go(func() {
			if _, err := ask(v, token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if w.fetches() != 1 || w.rows.granted != 1 {
		t.Errorf("%d fetches, %d claims granted", w.fetches(), w.rows.granted)
	}
}

func TestSharedRowsDownDoNotTakeIdentityDown(t *testing.T) {
	w := newWorld(t, nil)
	w.idp.Add("k2", "ES256")
	var reports []error
	w.rows.down = broker.ErrUnavailable
	w.Verifier = w.process(func(c *Config) { c.Report = func(_ string, err error) { reports = append(reports, err) } })
	old := w.token(map[string]any{"exp": w.clock.now().Add(24 * time.Hour).Unix()})
	w.accepts(old)
	if len(reports) == 0 {
		t.Error("nobody was told")
	}
	w.idp.Remove("k1")
	w.clock.pass(2*refreshAfter + time.Second)
	w.refuses(old, KeyUnknown) // the bound on a removed key holds
	if n := w.fetches(); n != 2 {
		t.Errorf("%d fetches, want 2: the first start and the set that got too old", n)
	}
}

// Without the claim nothing bounds all processes together, so a process that
// has keys does not fetch.
func TestSharedRowsDownDoNotMultiplyTheFetches(t *testing.T) {
	w := newWorld(t, nil)
	processes := []*Verifier{w.Verifier, w.process(nil), w.process(nil), w.process(nil)}
	for _, v := range processes {
		if _, err := ask(v, w.token(nil)); err != nil {
			t.Fatal(err)
		}
	}
	w.rows.down = broker.ErrUnavailable
	w.clock.pass(fetchInterval)
	start := w.clock.now()
	for w.clock.now().Sub(start) < 2*fetchInterval {
		w.clock.pass(tryInterval)
		for _, v := range processes {
			w.unavailable(v, w.idp.Sign("k1", map[string]any{"kid": "new"}, w.claims(nil))) // it may be good
		}
	}
	if n := w.fetches(); n != 1 {
		t.Errorf("%d fetches over four processes with keys, want 1", n)
	}
	w.rows.down = nil
	w.clock.pass(tryInterval)
	w.refuses(w.idp.Sign("k1", map[string]any{"kid": "new"}, w.claims(nil)), KeyUnknown)
}

func TestSealerDownDoesNotTakeIdentityDown(t *testing.T) {
	w := newWorld(t, nil)
	v := w.process(func(c *Config) { c.Sealer = sealer{down: broker.ErrKeyUnavailable} })
	if _, err := ask(v, w.token(nil)); err != nil {
		t.Error(err)
	}
	if len(w.rows.sets) != 0 {
		t.Error("an unsealed set was shared")
	}
}

// unavailableSoon asks a new process, whose wait for the process that claimed
// the fetch costs the test no time. The claim is taken: no request leaves it.
func (w *world) unavailableSoon(token string) {
	w.Helper()
	synctest.Test(w.T, func(*testing.T) {
		v := w.process(func(c *Config) { c.HTTP = &http.Client{Transport: &http.Transport{DialContext: pipes{}.dial}} })
		w.unavailable(v, token)
	})
}

// A row is only as good as its seal: whoever can write the table must not
// become able to say who anyone is, nor bring back a key that was removed.
func TestForgedSharedRows(t *testing.T) {
	seed := func(t *testing.T) (*world, broker.KeySet) {
		w := newWorld(t, nil)
		w.accepts(w.token(nil))
		return w, w.rows.sets["prod "+w.idp.Issuer()]
	}
	t.Run("not sealed by us", func(t *testing.T) {
		w, row := seed(t)
		row.Sealed = []byte(`{"keys":[]}`)
		w.rows.sets["prod "+w.idp.Issuer()] = row
		w.unavailableSoon(w.token(nil))
	})
	t.Run("the row of another issuer", func(t *testing.T) {
		w, row := seed(t)
		other, otherRow := seed(t)
		otherRow.Issuer = row.Issuer
		w.rows.sets["prod "+w.idp.Issuer()] = otherRow
		w.unavailableSoon(other.token(map[string]any{"iss": w.idp.Issuer()}))
	})
	t.Run("an old set with a new date", func(t *testing.T) {
		w, row := seed(t)
		old := w.token(map[string]any{"exp": w.clock.now().Unix() + 86400})
		w.idp.Add("k2", "ES256")
		w.idp.Remove("k1")
		w.clock.pass(time.Hour)
		row.Fetched = w.clock.now()
		w.rows.sets["prod "+w.idp.Issuer()] = row
		refused(t, w.process(nil), old, KeyUnknown)
	})
	t.Run("the row of another environment", func(t *testing.T) {
		w, _ := seed(t)
		staging := w.process(func(c *Config) {
			c.Document = document(t, entry(w.idp, map[string]any{"environments": []string{"staging"}}))
			c.Environment = "staging"
		})
		if _, err := staging.issuers[0].keys.current(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.rows.sets["prod "+w.idp.Issuer()] = w.rows.sets["staging "+w.idp.Issuer()]
		w.unavailableSoon(w.token(nil))
	})
	t.Run("a set from the future", func(t *testing.T) {
		w, _ := seed(t)
		w.clock.pass(-time.Hour)
		w.idp.Down()
		w.unavailable(w.process(nil), w.token(nil))
	})
}
