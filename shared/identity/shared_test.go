package identity

import (
	"errors"
	"sync"
	"testing"
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

func TestSharedRowsDownDoNotTakeIdentityDownNorLiftTheBound(t *testing.T) {
	w := newWorld(t, nil)
	var reports []error
	w.rows.down = errors.Join(broker.ErrUnavailable)
	w.Verifier = w.process(func(c *Config) { c.Report = func(_ string, err error) { reports = append(reports, err) } })
	w.accepts(w.token(nil))
	start := w.clock.now()
	for w.clock.now().Sub(start) < 2*fetchInterval {
		w.refuses(w.idp.Sign("k1", map[string]any{"kid": "unknown"}, w.claims(nil)), KeyUnknown)
		w.clock.pass(time.Second)
	}
	if n := w.fetches(); n > 3 {
		t.Errorf("%d fetches in two intervals, want at most 3", n)
	}
	if len(reports) == 0 {
		t.Error("nobody was told")
	}
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
		w.idp.Down()
		w.unavailable(w.process(nil), w.token(nil))
	})
	t.Run("the row of another issuer", func(t *testing.T) {
		w, row := seed(t)
		other, otherRow := seed(t)
		otherRow.Issuer = row.Issuer
		w.rows.sets["prod "+w.idp.Issuer()] = otherRow
		w.idp.Down()
		w.unavailable(w.process(nil), other.token(map[string]any{"iss": w.idp.Issuer()}))
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
		w.idp.Down()
		w.unavailable(w.process(nil), w.token(nil))
	})
	t.Run("a set from the future", func(t *testing.T) {
		w, _ := seed(t)
		w.clock.pass(-time.Hour)
		w.idp.Down()
		w.unavailable(w.process(nil), w.token(nil))
	})
}
