package vault

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

const ref = "vault:kv/a#token"

func (f *fakeVault) revoke(token string) { f.mu.Lock(); defer f.mu.Unlock(); f.revoked[token] = true }

func (f *fakeVault) signedIn() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.logins) }

func newFilled(t testing.TB) *fakeVault {
	f := newFake(t)
	f.put("kv/a", `{"token":"made-up-value-one"}`)
	return f
}

func TestTokenIsUsedUntilShortlyBeforeItsEnd(t *testing.T) {
	f, c := newFilled(t), newClock()
	f.lease = 1000
	s, w := open(c.now), want(t, f.registered(t, broker.AuthJWT), ref)
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{0, 1}, {889 * time.Second, 1}, {time.Second, 2}, {800 * time.Second, 2}, {100 * time.Second, 3}} {
		c.pass(step.pass)
		if _, err := s.Fetch(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if n := f.signedIn(); n != step.want {
			t.Errorf("%d sign-ins after %s more, want %d", n, step.pass, step.want)
		}
	}
}

func TestTokenLifeHasABound(t *testing.T) {
	for _, lease := range []int{0, 1 << 40} {
		f, c := newFilled(t), newClock()
		f.lease = lease
		s, w := open(c.now), want(t, f.registered(t, broker.AuthJWT), ref)
		for range 2 {
			if _, err := s.Fetch(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			c.pass(maxLife)
		}
		if n := f.signedIn(); n != 2 {
			t.Errorf("lease %d: %d sign-ins, want 2", lease, n)
		}
	}
}

func TestRevokedTokenIsReplacedOnceAndAFreshOneIsNotBlamed(t *testing.T) {
	f, c := newFilled(t), newClock()
	s, w := open(c.now), want(t, f.registered(t, broker.AuthJWT), ref)
	if _, err := s.Fetch(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	f.revoke("token-1")
	c.pass(fresh)
	if found, err := s.Fetch(t.Context(), w); err != nil || f.signedIn() != 2 {
		t.Fatalf("%v with %d sign-ins: %d values", err, f.signedIn(), len(found.Values))
	}
	f.before = func(rw http.ResponseWriter, r *http.Request) bool { // the policy denies the path
		denied := r.Method == http.MethodGet
		if denied {
			rw.WriteHeader(http.StatusForbidden)
		}
		return denied
	}
	for range 3 {
		if _, err := s.Fetch(t.Context(), w); !errors.Is(err, broker.ErrStoreDenied) {
			t.Errorf("%v, want ErrStoreDenied", err)
		}
	}
	if n := f.signedIn(); n != 2 {
		t.Errorf("a denied path cost %d sign-ins", n-2)
	}
	c.pass(fresh)
	if _, err := s.Fetch(t.Context(), w); !errors.Is(err, broker.ErrStoreDenied) || f.signedIn() != 3 {
		t.Errorf("%v with %d sign-ins", err, f.signedIn())
	}
}

func TestOneCallerSignsInForAll(t *testing.T) {
	f := newFilled(t)
	s, w := open(time.Now), want(t, f.registered(t, broker.AuthJWT), ref)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.Fetch(t.Context(), w); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := f.signedIn(); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}

func TestWaitingForATurnEndsWithTheCall(t *testing.T) {
	f := newFilled(t)
	signing := make(chan struct{})
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that its client is gone
		close(signing)
		<-r.Context().Done()
		return true
	}
	s, w := open(time.Now), want(t, f.registered(t, broker.AuthJWT), ref)
	ctx, cancel := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() { _, _ = s.Fetch(ctx, w) })
	<-signing
	late, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Fetch(late, w); !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	cancel()
	first.Wait()
}

// A registration that changed, or the one of another environment, must not be
// served with the token of the former.
func TestTokenBelongsToOneRegistration(t *testing.T) {
	f := newFilled(t)
	s := open(time.Now)
	changes := []func(*broker.Store){
		func(*broker.Store) {}, func(r *broker.Store) { r.Version = 2 }, func(r *broker.Store) { r.Auth.Role = "other" },
		func(r *broker.Store) { r.Namespace = "other" }, func(r *broker.Store) { r.Address += "/" },
	}
	for i, change := range changes {
		r := f.registered(t, broker.AuthJWT)
		change(&r)
		if _, err := s.Fetch(t.Context(), want(t, r, ref)); err != nil {
			t.Fatal(err)
		}
		if n := f.signedIn(); n != i+1 {
			t.Errorf("change %d: %d sign-ins", i, n)
		}
	}
	w := want(t, f.registered(t, broker.AuthJWT), ref)
	w.Environment = "staging"
	if _, err := s.Fetch(t.Context(), w); err != nil || f.signedIn() != len(changes)+1 {
		t.Errorf("another environment: %v, %d sign-ins", err, f.signedIn())
	}
}

