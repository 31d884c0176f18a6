package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"bindery/shared/secret"
)

// What a provider plants in its answers, and what it is sent: nothing of it may
// be in an error.
const (
	planted       = "made-up-canary-of-the-provider"
	madeUpSecret  = "made-up-client-secret:&+ %"
	madeUpRefresh = "made-up-refresh-token-01"
	madeUpCode    = "made-up-code-01"
)

var clock = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// provider is a real server that answers as it is told, and remembers what it
// was asked.
type provider struct {
	*httptest.Server
	handle func(w http.ResponseWriter, r *http.Request)

	mu    sync.Mutex
	asked []asked
}

type asked struct {
	method, path string
	closes       bool
	header       http.Header
	form         url.Values
	body         string
}

func newProvider(t testing.TB, handle func(w http.ResponseWriter, r *http.Request)) *provider {
	t.Helper()
	p := &provider{handle: handle}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		p.mu.Lock()
		p.asked = append(p.asked, asked{method: r.Method, path: r.URL.Path, closes: r.Close, header: r.Header, form: form, body: string(body)})
		p.mu.Unlock()
		p.handle(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) requests() []asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *provider) paths() (list []string) {
	for _, a := range p.requests() {
		list = append(list, a.path)
	}
	return list
}

// configured is the provider with everything at its one address.
func (p *provider) configured() Provider {
	return Provider{
		Issuer: p.URL, AuthorizationURL: p.URL + "/authorize", TokenURL: p.URL + "/token",
		RevocationURL: p.URL + "/revoke", RegistrationURL: p.URL + "/register", Configured: true,
	}
}

func requester() *Requester {
	return New(&http.Client{Transport: &http.Transport{}}, func() time.Time { return clock }, true)
}

func publicClient() Client { return Client{ID: "broker", Auth: NoAuth} }

func basicClient() Client {
	return Client{ID: "broker:&+ %", Auth: SecretBasic, Secret: secret.New(madeUpSecret)}
}

// says answers with a status and a JSON body.
func says(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { answerWith(w, status, "application/json", body) }
}

func answerWith(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Planted", planted)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// wantKind holds an error to its kind, and to holding nothing it must not.
func wantKind(t *testing.T, err, kind error) *Fault {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) || !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, canary := range []string{planted, madeUpSecret, madeUpRefresh, madeUpCode, "127.0.0.1", "http://", url.QueryEscape(madeUpSecret)} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, f), canary) {
			t.Errorf("an error holds %q: %+v", canary, err)
		}
	}
	var library *oauth2.RetrieveError
	var address *url.Error
	if errors.As(err, &library) || errors.As(err, &address) {
		t.Errorf("the library's own error is inside: %T %T", library, address)
	}
	return f
}

// ecSigner signs as a key service would.
type ecSigner struct {
	key *ecdsa.PrivateKey
	err error
}

func newSigner(t *testing.T) ecSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ecSigner{key: key}
}

func (s ecSigner) Public() crypto.PublicKey { return s.key.Public() }

func (s ecSigner) Sign(_ context.Context, input []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	digest := sha256.Sum256(input)
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return nil, err
	}
	return append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...), nil
}
