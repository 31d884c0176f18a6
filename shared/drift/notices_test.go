package drift

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func (w *world) wants(open, told []string) {
	w.Helper()
	if d := cmp.Diff(open, w.open()); d != "" {
		w.Errorf("open: %s", d)
	}
	if d := cmp.Diff(told, w.told()); d != "" {
		w.Errorf("told: %s", d)
	}
}

var nothing = []string{}

// TestEachKindBeginsAndEnds: one fact each, however often it is looked at.
func TestEachKindBeginsAndEnds(t *testing.T) {
	const dev, reference = "binding/github/dev", "reference/aws-sm:prod/dev"
	for kind, c := range map[broker.NoticeKind]struct {
		subject    string
		begin, end func(*world, *broker.Binding)
	}{
		broker.NoticeMissing: {reference, func(w *world, _ *broker.Binding) { w.vault.set("prod/dev", broker.ErrSecretMissing) },
			func(w *world, _ *broker.Binding) { w.vault.set("prod/dev", nil) }},
		broker.NoticeDenied: {reference, func(w *world, _ *broker.Binding) { w.vault.set("prod/dev", broker.ErrStoreDenied) },
			func(w *world, _ *broker.Binding) { w.vault.set("prod/dev", nil) }},
		broker.NoticeKey: {reference, func(w *world, _ *broker.Binding) { w.vault.set("prod/dev", broker.ErrKeyUnavailable) },
			func(w *world, _ *broker.Binding) { w.vault.set("prod/dev", nil) }},
		broker.NoticeMalformed: {reference, func(w *world, _ *broker.Binding) { w.vault.set("prod/dev", broker.ErrSecretMalformed) },
			func(w *world, b *broker.Binding) {
				b.State = broker.Suspended
				w.must(w.db.PutBinding(w.Context(), *b))
			}},
		broker.NoticeDeleting: {reference, func(w *world, _ *broker.Binding) {
			w.vault.set("prod/dev", broker.ErrSecretMissing)
			w.vault.deleting["prod/dev"] = w.now().Add(30 * 24 * time.Hour)
		}, func(w *world, _ *broker.Binding) { w.vault.set("prod/dev", nil); delete(w.vault.deleting, "prod/dev") }},
		broker.NoticeOld: {reference, func(w *world, b *broker.Binding) {
			w.vault.changed["prod/dev"] = w.now()
			w.pass(31 * 24 * time.Hour)
			w.used(*b, "v1")
		}, func(w *world, b *broker.Binding) {
			w.vault.changed["prod/dev"] = w.now()
			w.used(*b, "v2")
		}},
		broker.NoticeExpired: {dev, func(w *world, b *broker.Binding) { w.expires(b, 8*24*time.Hour); w.pass(9 * 24 * time.Hour) },
			func(w *world, b *broker.Binding) { w.expires(b, 90*24*time.Hour) }},
		broker.NoticeExpiring: {dev, func(w *world, b *broker.Binding) { w.expires(b, 8*24*time.Hour); w.pass(2 * 24 * time.Hour) },
			func(w *world, b *broker.Binding) { w.expires(b, 90*24*time.Hour) }},
		broker.NoticeUnused: {dev, func(w *world, _ *broker.Binding) { w.pass(91 * 24 * time.Hour) },
			func(w *world, b *broker.Binding) { w.used(*b, "v1") }},
		broker.NoticeDying: {"grant/p-alice/github", func(w *world, b *broker.Binding) { w.grant(b, w.now().Add(6*24*time.Hour)) },
			func(w *world, b *broker.Binding) { w.grant(b, w.now().Add(300*24*time.Hour)) }},
		broker.NoticeRotation: {reference, func(w *world, _ *broker.Binding) { w.rotation(broker.RotationUndone) },
			func(w *world, _ *broker.Binding) { w.rotation(broker.RotationOver) }},
	} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			if kind == broker.NoticeOld {
				w.must(w.db.PutStore(t.Context(), broker.Store{Environment: prod, Name: "aws-sm", Version: 1, Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active, MaxValueAge: 30 * 24 * time.Hour}))
			}
			b := w.card("github", "dev", "prod/dev")
			w.scan()
			w.wants(nothing, nothing)
			c.begin(w, &b)
			w.scan()
			is := string(kind) + " " + c.subject
			w.wants([]string{is}, []string{"opened " + is})
			w.pass(time.Hour)
			w.scan()
			w.wants([]string{is}, nothing)
			c.end(w, &b)
			w.scan()
			w.wants(nothing, []string{"closed " + is})
			w.pass(time.Hour)
			w.scan()
			w.wants(nothing, nothing)
		})
	}
}