func TestStaticTokenThatWasRotatedIsReadAgain(t *testing.T) {
	f, c := newFilled(t), newClock()
	token, reads := rootToken, 0
	w := want(t, f.registered(t, broker.AuthToken), ref)
	w.Credential = func(context.Context) (secret.Value, error) { reads++; return secret.New(token), nil }
	s := open(c.now)
	for _, step := range []func(){func() {}, func() {}, func() { f.revoke(token); token = "token-new"; c.pass(fresh) }, func() { c.pass(staticLife) }} {
		step()
		if _, err := s.Fetch(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if reads != 3 {
		t.Errorf("%d reads of the credential, want 3: at first, when it was refused, when it grew old", reads)
	}
}

func TestJWTGoesToItsMountAndNowhereElse(t *testing.T) {
	f := newFilled(t)
	if _, err := open(time.Now).Fetch(t.Context(), want(t, f.registered(t, broker.AuthJWT), ref)); err != nil {
		t.Fatal(err)
	}
	if seen := f.seen(); seen[0] != "POST /v1/auth/jwt/login?" {
		t.Errorf("sent %v", seen)
	}
	if l := f.logins[0]; l["jwt"] != rootToken || l["role"] != "bindery" || len(l) != 2 {
		t.Error("the login is not role and jwt")
	}
	for _, h := range f.heads {
		if strings.Contains(h.Get("X-Vault-Token"), rootToken) {
			t.Error("the JWT was sent as a token")
		}
	}
}

func TestSignedIdentityIsForOneServer(t *testing.T) {
	f, c := newFilled(t), newClock()
	if _, err := open(c.now).Fetch(t.Context(), want(t, f.registered(t, broker.AuthAWSIAM), ref)); err != nil {
		t.Fatal(err)
	}
	l := f.logins[0]
	plain := map[string]string{}
	for name, value := range l {
		text, _ := base64.StdEncoding.DecodeString(value)
		plain[name] = string(text)
	}
	var headers http.Header
	if err := json.Unmarshal([]byte(plain["iam_request_headers"]), &headers); err != nil {
		t.Fatal(err)
	}
	if l["role"] != "bindery" || l["iam_http_request_method"] != "POST" || plain["iam_request_url"] != stsURL || plain["iam_request_body"] != stsBody {
		t.Errorf("login %v", plain)
	}
	signature := headers.Get("Authorization")
	if !strings.Contains(signature, "Credential=AKIDEXAMPLE/20260304/us-east-1/sts/aws4_request") ||
		!strings.Contains(signature, ";x-vault-aws-iam-server-id,") || headers.Get("X-Vault-Aws-Iam-Server-Id") != "vault.example.com" {
		t.Errorf("signed %q for %q", signature, headers.Get("X-Vault-Aws-Iam-Server-Id"))
	}
	if strings.Contains(plain["iam_request_headers"]+plain["iam_request_body"], "made-up-secret-key") {
		t.Error("the secret key was sent")
	}
}

func TestSignInThatFailsReleasesNothing(t *testing.T) {
	const canary = "canary-5b1f0e7a93"
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"denied": {400, canary, broker.ErrStoreDenied}, "no such mount": {404, canary, broker.ErrStoreDenied}, "sealed": {503, canary, broker.ErrUnavailable},
		"a second factor": {200, `{"auth":{"client_token":"","mfa_requirement":{}}}`, broker.ErrStoreDenied}, "no JSON": {200, canary, broker.ErrUnavailable},
		"a token with a line end": {200, `{"auth":{"client_token":"` + canary + `\n","lease_duration":60}}`, broker.ErrUnavailable},
		"a life before the birth": {200, `{"auth":{"client_token":"` + canary + `","lease_duration":-60}}`, broker.ErrUnavailable},
	} {
		f := newFilled(t)
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
			return true
		}
		_, err := open(time.Now).Fetch(t.Context(), want(t, f.registered(t, broker.AuthJWT), ref))
		t.Run(name, func(t *testing.T) { mustBeQuiet(t, f, err, c.want, canary) })
	}
	f := newFilled(t)
	for name, credential := range map[string]func(context.Context) (secret.Value, error){
		"none":     nil,
		"failing":  func(context.Context) (secret.Value, error) { return secret.Value{}, broker.ErrSecretMissing },
		"empty":    func(context.Context) (secret.Value, error) { return secret.Value{}, nil },
		"line end": func(context.Context) (secret.Value, error) { return secret.New(canary + "\n"), nil },
	} {
		w := want(t, f.registered(t, broker.AuthJWT), ref)
		w.Credential = credential
		if _, err := open(time.Now).Fetch(t.Context(), w); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen := f.seen(); len(seen) > 0 {
		t.Errorf("sent %v without a credential", seen)
	}
}

// canned is a server without a network: what is measured is the adapter.
type canned string

func (c canned) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(c))), Request: r}, nil
}

func BenchmarkWarmFetch(b *testing.B) {
	f := newFake(b)
	s, w := open(time.Now), want(b, f.registered(b, broker.AuthToken), "vault:secret/data/a#token")
	answer := canned(`{"request_id":"0b1c-request","lease_id":"","data":{"data":{"token":"made-up-value-two"},` +
		`"metadata":{"version":1,"created_time":"2026-03-04T05:06:07Z"}},"auth":null}`)
	s.client = func([]netip.Prefix) Client { return answer }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Fetch(b.Context(), w); err != nil {
			b.Fatal(err)
		}
	}
}
