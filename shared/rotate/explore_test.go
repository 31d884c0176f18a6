package rotate

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

const (
	ofToken = "reference/aws-sm:prod/github"
	ofDev   = "binding/github/dev"
)

// course is one way that a rotation can take, and where it must end however it
// is interrupted.
type course struct {
	subject string
	begin   func(w *world)
	end     broker.RotationStep
	reason  broker.Reason
}

// planned has had one rotation already, whose key the next one ends.
func planned(more func(w *world)) func(*world) {
	return func(w *world) {
		w.live(ofToken, "")
		w.wait(24 * time.Hour)
		more(w)
	}
}

func repointed(more func(w *world)) func(*world) {
	return func(w *world) {
		plan, err := w.db.RotationPlan(w.Context(), environment, "plan")
		w.must(err)
		plan.State = broker.Suspended
		w.must(w.db.PutRotationPlan(w.Context(), plan))
		b, err := w.db.Binding(w.Context(), route, "dev")
		w.must(err)
		r := OfCard(b, []broker.Field{{Name: "token", Reference: newToken}}, broker.Rotation{}, "p-admin", "01KJMMA2G1"+rand.Text()[:16], w.now)
		w.must(w.db.BeginRotation(w.Context(), r))
		more(w)
	}
}

func nothing(*world) {}

// deleteCard and what follows are what administrators do meanwhile.
func deleteCard(w *world) func() {
	return func() {
		b, err := w.db.Binding(w.Context(), route, "dev")
		w.must(err)
		b.State = broker.Deleted
		w.must(w.db.PutBinding(w.Context(), b))
	}
}

func moveServer(w *world) func() {
	return func() {
		s, err := w.db.Server(w.Context(), route)
		w.must(err)
		s.URL = "https://elsewhere.example.com/mcp"
		w.must(w.db.PutServer(w.Context(), s))
	}
}

func revoke(w *world, kind broker.MarkerKind, id string) func() {
	return func() {
		w.must(w.db.PutMarker(w.Context(), broker.Marker{Environment: environment, Kind: kind, ID: id, Epoch: 1, Revoked: true, At: w.now, By: "p-admin"}))
	}
}

var courses = map[string]course{
	"a value":              {ofToken, planned(nothing), broker.RotationOver, ""},
	"a value without card": {ofToken, planned(func(w *world) { w.alter(func(p *broker.RotationPlan) { *p = bare(*p) }) }), broker.RotationOver, ""},
	"a value whose probe fails": {ofToken, planned(func(w *world) { w.refuses = broker.UpstreamAuth }),
		broker.RotationUndone, broker.UpstreamAuth},
	"a value where the store denies to stage": {ofToken, planned(func(w *world) { w.faults["stage"] = broker.ErrStoreDenied }),
		broker.RotationUndone, broker.StoreDenied},
	"a value where the store denies to promote": {ofToken, planned(func(w *world) { w.faults["promote"] = broker.ErrStoreDenied }),
		broker.RotationUndone, broker.StoreDenied},
	"a value whose provider is down": {ofToken, planned(func(w *world) { w.faults["make"] = broker.ErrProviderUnavailable }),
		broker.RotationUndone, broker.ProviderUnavail},
	"a value whose upstream is down": {ofToken, planned(func(w *world) { w.refuses = broker.UpstreamUnreached }),
		broker.RotationUndone, broker.UpstreamUnreached},
	"a value whose card is deleted meanwhile": {ofToken, planned(func(w *world) { w.then["stage"] = deleteCard(w) }),
		broker.RotationUndone, broker.BindingClosed},
	"a value whose card is revoked meanwhile": {ofToken, planned(func(w *world) { w.then["stage"] = revoke(w, broker.BindingMarker, "github/dev") }),
		broker.RotationUndone, broker.BindingClosed},
	"a value whose server moved meanwhile": {ofToken, planned(func(w *world) { w.then["stage"] = moveServer(w) }),
		broker.RotationUndone, broker.BindingPending},
	"a value that leaked": {ofToken, planned(func(w *world) { w.then["stage"] = revoke(w, broker.ReferenceMarker, "aws-sm:prod/github") }),
		broker.RotationOver, ""},
	"a card": {ofDev, repointed(nothing), broker.RotationOver, ""},
	"a card whose probe fails": {ofDev, repointed(func(w *world) { w.refuses = broker.UpstreamDenied }),
		broker.RotationUndone, broker.UpstreamDenied},
	"a card that is deleted meanwhile": {ofDev, repointed(func(w *world) { w.then["tell"] = deleteCard(w) }),
		broker.RotationUndone, broker.BindingClosed},
	"a card whose new reference is revoked": {ofDev, repointed(hasRevoked(broker.ReferenceMarker, "aws-sm:prod/other")),
		broker.RotationUndone, broker.ReferenceRevoked},
	"a card that cannot be stored": {ofDev, repointed(func(w *world) { w.faults["card"] = broker.ErrStoreDenied }),
		broker.RotationUndone, broker.StoreDenied},
}