func (w *world) expires(b *broker.Binding, in time.Duration) {
	b.Expires = w.now().Add(in)
	w.must(w.db.PutBinding(w.Context(), *b))
	b.Version++
}

func (w *world) grant(b *broker.Binding, until time.Time) {
	k := broker.GrantKey{Environment: prod, Principal: "p-alice", Server: "github", Origin: b.Origin}
	g := broker.Grant{GrantKey: k, Provider: "okta", Consented: w.now(), Until: until, Sealed: []byte("made-up sealed text"), Expires: w.now().Add(time.Hour), State: broker.Active}
	if view, err := w.db.Grant(w.Context(), k); err == nil {
		g.Generation = view.Grant.Generation
	}
	w.must(w.db.BeginGrant(w.Context(), g, broker.Consent{At: w.now()}))
}

func (w *world) rotation(step broker.RotationStep) {
	r := broker.Rotation{Environment: prod, Subject: "reference/aws-sm:prod/dev", ID: w.id(), Plan: "dev", Step: broker.RotationOrdered, Begun: w.now(), Moved: w.now(), Next: w.now()}
	if before, err := w.db.Rotation(w.Context(), prod, r.Subject); err == nil {
		r.Previous = before.ID
	}
	w.must(w.db.BeginRotation(w.Context(), r))
	r.Version, r.Step, r.Next = 1, step, time.Time{}
	w.must(w.db.PutRotation(w.Context(), r))
}

// TestACardThatNobodyEverUsed is a notice only when it was known for long.
func TestACardThatNobodyEverUsed(t *testing.T) {
	w := newWorld(t)
	b := w.card("github", "dev", "prod/dev")
	b.Name, b.Version = "idle", 0
	w.must(w.db.PutBinding(t.Context(), b))
	for range 89 {
		w.scan()
		w.pass(24 * time.Hour)
	}
	w.wants(nothing, nothing)
	w.pass(2 * 24 * time.Hour)
	w.scan()
	w.wants([]string{"unused binding/github/dev", "unused binding/github/idle"}, []string{"opened unused binding/github/dev", "opened unused binding/github/idle"})
}

// TestAStoreThatIsDownIsOneNotice, closes none of what it holds, and is not asked
// for the rest.
func TestAStoreThatIsDownIsOneNotice(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		w.card("github", fmt.Sprint("card-", i), fmt.Sprint("prod/card-", i))
	}
	w.vault.set("prod/card-7", broker.ErrStoreDenied)
	w.scan()
	lost := "denied reference/aws-sm:prod/card-7"
	w.wants([]string{lost}, []string{"opened " + lost})
	w.vault.fault, w.vault.fetched = broker.ErrUnavailable, 0
	for range 3 {
		w.pass(time.Hour)
		w.scan()
	}
	w.wants([]string{lost, "unreachable store/aws-sm"}, []string{"opened unreachable store/aws-sm"})
	if w.vault.fetched > 3*enough {
		t.Errorf("asked %d times", w.vault.fetched)
	}
	w.vault.fault = nil
	w.pass(time.Hour)
	w.scan()
	w.wants([]string{lost}, []string{"closed unreachable store/aws-sm"})
}

// TestOneReferenceThatGivesNoAnswer says nothing, opens and closes nothing.
func TestOneReferenceThatGivesNoAnswer(t *testing.T) {
	w := newWorld(t)
	w.card("github", "dev", "prod/dev")
	w.card("github", "ops", "prod/ops")
	w.vault.set("prod/dev", broker.ErrSecretMissing)
	w.scan()
	w.told()
	w.vault.set("prod/dev", broker.ErrUnavailable)
	w.pass(time.Hour)
	w.scan()
	w.wants([]string{"missing reference/aws-sm:prod/dev"}, nothing)
}

