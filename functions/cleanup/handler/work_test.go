package handler

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/brokertest/plainseal"
	"bindery/shared/memory"
	"bindery/shared/revoke"
	"bindery/shared/stores/sealed"
)

// TestAPersonsSessionsEndBeforeTheirTokens: a session at an upstream of their own
// is ended with the very token that is revoked next.
func TestAPersonsSessionsEndBeforeTheirTokens(t *testing.T) {
	w := newWorld(t)
	w.session(1, "github")
	w.session(1, "files")
	w.grant(1, "files")
	w.session(2, "github")
	w.grant(2, "files")
	id := w.revoke(broker.PrincipalMarker, person(1))
	c := w.finish(id)
	if d := cmp.Diff([]broker.Tally{{Found: 2, Ended: 2}, {Found: 1, Ended: 1}, {}}, []broker.Tally{c.Sessions, c.Grants, c.Values}); d != "" {
		t.Error(d)
	}
	asked := slices.Sorted(slices.Values(w.upstream.asked))
	want := []string{"DELETE up-files-1 Bearer " + canary + "-access-files-1", "DELETE up-github-1 Bearer " + canary + "-static"}
	if d := cmp.Diff(want, asked); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{canary + "-access-files-2", canary + "-refresh-files-2"}, w.provider.honours()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]broker.FactKind{broker.RevocationCompleted}, w.facts(id)); d != "" || len(c.Unreached) > 0 || !c.Accepted.IsZero() {
		t.Errorf("%s, %+v", d, c)
	}
	w.clean()
}

// TestWhatEachKindConcerns, and nothing else.
func TestWhatEachKindConcerns(t *testing.T) {
	for name, c := range map[string]struct {
		kind     broker.MarkerKind
		subject  func(w *world) string
		sessions []string // that are asked to end
		left     int      // sessions that nobody was asked about, and that stay
		givenUp  int
		tokens   int // that the provider still honours, of four
		unknown  int
	}{
		"session":     {broker.SessionMarker, func(w *world) string { return w.first().Digest }, []string{"up-github-1"}, 3, 0, 4, 0},
		"principal":   {broker.PrincipalMarker, func(*world) string { return person(2) }, []string{"up-files-2", "up-github-2"}, 2, 0, 2, 0},
		"agent":       {broker.AgentMarker, func(*world) string { return "okta:bot" }, []string{"up-github-3"}, 3, 0, 4, 0},
		"group":       {broker.GroupMarker, func(*world) string { return "ops" }, []string{"up-github-3"}, 3, 0, 4, 1},
		"issuer":      {broker.IssuerMarker, func(*world) string { return "https://other.example" }, []string{"up-github-3"}, 3, 0, 4, 1},
		"binding":     {broker.BindingMarker, func(*world) string { return "github/dev" }, []string{"up-github-1", "up-github-2", "up-github-3"}, 1, 0, 4, 0},
		"server":      {broker.ServerMarker, func(*world) string { return "files" }, nil, 3, 1, 0, 0},
		"store":       {broker.StoreMarker, func(*world) string { return "aws-sm" }, nil, 1, 3, 4, 1},
		"reference":   {broker.ReferenceMarker, func(*world) string { return "aws-sm:prod/github" }, nil, 1, 3, 4, 1},
		"grant":       {broker.GrantMarker, func(*world) string { return person(2) + "/files" }, nil, 4, 0, 2, 0},
		"environment": {broker.EnvironmentMarker, func(*world) string { return "prod" }, []string{"up-files-2", "up-github-1", "up-github-2", "up-github-3"}, 0, 0, 4, 0},
		"everything":  {broker.EverythingMarker, func(*world) string { return "prod" }, []string{"up-files-2", "up-github-1", "up-github-2", "up-github-3"}, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.session(1, "github")
			w.session(2, "github")
			w.session(2, "files")
			w.session(3, "github", func(s *broker.LiveSession) {
				s.Agent, s.Issuer, s.Groups = "okta:bot", "https://other.example", []string{"dev", "ops"}
			})
			w.grant(1, "files")
			w.grant(2, "files")
			got := w.finish(w.revoke(c.kind, c.subject(w)))
			var asked []string
			for _, a := range w.upstream.asked {
				asked = append(asked, strings.Fields(a)[1])
			}
			slices.Sort(asked)
			left, _, err := w.tables.ScanSessions(t.Context(), "prod", "", broker.MaxScan)
			w.must(err)
			if d := cmp.Diff(c.sessions, asked); d != "" || len(left) != c.left || got.Sessions.GivenUp != c.givenUp {
				t.Errorf("%s, %d left, %+v", d, len(left), got.Sessions)
			}
			if n := len(w.provider.honours()); n != c.tokens || len(got.Unknown) != c.unknown {
				t.Errorf("%d tokens are honoured, unknown: %q", n, got.Unknown)
			}
			if (c.givenUp > 0) != slices.Contains(w.facts(got.ID), broker.RevocationIncomplete) || (c.givenUp > 0) == got.Accepted.IsZero() {
				t.Errorf("told %v, accepted until %v", w.facts(got.ID), got.Accepted)
			}
			w.clean()
		})
	}
}

