package maker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/maker"
	"bindery/shared/secret"
)

const canary = "canary-3f9ab2c7d1" // made up

// upstream issues keys and remembers what it was asked.
type upstream struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

func serve(t *testing.T, answer http.HandlerFunc) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.got = append(u.got, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization")+" "+string(body)))
		u.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) asked() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.got...)
}

func recipes() *maker.Recipe {
	return &maker.Recipe{Client: func(n []netip.Prefix) maker.Client { return egress.New(egress.Policy{Loopback: true, Networks: n}) }}
}

func issuing(u *upstream) broker.Making {
	return broker.Making{Server: broker.Server{URL: u.URL + "/mcp"}, Fields: map[string]secret.Value{"token": secret.New("made-up-present-token")},
		Plan: broker.RotationPlan{Recipe: broker.Recipe{
			Issue: broker.RecipeCall{Method: "POST", URL: u.URL + "/keys", Headers: map[string]string{"Authorization": "Bearer {token}"}, Body: `{"label":"bindery","by":"{token}","days":30}`},
			Value: "/key/secrets/0/value", Keep: "/key/id",
			Retire: broker.RecipeCall{Method: "DELETE", URL: u.URL + "/keys/{old}?hard=1", Headers: map[string]string{"Authorization": "Bearer {token}"}},
		}}}
}

func writes(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const issued = `{"key":{"id":4711,"secrets":[{"value":"` + canary + `-new"}]}}`

func TestAKeyIsIssuedAndAnOlderOneEnded(t *testing.T) {
	u := serve(t, writes(201, "application/json; charset=utf-8", issued))
	m := issuing(u)
	made, err := recipes().Make(t.Context(), m)
	if err != nil || !made.Value.Equal(secret.New(canary+"-new")) || !made.Keep.Equal(secret.New("4711")) {
		t.Fatalf("made %v, %v", made, err)
	}
	if err := recipes().Retire(t.Context(), m, secret.New("4710")); err != nil {
		t.Fatal(err)
	}
	if err := recipes().Withdraw(t.Context(), m, made); err != nil {
		t.Fatal(err)
	}
	want := []string{`POST /keys Bearer made-up-present-token {"by":"made-up-present-token","days":30,"label":"bindery"}`,
		"DELETE /keys/4710?hard=1 Bearer made-up-present-token", "DELETE /keys/4711?hard=1 Bearer made-up-present-token"}
	if got := u.asked(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it was asked\n%s", strings.Join(got, "\n"))
	}
}

func TestToEndWhatIsOverSucceedsAndWhatHasNoNameIsLeft(t *testing.T) {
	for _, status := range []int{200, 204, 404, 410} {
		u := serve(t, writes(status, "text/html", "<html>"))
		if err := recipes().Retire(t.Context(), issuing(u), secret.New("4710")); status != 200 && err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	u := serve(t, writes(200, "application/json", "{}"))
	m := issuing(u)
	if err := recipes().Retire(t.Context(), m, secret.Value{}); err != nil {
		t.Error(err)
	}
	m.Plan.Recipe.Retire = broker.RecipeCall{}
	if err := recipes().Retire(t.Context(), m, secret.New("4710")); err != nil || len(u.asked()) != 0 {
		t.Errorf("%v after %v", err, u.asked())
	}
}

// TestHostileAnswers: what cannot be used was issued all the same, so it is ended
// where it has a name; where not, it is said that nobody knows.
func TestHostileAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
		calls  int
	}{
		"a page":                     {writes(200, "text/html", issued), broker.ErrOutcomeUnknown, 1},
		"no JSON":                    {writes(200, "application/json", canary), broker.ErrOutcomeUnknown, 1},
		"a repeated name":            {writes(200, "application/json", `{"key":{"id":"1","id":"2"}}`), broker.ErrOutcomeUnknown, 1},
		"no UTF-8":                   {writes(200, "application/json", "{\"key\":\"\xff\"}"), broker.ErrOutcomeUnknown, 1},
		"nothing at the pointer":     {writes(200, "application/json", `{"key":[]}`), broker.ErrOutcomeUnknown, 1},
		"a value that is no text":    {writes(200, "application/json", `{"key":{"id":"4711","secrets":[{"value":{"a":"`+canary+`"}}]}}`), broker.ErrProviderRefused, 2},
		"a value that is empty":      {writes(200, "application/json", `{"key":{"id":"4711","secrets":[{"value":""}]}}`), broker.ErrProviderRefused, 2},
		"a huge value":               {writes(200, "application/json", `{"key":{"id":"4711","secrets":[{"value":"`+strings.Repeat("x", 20<<10)+`"}]}}`), broker.ErrProviderRefused, 2},
		"an endless answer":          {writes(200, "application/json", `{"a":"`+strings.Repeat("x", 128<<10)), broker.ErrOutcomeUnknown, 1},
		"a name that moves the path": {writes(200, "application/json", `{"key":{"id":"../../all","secrets":[{}]}}`), broker.ErrOutcomeUnknown, 1},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			writes(200, "application/json", issued)(w, r)
		}, broker.ErrOutcomeUnknown, 1},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere/"+canary, http.StatusTemporaryRedirect)
		}, broker.ErrProviderRefused, 1},
		"it refuses":                 {writes(403, "application/json", `{"error":"`+canary+`"}`), broker.ErrProviderRefused, 1},
		"it has enough":              {writes(429, "text/plain", canary), broker.ErrUnavailable, 1},
		"it fails, and may have not": {writes(500, "text/plain", canary), broker.ErrOutcomeUnknown, 1},
		"its answer is lost":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, broker.ErrOutcomeUnknown, 1},
	} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, c.answer)
			made, err := recipes().Make(t.Context(), issuing(u))
			if !errors.Is(err, c.want) || !made.Value.IsZero() {
				t.Errorf("%v", err)
			}
			if c.want != broker.ErrOutcomeUnknown && errors.Is(err, broker.ErrOutcomeUnknown) {
				t.Errorf("it is known what became of it, but %v", err)
			}
			if got := u.asked(); len(got) != c.calls {
				t.Errorf("it was asked %d times", len(got))
			}
			if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "made-up") || strings.Contains(err.Error(), "127.0.0.1")) {
				t.Errorf("the error says %q", err)
			}
		})
	}
}

