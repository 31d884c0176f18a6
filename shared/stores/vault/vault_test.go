package vault

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func mustBe(t *testing.T, found broker.Secret, err error, key, value, version string, previous ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !found.Values[key].Equal(secret.New(value)) || found.Version != version {
		t.Errorf("version %q, want %q with its value", found.Version, version)
	}
	if len(found.Previous) != len(previous) {
		t.Fatalf("%d earlier values, want %d", len(found.Previous), len(previous))
	}
	for i := range previous {
		if !found.Previous[i].Equal(secret.New(previous[i])) {
			t.Errorf("the earlier value is not %q", previous[i])
		}
	}
}

func TestReferencesOfBothVersionsOfKV(t *testing.T) {
	f := newFake(t)
	f.put("secret/data/mcp/github", `{"token":"made-up-value-one"}`)
	f.put("secret/data/mcp/github", `{"token":"made-up-value-two"}`)
	f.put("kv/mcp/github", `{"token":"made-up-value-six","data":{"token":"other"},"metadata":{"version":3}}`)
	w := f.registered(t, broker.AuthToken)
	for ref, c := range map[string][]string{
		"vault:secret/data/mcp/github#token":           {"made-up-value-two", "2", "made-up-value-one"},
		"vault:secret/data/mcp/github?version=1#token": {"made-up-value-one", "1"},
		"vault:secret/data/mcp/github?version=2#token": {"made-up-value-two", "2"},
		"vault:kv/mcp/github#token":                    {"made-up-value-six", ""},
	} {
		found, err := open(time.Now).Fetch(t.Context(), want(t, w, ref))
		mustBe(t, found, err, "token", c[0], c[1], c[2:]...)
		if !strings.Contains(found.RequestID, "request") {
			t.Errorf("%s: request id %q is not Vault's own", ref, found.RequestID)
		}
	}
	for _, ref := range []string{"vault:secret/data/mcp/github?version=3#token", "vault:secret/data/mcp/git#token", "vault:secret/mcp/github#token"} {
		if _, err := open(time.Now).Fetch(t.Context(), want(t, w, ref)); !errors.Is(err, broker.ErrSecretMissing) {
			t.Errorf("%s: %v, want ErrSecretMissing", ref, err)
		}
	}
	if _, err := open(time.Now).Fetch(t.Context(), want(t, w, "vault:kv/mcp/github?version=1#token")); !errors.Is(err, broker.ErrSecretMalformed) {
		t.Errorf("%v, want ErrSecretMalformed for a version of KV version 1", err)
	}
}

func TestMalformedReferenceSendsNothing(t *testing.T) {
	f := newFake(t)
	w := f.registered(t, broker.AuthToken)
	for _, ref := range []string{
		"vault:secret/data/x", "vault:secret#token", "vault:/secret/data/x#token", "vault:sys/seal-status#sealed", "vault:auth/token/create#x",
		"vault:cubbyhole/x#a", "vault:identity/entity#x", "vault:secret/data/x?version=-1#a", "vault:secret/data/x?version=01#a",
		"vault:secret/data/x?version=9223372036854775808#a", "vault:secret/data/x?Version=1#a",
	} {
		_, err := open(time.Now).Fetch(t.Context(), want(t, w, ref))
		if !errors.Is(err, broker.ErrInvalid) || !errors.Is(err, broker.ErrSecretMalformed) {
			t.Errorf("%s: %v, want ErrInvalid and ErrSecretMalformed", ref, err)
		}
	}
	if seen := f.seen(); len(seen) > 0 {
		t.Errorf("requests left for malformed references: %v", seen)
	}
}

func TestPathIsSentAsItIsAndNotInterpreted(t *testing.T) {
	f := newFake(t)
	w := f.registered(t, broker.AuthToken)
	w.Namespace = "team/git/"
	_, err := open(time.Now).Fetch(t.Context(), want(t, w, `vault:secret/data/a%2f..%2fb\c#token`))
	if !errors.Is(err, broker.ErrSecretMissing) {
		t.Fatal(err)
	}
	if seen := f.seen(); len(seen) != 1 || seen[0] != "GET /v1/secret/data/a%252f..%252fb%5Cc?" {
		t.Errorf("sent %v", seen)
	}
	if h := f.heads[0]; h.Get("X-Vault-Namespace") != "team/git" || h.Get("X-Vault-Request") != "true" || h.Get("X-Vault-Token") != rootToken {
		t.Error("a header is missing")
	}
}