func hasRevoked(kind broker.MarkerKind, id string) func(*world) {
	return func(w *world) { revoke(w, kind, id)() }
}

func bare(p broker.RotationPlan) broker.RotationPlan {
	p.Maker, p.Server, p.Binding, p.Recipe, p.Provider = broker.MakeClientSecret, "", "", broker.Recipe{}, "idp"
	return p
}

// TestWhereverItDiesARotationEnds counts the effects of each course, and has the
// process die before and after each of them, and its answer lost.
func TestWhereverItDiesARotationEnds(t *testing.T) {
	points := 0
	for name, c := range courses {
		t.Run(name, func(t *testing.T) {
			for n := 0; ; n++ {
				reached := false
				for _, how := range []crash{before, after, lost} {
					w := newWorld(t)
					c.begin(w)
					w.count, w.at, w.how = 0, n, how
					id := w.latest(c.subject).ID
					previous := id
					if c.subject == ofDev {
						previous = "" // it has begun
					}
					r := w.live(c.subject, previous)
					w.ended(c, r, fmt.Sprintf("crash %d at %d", how, n), id)
					reached = reached || w.count >= n
					points++
				}
				if t.Failed() || !reached {
					break
				}
			}
		})
	}
	t.Logf("%d crash points tried", points)
}

// ended holds the end to what the course is to come to, and to what may never be.
func (w *world) ended(c course, r broker.Rotation, where, begun string) {
	w.Helper()
	lastTryLost := w.how == lost && c.reason == broker.ProviderUnavail && r.Reason == broker.StoreUnavailable
	if r.Step != c.end || r.Reason != c.reason && !lastTryLost {
		w.Errorf("%s: ended %s (%s), want %s (%s); %v", where, r.Step, r.Reason, c.end, c.reason, w.reported)
	}
	story := w.story(r.ID)
	last := story[max(0, len(story)-1):]
	want := map[broker.RotationStep]string{broker.RotationOver: "rotation.retired", broker.RotationUndone: "rotation.rolled_back"}[r.Step]
	if !slices.Equal(last, []string{want}) || len(slices.Compact(slices.Sorted(slices.Values(story)))) != len(story) {
		w.Errorf("%s: the story is %v", where, story)
	}
	if r.Step == broker.RotationOver && strings.Join(story, " ") != "rotation.staged rotation.probed rotation.promoted rotation.retired" {
		w.Errorf("%s: the story is %v", where, story)
	}
	if c.subject == ofDev {
		w.cardEnded(r, where)
		return
	}
	w.valueEnded(r, where, begun)
}

func (w *world) valueEnded(r broker.Rotation, where, begun string) {
	w.Helper()
	if len(w.shelf.staged) != 0 || w.shelf.previous != "" {
		w.Errorf("%s: left in the store: %+v", where, w.shelf)
	}
	made := "made-up-" + strings.ToLower(r.ID)
	if done := r.Step == broker.RotationOver; (w.shelf.current == made) != done || w.accepted[made] != done {
		w.Errorf("%s: calls get %q, the upstream takes %v", where, w.shelf.current, w.accepted)
	}
	if before := "made-up-" + strings.ToLower(begun); r.Step == broker.RotationOver && r.ID != begun && w.accepted[before] {
		w.Errorf("%s: the upstream still takes the value before", where)
	}
	if strings.Contains(turned(string(r.Kept)), made+`"`) && !strings.Contains(turned(string(r.Kept)), "name of "+made) {
		w.Errorf("%s: the value is kept for ever", where)
	}
}

func (w *world) cardEnded(r broker.Rotation, where string) {
	w.Helper()
	b, err := w.db.Binding(w.Context(), route, "dev")
	w.must(err)
	want := token
	if r.Step == broker.RotationOver {
		want = newToken
	}
	if b.Fields[0].Reference != want {
		w.Errorf("%s: the card has %s", where, b.Fields[0].Reference)
	}
}

// alter changes the plan.
func (w *world) alter(change func(*broker.RotationPlan)) {
	p, err := w.db.RotationPlan(w.Context(), environment, "plan")
	w.must(err)
	change(&p)
	w.must(w.db.PutRotationPlan(w.Context(), p))
}
