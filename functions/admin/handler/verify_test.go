package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/memory"
	"bindery/shared/probe"
	"bindery/shared/secret"
)

const verify = "/servers/notes/bindings/dev-notes/verify"

// reaching is an upstream that answers every request the same way, and keeps
// what it got. It repeats the credential wherever it can.
type reaching struct {
	status  int // 0: 200
	closed  bool
	got     []*http.Request
	headers []http.Header
}

func (u *reaching) For(*broker.Server) (probe.Client, error) {
	if u.closed {
		return nil, egress.ErrAddress
	}
	return u, nil
}

func (u *reaching) Do(r *http.Request) (*http.Response, error) {
	u.got, u.headers = append(u.got, r), append(u.headers, r.Header.Clone())
	var m struct {
		ID json.RawMessage `json:"id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	echo := r.Header.Get("Authorization")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("WWW-Authenticate", echo)
	w.WriteHeader(max(u.status, 200))
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"supportedVersions":["2026-07-28",%q],"tools":[{"name":%q}],"echo":%q}}`, m.ID, echo, echo, echo)
	return w.Result(), nil
}

// failing is a source that has one answer.
type failing struct{ err error }

func (f failing) Obtain(context.Context, broker.Ask) (broker.Credential, error) {
	return broker.Credential{Access: []broker.Access{{Reference: "aws-sm:prod/notes", Version: "v1"}}}, f.err
}

func (f *fixture) upstream() *reaching { return f.upstreams.(*reaching) }

func TestVerifyMakesTheWholeJourney(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	a := f.call(t, "admin", "POST", verify, nil).want(t, 200, "")
	if a.body["works"] != true || a.body["tools"] != 1.0 || a.body["era"] != "2026-07-28" || a.body["upstream_status"] != 200.0 || a.body["stage"] != "list_tools" {
		t.Errorf("answered %s", a.Body)
	}
	if len(f.upstream().got) != 2 || f.upstream().headers[0].Get("Authorization") != "Bearer "+canary || f.upstream().headers[0].Get("Bindery-Receipt") != a.Header().Get("Bindery-Receipt") {
		t.Errorf("the upstream got %v", f.upstream().headers)
	}
	f.clean(t) // although the upstream repeats the credential
}

// TestVerifyIsRecordedLikeACall: an intent before, an outcome after, with what
// was read for it.
func TestVerifyIsRecordedLikeACall(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	records := f.records(f.call(t, "admin", "POST", verify, nil).want(t, 200, ""))
	if len(records) != 2 || records[0].Phase != broker.Intent || records[1].Phase != broker.Outcome {
		t.Fatalf("recorded %+v", records)
	}
	for _, r := range records {
		if r.Method != "verify-binding" || r.Binding != "dev-notes" || r.Server != "notes" || r.BindingVersion != 1 || len(r.References) != 1 || r.Principal != "p-admin" {
			t.Errorf("recorded %+v", r)
		}
	}
	if o := records[1]; len(o.Accesses) != 1 || o.Accesses[0].Reference != "aws-sm:prod/notes" || o.Upstream != 200 || o.Reason != "" {
		t.Errorf("recorded %+v", o)
	}
	f.tables.Inject(memory.Append, memory.Refuse(), memory.Refuse(), memory.Refuse())
	before := len(f.upstream().got)
	f.call(t, "admin", "POST", verify, nil).want(t, 503, "audit_unavailable")
	if len(f.upstream().got) != before {
		t.Error("the upstream was asked although nothing was recorded")
	}
}