// first is the session that began first.
func (w *world) first() broker.LiveSession {
	w.Helper()
	found, _, err := w.tables.SessionsOf(w.Context(), "prod", person(1), "", 1)
	w.must(err)
	return found[0]
}

func TestASealedValueIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.must(w.tables.PutSealed(t.Context(), broker.SealedValue{Environment: "prod", ID: "token", Version: 1, State: broker.Active, Sealed: []byte("x"), At: w.time()}))
	for range 2 { // the second time it is gone
		c := w.finish(w.revoke(broker.ReferenceMarker, "sealed:token"))
		rows, err := w.tables.Latest(t.Context(), "prod", "token")
		if w.must(err); len(rows) != 2 || len(rows[0].Sealed)+len(rows[1].Sealed) > 0 || c.Values != (broker.Tally{Found: 1, Ended: 1}) {
			t.Fatalf("%+v, %+v", rows, c.Values)
		}
		_, err = w.revoker.Lift(t.Context(), revoke.Lifting{ID: w.receipt(), Case: c.ID, By: leader, Reason: "a drill of the tests"})
		w.must(err)
	}
	if c := w.finish(w.revoke(broker.ReferenceMarker, "sealed:never")); c.Values != (broker.Tally{}) {
		t.Errorf("what never was: %+v", c.Values)
	}
}

// TestWhatAnUpstreamSaysToTheEndOfASession.
func TestWhatAnUpstreamSaysToTheEndOfASession(t *testing.T) {
	for status, want := range map[int]broker.Tally{
		200: {Found: 1, Ended: 1}, 202: {Found: 1, Ended: 1}, 404: {Found: 1, Ended: 1}, 405: {Found: 1, Ended: 1},
		302: {Found: 1, GivenUp: 1}, 400: {Found: 1, GivenUp: 1}, 410: {Found: 1, GivenUp: 1},
		401: {Found: 1}, 403: {Found: 1}, 408: {Found: 1}, 429: {Found: 1}, 500: {Found: 1}, 503: {Found: 1}, 0: {Found: 1},
	} {
		w := newWorld(t)
		s := w.session(1, "github")
		if w.upstream.status = status; status == 0 {
			w.upstream.fault = errors.New("made up")
		}
		id := w.revoke(broker.SessionMarker, s.Digest)
		w.goOn()
		c := w.found(id)
		if c.Sessions != want {
			t.Errorf("%d: %+v", status, c.Sessions)
		}
		if want.Ended == 0 && (len(c.Unreached) != 1 || !c.Unreached[0].Until.Equal(s.Expires) || c.Unreached[0].ID != s.Digest || !c.Accepted.Equal(s.Expires)) {
			t.Errorf("%d: %+v", status, c)
		}
		w.upstream.status, w.upstream.fault = http.StatusNoContent, nil
		w.pass(time.Minute)
		if c := w.finish(id); c.Sessions.Ended+c.Sessions.GivenUp != 1 {
			t.Errorf("%d: in the end %+v", status, c.Sessions)
		}
		w.clean()
	}
}

// TestNothingIsReleasedWithoutARecord.
func TestNothingIsReleasedWithoutARecord(t *testing.T) {
	w := newWorld(t)
	w.session(1, "github")
	w.grant(1, "files")
	id := w.revoke(broker.EverythingMarker, "prod")
	h := w.handler()
	w.tables.Inject(memory.Append, slices.Repeat([]memory.Fault{memory.Refuse()}, 100)...)
	_ = h.work(t.Context(), w.found(id))
	if len(w.upstream.asked)+len(w.provider.revoked) > 0 {
		t.Fatalf("asked %q, revoked %v", w.upstream.asked, w.provider.revoked)
	}
	w.tables.Clear()
	w.pass(beat)
	w.finish(id)
	w.clean()
}

