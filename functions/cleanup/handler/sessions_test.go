package handler

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// TestASessionThatNoCredentialMayEnd is given up, with the time at which it ends
// by itself, and nobody is asked.
func TestASessionThatNoCredentialMayEnd(t *testing.T) {
	for word, spoil := range map[string]func(w *world, s *broker.LiveSession){
		faultGone + " moved": func(w *world, _ *broker.LiveSession) {
			server, err := w.tables.Server(t.Context(), broker.Route{Environment: "prod", Server: "github"})
			w.must(err)
			server.URL = "https://elsewhere.example.com/mcp"
			w.must(w.tables.PutServer(t.Context(), server))
		},
		faultGone + " closed": func(w *world, _ *broker.LiveSession) {
			server, err := w.tables.Server(t.Context(), broker.Route{Environment: "prod", Server: "github"})
			w.must(err)
			server.State = broker.Suspended
			w.must(w.tables.PutServer(t.Context(), server))
		},
		faultGone + " card": func(w *world, _ *broker.LiveSession) {
			card, err := w.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "github"}, "dev")
			w.must(err)
			card.State = broker.Deleted
			w.must(w.tables.PutBinding(t.Context(), card))
		},
		faultCaller: func(w *world, _ *broker.LiveSession) {
			card, err := w.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "github"}, "dev")
			w.must(err)
			card.Source = broker.TokenExchange
			w.must(w.tables.PutBinding(t.Context(), card))
		},
		faultUnknown: func(w *world, s *broker.LiveSession) { // it was sealed for somebody else
			w.must(w.tables.EndSession(t.Context(), "prod", s.Principal, s.Digest))
			s.Agent = "okta:other"
			w.must(w.tables.AddSession(t.Context(), *s))
		},
		faultRevoked: func(w *world, _ *broker.LiveSession) { w.revoke(broker.StoreMarker, "aws-sm") },
		faultRevoked + " sign-in": func(w *world, _ *broker.LiveSession) { // of the store whose token lies in a revoked one
			login, err := broker.ParseReference("sealed:vault")
			w.must(err)
			vault := broker.Store{Environment: "prod", Name: "vault", Kind: "aws-sm", Address: "https://vault.example.com", Paths: broker.Scope{"prod/*"},
				Auth: broker.StoreAuth{Method: broker.AuthToken, Credential: login}, State: broker.Active}
			w.must(w.tables.PutStore(t.Context(), vault))
			card, err := w.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "github"}, "dev")
			w.must(err)
			card.Fields[0].Reference, err = broker.ParseReference("vault:prod/github#token")
			w.must(err)
			w.must(w.tables.PutBinding(t.Context(), card))
			w.revoke(broker.StoreMarker, "sealed")
		},
	} {
		w := newWorld(t)
		s := w.session(1, "github")
		spoil(w, &s)
		c := w.finish(w.revoke(broker.PrincipalMarker, person(1)))
		fault, _, _ := strings.Cut(word, " ")
		want := []broker.Unreached{{What: "session", ID: s.Digest, Server: "github", Fault: fault, Until: s.Expires, GivenUp: true}}
		if d := cmp.Diff(want, c.Unreached, cmp.Transformer("utc", time.Time.UTC)); d != "" || len(w.upstream.asked) > 0 || c.Sessions != (broker.Tally{Found: 1, GivenUp: 1}) {
			t.Errorf("%s: %s, asked %q", word, d, w.upstream.asked)
		}
		if live, _, err := w.tables.SessionsOf(t.Context(), "prod", person(1), "", 1); err != nil || len(live) > 0 {
			t.Errorf("%s: it is still known", word)
		}
		w.clean()
	}
}