func TestAnUpstreamThatIsNotThereWasNotAsked(t *testing.T) {
	u := serve(t, writes(200, "application/json", issued))
	m := issuing(u)
	u.Close()
	if _, err := recipes().Make(t.Context(), m); !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Error(err)
	}
}

func TestASilentUpstreamIsOfUnknownOutcome(t *testing.T) {
	stop := make(chan struct{})
	u := serve(t, func(http.ResponseWriter, *http.Request) { <-stop })
	t.Cleanup(func() { close(stop) })
	for patience := 100 * time.Millisecond; len(u.asked()) == 0; patience *= 2 { // on a busy machine it can be over before anything is sent
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := recipes().Make(ctx, issuing(u))
		cancel()
		if unknown := errors.Is(err, broker.ErrOutcomeUnknown); err == nil || len(u.asked()) > 0 && !unknown {
			t.Fatal(err)
		}
	}
}

// TestAValueCannotChangeWhatARequestMeans: nothing is sent then.
func TestAValueCannotChangeWhatARequestMeans(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(c *broker.RecipeCall)
		value string
		want  error
	}{
		"a header's end":         {func(c *broker.RecipeCall) { c.Headers = map[string]string{"X": "{token}"} }, "a\r\nX-Admin: 1", broker.ErrSecretMalformed},
		"a path":                 {func(c *broker.RecipeCall) { c.URL += "/{token}" }, "a/../admin", broker.ErrSecretMalformed},
		"a dot segment":          {func(c *broker.RecipeCall) { c.URL += "/{token}/x" }, "..", broker.ErrSecretMalformed},
		"a parameter":            {func(c *broker.RecipeCall) { c.URL += "?a={token}" }, "b&admin=1", broker.ErrSecretMalformed},
		"an encoded slash":       {func(c *broker.RecipeCall) { c.URL += "/{token}" }, "a%2Fb", broker.ErrSecretMalformed},
		"a host":                 {func(c *broker.RecipeCall) { c.URL = "https://{token}/keys" }, "evil.example", broker.ErrInvalid},
		"part of a host":         {func(c *broker.RecipeCall) { c.URL = "https://api.example{token}/keys" }, "evil.example", broker.ErrInvalid},
		"a user":                 {func(c *broker.RecipeCall) { c.URL = "https://user@api.example/keys" }, "x", broker.ErrInvalid},
		"another's host header":  {func(c *broker.RecipeCall) { c.Headers = map[string]string{"host": "x"} }, "x", broker.ErrInvalid},
		"a header of two":        {func(c *broker.RecipeCall) { c.Headers = map[string]string{"a: b\r\nc": "x"} }, "x", broker.ErrInvalid},
		"a field that is not":    {func(c *broker.RecipeCall) { c.Body = `{"a":"{other}"}` }, "x", broker.ErrSecretMissing},
		"the old one, too early": {func(c *broker.RecipeCall) { c.URL += "/{old}" }, "x", broker.ErrSecretMissing},
		"a body that is no JSON": {func(c *broker.RecipeCall) { c.Body = `{"a":{token}}` }, "x", broker.ErrInvalid},
		"a body of two":          {func(c *broker.RecipeCall) { c.Body = `{"a":1}{"b":"{token}"}` }, "x", broker.ErrInvalid},
		"no text":                {func(c *broker.RecipeCall) { c.Body = `{"a":"{token}"}` }, "\xff", broker.ErrSecretMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, writes(200, "application/json", issued))
			m := issuing(u)
			m.Plan.Recipe.Issue.Headers = nil
			m.Fields["token"] = secret.New(c.value)
			c.spoil(&m.Plan.Recipe.Issue)
			if _, err := recipes().Make(t.Context(), m); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if got := u.asked(); len(got) != 0 {
				t.Errorf("it was asked %v", got)
			}
		})
	}
}