// TestFlappingIsNotTold, what stays open is, an hour later.
func TestFlappingIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.card("github", "dev", "prod/dev")
	is := "missing reference/aws-sm:prod/dev"
	for range 5 {
		w.vault.set("prod/dev", broker.ErrSecretMissing)
		w.scan()
		w.vault.set("prod/dev", nil)
		w.pass(5 * time.Minute)
		w.scan()
		w.pass(5 * time.Minute)
	}
	w.wants(nothing, []string{"closed " + is, "opened " + is})
	w.vault.set("prod/dev", broker.ErrSecretMissing)
	w.scan()
	w.wants([]string{is}, nothing)
	w.pass(time.Hour)
	w.scan()
	w.wants([]string{is}, []string{"opened " + is})
}

// TestManyAtOnceAreASum, and a thousand cards one round.
func TestManyAtOnceAreASum(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		w.card("github", fmt.Sprint("card-", i), fmt.Sprint("prod/card-", i))
	}
	for i := range 300 {
		w.vault.set(fmt.Sprint("prod/card-", i), broker.ErrSecretMissing)
	}
	w.scan()
	count := func(of string) (single, sums int, text string) {
		for _, line := range w.told() {
			if line == fmt.Sprintf("%s  notices map[missing:%d]", of, 300-MostTold) {
				sums++
			} else {
				single++
			}
			text = line
		}
		return single, sums, text
	}
	if single, sums, text := count("opened"); single != MostTold || sums != 1 || len(w.open()) != 300 {
		t.Errorf("%d single, %d sums, as %s; %d open", single, sums, text, len(w.open()))
	}
	w.pass(time.Hour)
	w.scan()
	if told := w.told(); len(told) > 0 {
		t.Errorf("told again: %d", len(told))
	}
	for i := range 300 {
		w.vault.set(fmt.Sprint("prod/card-", i), nil)
	}
	w.scan()
	if single, sums, text := count("closed"); single != MostTold || sums != 1 || len(w.open()) != 0 {
		t.Errorf("%d single, %d sums, as %s; %d open", single, sums, text, len(w.open()))
	}
}

// TestManyCardsOfOneServerHideNoOther: whose cards share the secret are all named,
// or one owner alone would see the notice and could say that it is known.
func TestManyCardsOfOneServerHideNoOther(t *testing.T) {
	w := newWorld(t)
	for _, server := range []string{"first", "first-2", "other"} {
		w.server(server)
		for i := range 30 {
			w.card(server, fmt.Sprint("card-", i), "prod/shared")
		}
	}
	w.card("github", "dev", "prod/shared")
	w.vault.set("prod/shared", broker.ErrSecretMissing)
	w.scan()
	n, err := w.db.Notice(t.Context(), prod, broker.NoticeID(broker.NoticeMissing, "reference/aws-sm:prod/shared"))
	w.must(err)
	servers := map[string]bool{}
	for _, b := range n.Bindings {
		server, _, _ := strings.Cut(b, "/")
		servers[server] = true
	}
	if len(n.Bindings) != broker.MaxNoticeBindings || len(servers) != 4 || n.Server != "" {
		t.Errorf("%q names %q", n.Server, n.Bindings)
	}
}

// TestTheIndexIsDown: dates are looked at, and no card is called used or unused.
func TestTheIndexIsDown(t *testing.T) {
	w := newWorld(t)
	b := w.card("github", "dev", "prod/dev")
	w.pass(91 * 24 * time.Hour)
	w.scan()
	w.told()
	b.Name, b.Version, b.Expires = "new", 0, w.now().Add(time.Hour)
	w.must(w.db.PutBinding(t.Context(), b))
	s := w.scanner()
	s.Evidence = blind{}
	if r, err := s.Run(t.Context()); err != nil || !r.Done {
		t.Fatal(r, err)
	}
	w.wants([]string{"expiring binding/github/new", "unused binding/github/dev"}, []string{"opened expiring binding/github/new"})
}

// TestAUseThatDoesNotDecodeHidesNoOtherUnusedCard: nothing is said of its own card,
// nothing closes, and it is counted.
func TestAUseThatDoesNotDecodeHidesNoOtherUnusedCard(t *testing.T) {
	w := newWorld(t)
	w.card("github", "dev", "prod/dev")
	other := w.card("github", "other", "prod/other")
	w.pass(91 * 24 * time.Hour)
	w.must(w.db.Spoil(prod, other))
	if r := w.scan(); r.Unread != 1 {
		t.Errorf("%+v", r)
	}
	w.wants([]string{"unused binding/github/dev"}, []string{"opened unused binding/github/dev"})
}

type blind struct{ Evidence }

var errBlind = errors.New("made-up fault")