func TestVerifyNamesOneCause(t *testing.T) {
	store := func(err error) func(*fixture) {
		return func(f *fixture) { f.registry.Sources[broker.Static] = failing{err} }
	}
	status := func(code int) func(*fixture) { return func(f *fixture) { f.upstream().status = code } }
	for name, c := range map[string]struct {
		given  func(*fixture)
		cause  string
		reason broker.Reason
		works  bool
	}{
		"several people, no identity": {func(*fixture) {}, "propagation_off", "", true},
		"a reference that the store does not take": {store(fmt.Errorf("%w reference: %w", broker.ErrInvalid, broker.ErrSecretMalformed)), "syntax",
			broker.FieldsIncomplete, false},
		"no such secret":         {store(broker.ErrSecretMissing), "store", broker.SecretMissing, false},
		"too short to mask":      {store(broker.ErrSecretMalformed), "store", broker.SecretMalformed, false},
		"the store is silent":    {store(broker.ErrUnavailable), "store", broker.StoreUnavailable, false},
		"a fault nobody foresaw": {store(io.ErrNoProgress), "store", broker.Internal, false},
		"the store refuses":      {store(broker.ErrStoreDenied), "denied", broker.StoreDenied, false},
		"the key refuses":        {store(broker.ErrKeyUnavailable), "key", broker.KeyUnavailable, false},
		"a row that is unread":   {store(fmt.Errorf("%w: %w", broker.ErrUndecodable, broker.ErrInvalid)), "store", broker.RowUndecodable, false},
		"a closed address":       {func(f *fixture) { f.upstream().closed = true }, "upstream", broker.UpstreamAddress, false},
		"a fault upstream":       {status(500), "upstream", broker.UpstreamFailed, false},
		"another credential":     {status(401), "refused", broker.UpstreamAuth, false},
		"a lesser credential":    {status(403), "refused", broker.UpstreamDenied, false},
		"a value that no header carries": {func(f *fixture) {
			f.registry.TryAttach = func(broker.Server, map[string]secret.Value) error { return broker.ErrSecretMalformed }
		}, "store", broker.SecretMalformed, false},
		"a template that cannot be filled": {func(f *fixture) {
			f.registry.TryAttach = func(broker.Server, map[string]secret.Value) error { return broker.ErrInvalid }
		}, "syntax", broker.FieldsIncomplete, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.seed(t)
			c.given(f)
			a := f.call(t, "admin", "POST", verify, nil).want(t, 200, "")
			if a.body["cause"] != c.cause || a.body["works"] != c.works || a.body["detail"] == "" {
				t.Errorf("answered %s", a.Body)
			}
			if records := f.records(a); len(records) != 2 || records[1].Reason != c.reason {
				t.Errorf("recorded %+v", records)
			}
			f.clean(t)
		})
	}
}

// TestVerifySaysWhatTheCatalogueHasAgainstIt: before any secret is read.
func TestVerifySaysWhatTheCatalogueHasAgainstIt(t *testing.T) {
	for name, c := range map[string]struct{ store, cause string }{
		"the store is suspended":             {`{"kind":"aws-sm","paths":["prod/*"],"state":"suspended"}`, "store"},
		"the reference is outside its paths": {`{"kind":"aws-sm","paths":["staging/*"],"state":"active"}`, "syntax"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.seed(t)
			f.call(t, "root", "PUT", "/stores/aws-sm", c.store, "If-Match", `"v1"`).want(t, 200, "")
			a := f.call(t, "admin", "POST", verify, nil).want(t, 200, "")
			if a.body["cause"] != c.cause || a.body["stage"] != "card" || a.body["works"] != false || len(f.upstream().got) != 0 {
				t.Errorf("answered %s", a.Body)
			}
		})
	}
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/servers/notes", strings.Replace(serverBody, `[{"in":"header","name":"Authorization","template":"Bearer {token}"}]`,
		`[{"in":"basic","template":"{user}:{token}"}]`, 1), "If-Match", `"v1"`).want(t, 200, "")
	if a := f.call(t, "admin", "POST", verify, nil).want(t, 200, ""); a.body["cause"] != "syntax" {
		t.Errorf("fields that the server no longer has: %s", a.Body)
	}
}

// TestVerifyTellsOfACredentialThatIsNotAttached: the upstream asks for one.
func TestVerifyTellsOfACredentialThatIsNotAttached(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/servers/open", strings.Replace(serverBody, `[{"in":"header","name":"Authorization","template":"Bearer {token}"}]`, "[]", 1),
		"If-None-Match", "*").want(t, 200, "")
	f.call(t, "second", "POST", "/servers/open/approve", nil, "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/open/bindings/all", strings.Replace(bindingBody, `[{"name":"token","reference":"aws-sm:prod/notes#token"}]`, "[]", 1),
		"If-None-Match", "*").want(t, 200, "")
	f.upstream().status = 401
	if a := f.call(t, "admin", "POST", "/servers/open/bindings/all/verify", nil).want(t, 200, ""); a.body["cause"] != "pass_through_off" || a.body["works"] != false {
		t.Errorf("answered %s", a.Body)
	}
}

