package drift

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
)

// stuck is tables of which a row does not decode, whoever reads it.
type stuck struct {
	broker.CatalogueReader
	card   string // empty: all of a server's cards
	grants bool
}

var errStuck = errors.New("made-up: the row does not decode")

func (s stuck) Binding(ctx context.Context, r broker.Route, name string) (broker.Binding, error) {
	if name == s.card {
		return broker.Binding{}, errStuck
	}
	return s.CatalogueReader.Binding(ctx, r, name)
}

func (s stuck) Bindings(ctx context.Context, r broker.Route, p broker.Page) ([]broker.Binding, error) {
	if s.card == "" {
		return nil, errStuck
	}
	return s.CatalogueReader.Bindings(ctx, r, p)
}

func (s stuck) ScanGrants(context.Context, string, string, int) ([]broker.Grant, string, error) {
	return nil, "", &broker.PassedOver{Rows: 1, Err: errStuck}
}

// TestARowThatCannotBeRead keeps the search from nothing else, and closes nothing.
func TestARowThatCannotBeRead(t *testing.T) {
	for name, s := range map[string]stuck{"one card": {card: "poison"}, "the cards of a server": {}, "a consent": {card: "none", grants: true}} {
		w := newWorld(t)
		w.card("github", "poison", "prod/poison")
		dev := w.card("github", "dev", "prod/dev")
		w.vault.set("prod/poison", broker.ErrStoreDenied)
		w.expires(&dev, time.Hour)
		w.grant(&dev, w.now().Add(time.Hour))
		w.scan()
		w.told()
		before := w.open()
		w.pass(time.Minute)
		w.vault.set("prod/dev", broker.ErrSecretMissing)
		w.rotation(broker.RotationUndone)
		s.CatalogueReader = w.db
		scanner := w.scanner()
		scanner.Catalogue = s
		if s.grants {
			scanner.Grants = s
		}
		for range 2 {
			if r, err := scanner.Run(t.Context()); err != nil || !r.Done || r.Unread != 1 {
				t.Fatalf("%s: %+v, %v", name, r, err)
			}
			w.pass(time.Hour - 2*time.Minute)
		}
		after := strings.Join(w.open(), ", ")
		for _, is := range append(before, "missing reference/aws-sm:prod/dev", "rotation reference/aws-sm:prod/dev") {
			if !strings.Contains(after, is) {
				t.Errorf("%s: %s is not open: %s", name, is, after)
			}
		}
		if told := w.told(); len(told) != 2 {
			t.Errorf("%s: told %s", name, told)
		}
	}
}

// TestAStoreThatIsStillDown stays a notice when a run ends while it is asked, and
// the next one has too little left to ask.
func TestAStoreThatIsStillDown(t *testing.T) {
	w := newWorld(t)
	w.card("github", "dev", "prod/dev")
	w.card("github", "ops", "prod/ops")
	w.vault.fault = broker.ErrUnavailable
	w.scan()
	w.told()
	w.pass(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	left := 2
	w.vault.before = func() {
		if left--; left == 0 {
			cancel()
		}
	}
	r, err := w.scanner().Run(ctx)
	w.must(err)
	if r.Done {
		t.Fatal("the time was not over")
	}
	w.vault.before = nil
	w.scan()
	w.wants([]string{"unreachable store/aws-sm"}, nothing)
	w.vault.fault = nil
	w.pass(time.Hour)
	w.scan()
	w.wants(nothing, []string{"closed unreachable store/aws-sm"})
}

// slow is notices that take their time.
type slow struct{ broker.Notices }

func (s slow) PutNotice(ctx context.Context, n broker.Notice) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
	case <-time.After(8 * time.Millisecond):
		return s.Notices.PutNotice(ctx, n)
	}
}

// TestAFloodIsSummedUpOnce though noting what was told takes longer than a run may
// take at its end.
func TestAFloodIsSummedUpOnce(t *testing.T) {
	w := newWorld(t)
	const many = 1300
	for i := range many {
		w.card("github", fmt.Sprint("card-", i), fmt.Sprint("prod/card-", i))
		w.vault.set(fmt.Sprint("prod/card-", i), broker.ErrStoreDenied)
	}
	synctest.Test(t, func(t *testing.T) {
		for range 2 {
			s := w.scanner()
			s.Notices = slow{w.db}
			if r, err := s.Run(t.Context()); err != nil || !r.Done {
				t.Fatalf("%+v, %v", r, err)
			}
			w.pass(time.Hour)
		}
	})
	single, summed, sums := 0, 0, 0
	for _, line := range w.told() {
		var n int
		if _, err := fmt.Sscanf(line, "opened  notices map[denied:%d]", &n); err == nil {
			summed, sums = summed+n, sums+1
		} else {
			single++
		}
	}
	if single != MostTold || summed != many-MostTold || sums != (many-MostTold+mostSummed-1)/mostSummed {
		t.Errorf("%d one by one, %d in %d sums", single, summed, sums)
	}
}

// TestAnEventIsHeededForAllReferences though one of them cannot be looked at.
func TestAnEventIsHeededForAllReferences(t *testing.T) {
	w := newWorld(t)
	versions := []string{"prod/dev", "prod/dev?stage=AWSPREVIOUS", "prod/dev?stage=AWSPENDING"}
	for i, path := range versions {
		w.card("github", fmt.Sprint("card-", i), path)
	}
	for poison := range versions {
		s := w.scanner()
		s.Catalogue = stuck{w.db, fmt.Sprint("card-", poison), false}
		n, err := s.Heard(t.Context(), Change{What: "PutSecretValue", Event: "0a1b", At: w.now(), Kind: "aws-sm", Concerns: func(broker.Reference) bool { return true },
			Receipt: func(broker.Reference) string { return w.id() }})
		if !errors.Is(err, errStuck) || n != len(versions) {
			t.Errorf("%d references, %v", n, err)
		}
		if told := w.told(); len(told) != len(versions) {
			t.Errorf("told %s", told)
		}
	}
}