// TestEachUseIsRecordedBeforeAndAfter: under a receipt of its own, with whose it
// was, what was read, and on whose word.
func TestEachUseIsRecordedBeforeAndAfter(t *testing.T) {
	w := newWorld(t)
	s := w.session(1, "github")
	id := w.revoke(broker.SessionMarker, s.Digest)
	h, receipt := w.handler(), ""
	h.Fresh = func() string { receipt = w.receipt(); return receipt }
	w.must(h.work(t.Context(), w.found(id)))
	records := w.tables.Records(receipt)
	if len(records) != 2 || records[0].Phase != broker.Intent || len(records[0].Accesses) > 0 || records[1].Phase != broker.Outcome {
		t.Fatalf("%+v", records)
	}
	r := records[1]
	want := broker.Record{Environment: "prod", Server: "github", Session: s.Digest, Principal: leader, Method: "DELETE", Object: "revocation/" + id, Binding: "dev", Upstream: 204}
	got := broker.Record{Environment: r.Environment, Server: r.Server, Session: r.Session, Principal: r.Principal, Method: r.Method, Object: r.Object, Binding: r.Binding, Upstream: r.Upstream}
	if d := cmp.Diff(want, got); d != "" || len(r.Accesses) != 1 || r.Accesses[0].Reference != "aws-sm:prod/github" || r.Reason != "" {
		t.Errorf("%s, %+v", d, r)
	}
	if text, err := r.JSON(); err != nil || strings.Contains(string(text), canary) || strings.Contains(string(text), "up-github") {
		t.Errorf("%v, %s", err, text)
	}
}

// TestASecretIsRevokedWithAllThatRestsOnIt: cards that name one of its versions,
// and those that read a store with it.
func TestASecretIsRevokedWithAllThatRestsOnIt(t *testing.T) {
	w := newWorld(t)
	login, err := broker.ParseReference("aws-sm:prod/login#token")
	w.must(err)
	w.must(w.tables.PutStore(t.Context(), broker.Store{Environment: "prod", Name: "vault", Kind: "vault", Paths: broker.Scope{"secret/*"}, State: broker.Active,
		Address: "https://vault.example.com", Auth: broker.StoreAuth{Method: broker.AuthToken, Credential: login}}))
	w.server("tickets", broker.Static, "vault:secret/data/tickets#token")
	w.server("old", broker.Static, "aws-sm:prod/github?stage=AWSPREVIOUS#token")
	for _, server := range []string{"github", "old", "tickets"} {
		w.session(1, server)
	}
	for subject, want := range map[string][]string{"aws-sm:prod/github": {"github", "old"}, "aws-sm:prod/login": {"tickets"}} {
		c := w.finish(w.revoke(broker.ReferenceMarker, subject))
		var got []string
		for _, u := range c.Unreached {
			got = append(got, u.Server)
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" || len(w.upstream.asked) > 0 {
			t.Errorf("%s: %s, asked %q", subject, d, w.upstream.asked)
		}
	}
}

// meddling is the tables of values where something happens when they are read.
type meddling struct {
	*memory.DB
	once   sync.Once
	meddle func()
}

func (m *meddling) Latest(ctx context.Context, environment, id string) ([]broker.SealedValue, error) {
	m.once.Do(m.meddle)
	return m.DB.Latest(ctx, environment, id)
}

// TestLateWorkLeavesAValueThatWasPutAnew: the revocation is lifted and a new value
// put after the pass has begun, before the value is read and after.
func TestLateWorkLeavesAValueThatWasPutAnew(t *testing.T) {
	for name, begun := range map[string]bool{"nothing was deleted": false, "half was": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			version := int64(0)
			put := func(state broker.State, text string) {
				version++
				w.must(w.tables.PutSealed(t.Context(), broker.SealedValue{Environment: "prod", ID: "token", Version: version, State: state, Sealed: []byte(text), At: w.time()}))
			}
			put(broker.Active, "made-up-leaked")
			id := w.revoke(broker.ReferenceMarker, "sealed:token")
			if begun {
				put(broker.Deleted, "")
			}
			h := w.handler()
			h.Values = sealed.New(&meddling{DB: w.tables, meddle: func() {
				_, err := w.revoker.Lift(t.Context(), revoke.Lifting{ID: w.receipt(), Case: id, By: leader, Reason: "a drill of the tests"})
				w.must(err)
				put(broker.Active, "made-up-new")
			}}, plainseal.Sealer{}, w.time)
			_, err := h.Handle(t.Context(), json.RawMessage(`{"task":"continue"}`))
			w.must(err)
			w.finish(id)
			rows, err := w.tables.Latest(t.Context(), "prod", "token")
			if w.must(err); rows[0].State != broker.Active || string(rows[0].Sealed) != "made-up-new" {
				t.Errorf("the new value is gone: %+v", rows)
			}
		})
	}
}

// TestASecretsSessionsEndUnderEitherName that two registrations give it.
func TestASecretsSessionsEndUnderEitherName(t *testing.T) {
	w := newWorld(t)
	w.must(w.tables.PutStore(t.Context(), broker.Store{Environment: "prod", Name: "other", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active}))
	w.session(1, "github")
	if c := w.finish(w.revoke(broker.ReferenceMarker, "other:prod/another")); c.Sessions.Found != 0 {
		t.Errorf("of another secret: %+v", c.Sessions)
	}
	if c := w.finish(w.revoke(broker.ReferenceMarker, "other:prod/github")); c.Sessions.Found != 1 || len(w.upstream.asked) > 1 {
		t.Errorf("%+v, the upstream was asked %d times", c.Sessions, len(w.upstream.asked))
	}
}