func TestVerifyPropagatesTheAdministratorsOwnIdentity(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/servers/notes", strings.Replace(serverBody, `"state"`, `"propagate":[{"attribute":"principal","header":"X-User"}],"state"`, 1),
		"If-Match", `"v1"`).want(t, 200, "")
	a := f.call(t, "admin", "POST", verify, nil).want(t, 200, "")
	if a.body["works"] != true || a.body["cause"] != nil || f.upstream().headers[0].Get("X-User") != "p-admin" {
		t.Errorf("answered %s, the upstream got %v", a.Body, f.upstream().headers[0])
	}
}

// TestVerifyReleasesNothingWhereCallsAreRefused: what is closed stays closed.
func TestVerifyReleasesNothingWhereCallsAreRefused(t *testing.T) {
	for reason, given := range map[string]func(*fixture){
		"environment_closed": func(f *fixture) {
			f.call(t, "root", "PUT", "/environment", `{"state":"suspended","policies":"","shadow":""}`, "If-Match", `"v1"`).want(t, 200, "")
		},
		"server_closed": func(f *fixture) {
			f.call(t, "root", "PUT", "/servers/notes", strings.Replace(serverBody, "active", "suspended", 1), "If-Match", `"v1"`).want(t, 200, "")
		},
		"binding_closed": func(f *fixture) {
			f.call(t, "root", "PUT", strings.TrimSuffix(verify, "/verify"), strings.Replace(bindingBody, "active", "suspended", 1), "If-Match", `"v1"`).want(t, 200, "")
		},
		"binding_expired": func(f *fixture) {
			f.call(t, "root", "PUT", strings.TrimSuffix(verify, "/verify"), strings.Replace(bindingBody, `"state"`, `"expires":"2020-01-01T00:00:00Z","state"`, 1), "If-Match", `"v1"`).want(t, 200, "")
		},
		"binding_pending_origin_changed": func(f *fixture) {
			s, err := f.tables.Server(t.Context(), broker.Route{Environment: "prod", Server: "notes"})
			if err != nil {
				t.Fatal(err)
			}
			s.URL = "https://elsewhere.example.com/mcp"
			if err := f.tables.PutServer(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(reason, func(t *testing.T) {
			f := newFixture(t)
			f.seed(t)
			given(f)
			a := f.call(t, "root", "POST", verify, nil).want(t, 422, "invalid")
			if detail, _ := a.body["detail"].(string); !strings.HasPrefix(detail, reason+": ") || len(f.upstream().got) != 0 {
				t.Errorf("answered %s", a.Body)
			}
			if records := f.records(a); len(records) != 1 || records[0].Phase != broker.Refused || string(records[0].Reason) != reason {
				t.Errorf("recorded %+v", records)
			}
			f.call(t, "other", "POST", verify, nil).want(t, 403, "forbidden") // and does not learn it
		})
	}
}

// TestWhoMayVerify: it takes a secret to an upstream, so reading is not enough.
func TestWhoMayVerify(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for who, status := range map[string]int{"root": 200, "admin": 200, "owner": 200, "auditor": 403, "other": 403, "nobody": 403} {
		if a := f.call(t, who, "POST", verify, nil); a.Code != status {
			t.Errorf("%s was answered %d", who, a.Code)
		}
	}
	f.call(t, "nobody", "POST", "/servers/none/bindings/none/verify", nil).want(t, 403, "forbidden")
	f.call(t, "admin", "POST", "/servers/notes/bindings/none/verify", nil).want(t, 404, "not_found")
}

// TestVerifyEndsInTime: the store's time is part of the journey's.
func TestVerifyEndsInTime(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	var left time.Duration
	f.registry.Sources[broker.Static] = sourceFunc(func(ctx context.Context) error {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return broker.ErrUnavailable
	})
	f.call(t, "admin", "POST", verify, nil).want(t, 200, "")
	if left <= 0 || left > verifyTime {
		t.Errorf("the journey had %v", left)
	}
}

type sourceFunc func(context.Context) error

func (f sourceFunc) Obtain(ctx context.Context, _ broker.Ask) (broker.Credential, error) {
	return broker.Credential{}, f(ctx)
}