func TestInABodyAValueStaysAText(t *testing.T) {
	const wicked = "a\",\"admin\":true,\"b\":\"</script>\n\u2028"
	u := serve(t, writes(200, "application/json", issued))
	m := issuing(u)
	m.Plan.Recipe.Issue.Headers = nil
	m.Fields["token"] = secret.New(wicked)
	if _, err := recipes().Make(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := u.asked()[0]; strings.Contains(got, `"admin":true`) || !strings.Contains(got, `\"admin\":true`) {
		t.Errorf("it was asked %s", got)
	}
}

// TestNetworksAreOpenedForTheServersOwnOriginAlone: a recipe at another address
// may not reach where the server may.
func TestNetworksAreOpenedForTheServersOwnOriginAlone(t *testing.T) {
	u, other := serve(t, writes(200, "application/json", issued)), serve(t, writes(200, "application/json", issued))
	opened := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	var asked []int
	r := &maker.Recipe{Client: func(n []netip.Prefix) maker.Client {
		asked = append(asked, len(n))
		return egress.New(egress.Policy{Loopback: true})
	}}
	m := issuing(u)
	m.Server.Networks = opened
	_, err := r.Make(t.Context(), m)
	m.Plan.Recipe.Issue.URL = other.URL + "/keys"
	_, second := r.Make(t.Context(), m)
	if err = errors.Join(err, second); err != nil || fmt.Sprint(asked) != "[1 0]" {
		t.Errorf("%v, %v", asked, err)
	}
}

func TestRandomValuesAreOfTheirAlphabetAndNeverTwice(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range []broker.Random{{Length: 16}, {Length: 512}, {Length: 40, Alphabet: "0123456789abcdef"}} {
		for range 50 {
			made, err := maker.Random{}.Make(t.Context(), broker.Making{Plan: broker.RotationPlan{Random: r}})
			if err != nil {
				t.Fatal(err)
			}
			text := made.Value.Reveal()
			if len(text) != r.Length || seen[text] || r.Alphabet != "" && strings.Trim(text, r.Alphabet) != "" {
				t.Fatalf("made %q", text)
			}
			seen[text] = true
		}
	}
	for _, r := range []broker.Random{{}, {Length: 15}, {Length: 513}, {Length: 20, Alphabet: "a"}} {
		if _, err := (maker.Random{}).Make(t.Context(), broker.Making{Plan: broker.RotationPlan{Random: r}}); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