// The version before that was deleted has no value to mask; one that cannot be
// read could have.
func TestVersionBeforeIsMaskedOrNobodyIsAnswered(t *testing.T) {
	f := newFake(t)
	for _, object := range []string{`{"token":"made-up-value-one"}`, "", `{"token":"made-up-value-three"}`} {
		f.put("secret/data/a", object)
	}
	w := want(t, f.registered(t, broker.AuthToken), "vault:secret/data/a#token")
	found, err := open(time.Now).Fetch(t.Context(), w)
	mustBe(t, found, err, "token", "made-up-value-three", "3")

	f.put("secret/data/a", `{"token":"made-up-value-four"}`)
	f.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("version") == "" {
			return false
		}
		rw.WriteHeader(http.StatusInternalServerError)
		return true
	}
	if found, err := open(time.Now).Fetch(t.Context(), w); !errors.Is(err, broker.ErrUnavailable) || found.Values != nil {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}

func TestErrorsAreTranslatedAndOnlyTheStatusPasses(t *testing.T) {
	const canary = "canary-5b1f0e7a93"
	for status, kind := range map[int]error{
		301: broker.ErrUnavailable, 307: broker.ErrUnavailable, 400: broker.ErrStoreDenied, 401: broker.ErrStoreDenied, 403: broker.ErrStoreDenied,
		404: broker.ErrSecretMissing, 405: broker.ErrStoreDenied, 412: broker.ErrUnavailable, 429: broker.ErrUnavailable, 472: broker.ErrUnavailable,
		500: broker.ErrUnavailable, 502: broker.ErrUnavailable, 503: broker.ErrUnavailable,
	} {
		f := newFake(t)
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"errors":["` + canary + `"]}`))
			return true
		}
		_, err := open(time.Now).Fetch(t.Context(), want(t, f.registered(t, broker.AuthToken), "vault:secret/data/"+canary+"#token"))
		mustBeQuiet(t, f, err, kind, canary)
	}
}

func mustBeQuiet(t *testing.T, f *fakeVault, err, kind error, canary string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%v, want %v", err, kind)
	}
	if err != nil && (strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), strings.TrimPrefix(f.URL, "http://")) || strings.Contains(err.Error(), "made-up")) {
		t.Errorf("%q says more than status and kind", err)
	}
}

func TestHostileAnswers(t *testing.T) {
	const canary = "canary-5b1f0e7a93"
	created := `"metadata":{"version":2,"created_time":"2026-03-04T05:06:07Z"}`
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"no JSON":                {canary, broker.ErrUnavailable},
		"cut short":              {`{"data":{"token":"` + canary, broker.ErrUnavailable},
		"too large":              {`{"data":{"token":"` + canary + strings.Repeat("a", maxAnswer) + `"}}`, broker.ErrUnavailable},
		"nothing":                {`{}`, broker.ErrSecretMissing},
		"null":                   {`{"data":null}`, broker.ErrSecretMissing},
		"a list":                 {`{"data":["` + canary + `"]}`, broker.ErrSecretMalformed},
		"a member twice":         {`{"data":{"data":{"token":"` + canary + `","token":"b"},` + created + `}}`, broker.ErrSecretMalformed},
		"a lease":                {`{"lease_id":"database/creds/x/1","data":{"token":"` + canary + `"}}`, broker.ErrSecretMalformed},
		"destroyed":              {`{"data":{"data":{"token":"` + canary + `"},"metadata":{"version":2,"created_time":"2026-03-04T05:06:07Z","destroyed":true}}}`, broker.ErrSecretMissing},
		"another version before": {`{"data":{"data":{"token":"` + canary + `"},` + created + `}}`, nil},
	} {
		f := newFake(t)
		f.before = func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(c.body)); return true }
		found, err := open(time.Now).Fetch(t.Context(), want(t, f.registered(t, broker.AuthToken), "vault:secret/data/x#token"))
		if c.want == nil { // asked for version 1 it answered about 2: nothing to mask
			mustBe(t, found, err, "token", canary, "2")
			continue
		}
		t.Run(name, func(t *testing.T) { mustBeQuiet(t, f, err, c.want, canary) })
	}
}

