package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"bindery/shared/broker"
	"bindery/shared/brokertest/secretsuite"
	"bindery/shared/secret"
)

const rootToken = "made-up-root-token"

// fakeVault is a server with KV version 2 at secret/ and version 1 at kv/. It
// gives the tokens token-1, token-2, ... to whoever signs in.
type fakeVault struct {
	*httptest.Server

	mu      sync.Mutex
	two     map[string][]string // versions; an empty one was deleted
	one     map[string]string
	lease   int
	issued  int
	revoked map[string]bool
	logins  []map[string]string
	heads   []http.Header
	paths   []string
	// before answers instead where it returns true.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newFake(t testing.TB) *fakeVault {
	f := &fakeVault{two: map[string][]string{}, one: map[string]string{}, revoked: map[string]bool{}, lease: 3600}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.paths, f.heads = append(f.paths, r.Method+" "+r.URL.EscapedPath()+"?"+r.URL.RawQuery), append(f.heads, r.Header.Clone())
	before := f.before
	f.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	token := r.Header.Get("X-Vault-Token")
	switch {
	case strings.HasPrefix(path, "auth/"):
		f.login(w, r)
	case token != rootToken && !strings.HasPrefix(token, "token-") || f.revoked[token]:
		http.Error(w, `{"errors":["canary-permission denied"]}`, http.StatusForbidden)
	case f.one[path] != "":
		fmt.Fprintf(w, `{"request_id":"request-1","lease_id":"","renewable":false,"lease_duration":2764800,"data":%s,"warnings":null}`, f.one[path])
	case strings.HasPrefix(path, "secret/data/"):
		f.versioned(w, f.two[path], r.URL.Query().Get("version"))
	default:
		http.Error(w, `{"errors":[]}`, http.StatusNotFound)
	}
}

func (f *fakeVault) login(w http.ResponseWriter, r *http.Request) {
	var sent map[string]string
	if json.NewDecoder(r.Body).Decode(&sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.logins = append(f.logins, sent)
	f.issued++
	fmt.Fprintf(w, `{"request_id":"r","data":null,"auth":{"client_token":"token-%d","lease_duration":%d,"renewable":true}}`, f.issued, f.lease)
}

func (f *fakeVault) versioned(w http.ResponseWriter, versions []string, asked string) {
	n := len(versions)
	if asked != "" {
		n, _ = strconv.Atoi(asked)
	}
	if n < 1 || n > len(versions) {
		http.Error(w, `{"errors":[]}`, http.StatusNotFound)
		return
	}
	metadata := fmt.Sprintf(`{"created_time":"2026-03-04T05:06:%02dZ","custom_metadata":null,"deletion_time":"","destroyed":false,"version":%d}`, n, n)
	material := versions[n-1]
	if material == "" {
		w.WriteHeader(http.StatusNotFound)
		material = "null"
	}
	fmt.Fprintf(w, `{"request_id":"0b1c-request","lease_id":"","data":{"data":%s,"metadata":%s},"auth":null}`, material, metadata)
}

func (f *fakeVault) put(path, object string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasPrefix(path, "secret/") {
		f.two[path] = append(f.two[path], object)
	} else {
		f.one[path] = object
	}
}

func (f *fakeVault) remove(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.two[path]; len(v) > 0 {
		v[len(v)-1] = ""
	}
	delete(f.one, path)
}

// seen gives the requests since it was last asked.
func (f *fakeVault) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	paths := f.paths
	f.paths = nil
	return paths
}

// clock is moved by the test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func newClock() *clock { return &clock{at: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }

func open(now func() time.Time) *Store {
	return New(Parts{Client: func([]netip.Prefix) Client { return http.DefaultClient },
		AWS: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "made-up-secret-key", "made-up-session"), Now: now})
}

var _ aws.CredentialsProvider = credentials.StaticCredentialsProvider{}

// registered is a registration of the fake that signs in by a method.
func (f *fakeVault) registered(t testing.TB, method broker.AuthMethod) broker.Store {
	t.Helper()
	s := broker.Store{Environment: "prod", Name: "vault", Kind: "vault", Paths: broker.Scope{"*"}, Version: 1, State: broker.Active,
		Address: f.URL, Auth: broker.StoreAuth{Method: method}}
	switch method {
	case broker.AuthNone:
		t.Fatal("Vault is signed in to")
	case broker.AuthToken:
		s.Auth.Credential = reference(t, "sealed:vault-token")
	case broker.AuthJWT:
		s.Auth.Mount, s.Auth.Role, s.Auth.Credential = "jwt", "bindery", reference(t, "sealed:vault-jwt")
	case broker.AuthAWSIAM:
		s.Auth.Mount, s.Auth.Role, s.Auth.ServerID = "aws/prod", "bindery", "vault.example.com"
	}
	return s
}

func reference(t testing.TB, s string) broker.Reference {
	t.Helper()
	r, err := broker.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// want asks for the key of a reference, as credential.Static does.
func want(t testing.TB, s broker.Store, ref string) broker.Want {
	t.Helper()
	r := reference(t, ref)
	w := broker.Want{Reference: r.WithoutKey(), Keys: []string{r.Key()}, Environment: "prod", Origin: "origin", Store: s}
	if !s.Auth.Credential.IsZero() {
		w.Credential = func(context.Context) (secret.Value, error) { return secret.New(rootToken), nil }
	}
	return w
}

// backend runs the suite against a server; put takes an object.
func backend(open func() broker.SecretStore, w broker.Want, folder string, put func(t *testing.T, path, object string), remove func(t *testing.T, path string)) secretsuite.Backend {
	return secretsuite.Backend{
		Scheme: "vault", Environment: "prod", Origin: "origin", Folder: folder, Store: w.Store, Credential: w.Credential,
		Whole: "whole", Unversioned: !strings.Contains(folder, "/data/"), Open: open, Remove: remove,
		Put: func(t *testing.T, path, material string) {
			if !strings.HasPrefix(material, "{") || !json.Valid([]byte(material)) {
				var text bytes.Buffer
				if err := json.NewEncoder(&text).Encode(map[string]string{"whole": material}); err != nil {
					t.Fatal(err)
				}
				material = text.String()
			}
			put(t, path, material)
		},
	}
}

func TestSuiteOnFake(t *testing.T) {
	for _, folder := range []string{"secret/data/team/", "kv/team/"} {
		t.Run(folder, func(t *testing.T) {
			secretsuite.Run(t, func(t *testing.T) secretsuite.Backend {
				f := newFake(t)
				return backend(func() broker.SecretStore { return open(time.Now) }, want(t, f.registered(t, broker.AuthToken), "vault:a/b#c"), folder,
					func(_ *testing.T, path, object string) { f.put(path, object) }, func(_ *testing.T, path string) { f.remove(path) })
			})
		})
	}
}