func TestRequestIDThatIsNoneIsNotRecorded(t *testing.T) {
	for _, id := range []string{"canary in a line", strings.Repeat("a", 65), `a\u000ab`} {
		f := newFake(t)
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"request_id":"` + id + `","data":{"token":"made-up-value-one"}}`))
			return true
		}
		found, err := open(time.Now).Fetch(t.Context(), want(t, f.registered(t, broker.AuthToken), "vault:kv/x#token"))
		if err != nil || found.RequestID != "" {
			t.Errorf("request id %q, %v", found.RequestID, err)
		}
	}
}

func TestServerThatIsGoneOrSlow(t *testing.T) {
	f := newFake(t)
	w := want(t, f.registered(t, broker.AuthToken), "vault:kv/x#token")
	f.before = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	s := open(time.Now)
	s.timeout = 20 * time.Millisecond
	_, err := s.Fetch(t.Context(), w)
	mustBeQuiet(t, f, err, broker.ErrUnavailable, "kv/x")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded in its chain", err)
	}
	f.Close()
	_, err = open(time.Now).Fetch(t.Context(), w)
	mustBeQuiet(t, f, err, broker.ErrUnavailable, "kv/x")
}

func TestRegistrationIsNotTrustedBecauseItIsARow(t *testing.T) {
	f := newFake(t)
	for name, change := range map[string]func(*broker.Store){
		"no address": func(s *broker.Store) { s.Address = "" }, "a query": func(s *broker.Store) { s.Address += "?x=y" },
		"an escape": func(s *broker.Store) { s.Address += "/%2e%2e/" }, "a mount that climbs": func(s *broker.Store) { s.Auth.Mount = "jwt/../sys" },
		"a mount that ends the path": func(s *broker.Store) { s.Auth.Mount = "jwt?x" }, "a header in a namespace": func(s *broker.Store) { s.Namespace = "a\r\nX: y" },
		"a header in a server id": func(s *broker.Store) { s.Auth.ServerID = "a\nb" }, "an empty namespace": func(s *broker.Store) { s.Namespace = "/" },
	} {
		s := f.registered(t, broker.AuthJWT)
		change(&s)
		if _, err := open(time.Now).Fetch(t.Context(), want(t, s, "vault:kv/x#token")); !errors.Is(err, broker.ErrStoreDenied) || !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen := f.seen(); len(seen) > 0 {
		t.Errorf("sent %v", seen)
	}
}

// TestTrips states what a Fetch costs.
func TestTrips(t *testing.T) {
	f, c := newFake(t), newClock()
	f.put("secret/data/a", `{"token":"made-up-value-one"}`)
	f.put("secret/data/a", `{"token":"made-up-value-two"}`)
	f.put("kv/a", `{"token":"made-up-value-one"}`)
	s, registered := open(c.now), f.registered(t, broker.AuthJWT)
	trips := func(ref string) int {
		found, err := s.Fetch(t.Context(), want(t, registered, ref))
		if err != nil || found.Values["token"].IsZero() {
			t.Fatal(err)
		}
		return len(f.seen())
	}
	two, one := "vault:secret/data/a#token", "vault:kv/a#token"
	got := []int{trips(two), trips(two), trips(one), trips("vault:secret/data/a?version=1#token")}
	c.pass(pairLife)
	got = append(got, trips(two))
	f.put("secret/data/a", `{"token":"made-up-value-three"}`)
	got = append(got, trips(two), trips(two))
	if want := []int{3, 1, 1, 1, 2, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("trips %v, want %v: sign in, current and previous; then current alone", got, want)
	}
}
