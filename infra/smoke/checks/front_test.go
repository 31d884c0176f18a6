package checks

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// good answers as a deployment does: API Gateway, authorizer and proxy in one. It
// streams one event and then keeps still. The compiled functions behind the small
// API Gateway are tried in tests/compiled.
func good(a *account) http.Handler {
	refuse := func(w http.ResponseWriter, status, code int, challenge string) {
		if challenge != "" {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":null,"error":{"code":%d,"message":"no"}}`, code)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, 14040, "") })
	mux.HandleFunc("GET /.well-known/oauth-protected-resource/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"resource":"https://%s%s","authorization_servers":["https://login.example.com"]}`, r.Host, strings.TrimPrefix(r.URL.Path, "/.well-known/oauth-protected-resource"))
	})
	mux.HandleFunc("OPTIONS /mcp/prod/{server}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "https://"+r.Host {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/mcp/prod/{server}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); {
		case token == "narrow" && r.PathValue("server") == "notes":
			refuse(w, http.StatusForbidden, 14031, `Bearer error="insufficient_scope", scope="mcp", resource_metadata="https://x"`)
		case token != "wide" || r.PathValue("server") != "notes":
			refuse(w, http.StatusUnauthorized, 14010, "Bearer")
		case len(body) > 4<<20:
			refuse(w, http.StatusRequestEntityTooLarge, 14130, "")
		case !utf8.Valid(body):
			refuse(w, http.StatusBadRequest, -32700, "")
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, ":\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			a.receipts["01RECEIPT"] = []string{"intent", "outcome"}
			w.Header().Set("Bindery-Receipt", "01RECEIPT")
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		}
	})
	return mux
}

func printing(token string) func() (string, error) {
	return func() (string, error) { return token, nil }
}

// front is the account's stack behind an address of its own; change wraps what answers.
func front(t *testing.T, change func(http.Handler, *account) http.Handler) (*account, *Subject) {
	t.Helper()
	var handler http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // refused handshakes are meant
	server.StartTLS()
	t.Cleanup(server.Close)
	a := deployed(t, server.URL)
	handler = good(a)
	if change != nil {
		handler = change(handler, a)
	}
	forbidding := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(forbidding.Close)
	s := a.subject(t, Given{Server: "notes", Token: printing("wide"), NarrowToken: printing("narrow")})
	s.Outputs["ApiUrl"] = forbidding.URL
	s.http.Transport = server.Client().Transport
	s.roots = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return a, s
}

func TestAGoodFrontPasses(t *testing.T) {
	_, s := front(t, nil)
	for _, c := range append(frontChecks(), callChecks()...) {
		if r := c.result(t.Context(), s); r.State != OK {
			t.Errorf("%s is %s: %s", r.Name, r.State, r.Says)
		}
	}
}

// edited lets change see an answer's head before it is sent.
type edited struct {
	http.ResponseWriter
	change func(http.Header, int) int
	done   bool
}

func (e *edited) WriteHeader(status int) {
	if !e.done {
		e.done = true
		status = e.change(e.Header(), status)
	}
	e.ResponseWriter.WriteHeader(status)
}

func (e *edited) Write(p []byte) (int, error) {
	if !e.done {
		e.WriteHeader(http.StatusOK)
	}
	return e.ResponseWriter.Write(p)
}

func (e *edited) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func heads(change func(http.Header, int) int) func(http.Handler, *account) http.Handler {
	return func(next http.Handler, _ *account) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&edited{ResponseWriter: w, change: change}, r)
		})
	}
}

// bodies lets change see a request before it is handed on.
func requests(change func(*http.Request)) func(http.Handler, *account) http.Handler {
	return func(next http.Handler, _ *account) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			change(r)
			next.ServeHTTP(w, r)
		})
	}
}

// TestWhatAFrontDoesWrongIsFound: what API Gateway might do otherwise than is assumed.
func TestWhatAFrontDoesWrongIsFound(t *testing.T) {
	remap := heads(func(h http.Header, status int) int {
		if v := h.Get("WWW-Authenticate"); v != "" {
			h.Del("WWW-Authenticate")
			h.Set(remapped, v)
		}
		return status
	})
	under := func(stage string) func(http.Handler, *account) http.Handler {
		return func(next http.Handler, _ *account) http.Handler { return http.StripPrefix(stage, next) }
	}
	for name, c := range map[string]struct {
		check  string
		change func(http.Handler, *account) http.Handler
		says   string
	}{
		"a renamed challenge":            {"challenge", remap, "renamed"},
		"a renamed challenge for scopes": {"challenge-scope", remap, "renamed"},
		"a bad token is a server error": {"challenge-bad-token", heads(func(_ http.Header, status int) int {
			if status == http.StatusUnauthorized {
				return http.StatusInternalServerError
			}
			return status
		}), "HTTP 500"},
		"no challenge":                {"challenge", heads(func(h http.Header, s int) int { h.Del("WWW-Authenticate"); return s }), "no WWW-Authenticate"},
		"a stage in the path":         {"metadata", under("/live"), "HTTP 404"},
		"the admin API elsewhere":     {"metadata-admin", under("/live"), "of /admin/v1"},
		"another name in the address": {"metadata", requests(func(r *http.Request) { r.Host = "other.example.com" }), "another resource"},
		"403 for what is no route": {"unknown-route", heads(func(_ http.Header, s int) int {
			if s == http.StatusNotFound {
				return http.StatusForbidden
			}
			return s
		}), "HTTP 403"},
		"a preflight that needs a token": {"cors", requests(func(r *http.Request) {
			if r.Method == http.MethodOptions {
				r.Method = http.MethodPost
			}
		}), "preflight: HTTP 401"},
		"a 401 that pages cannot read": {"cors", heads(func(h http.Header, s int) int { h.Del("Access-Control-Allow-Origin"); return s }), "cannot read"},
		"any page":                     {"cors", requests(func(r *http.Request) { r.Header.Set("Origin", "https://"+r.Host) }), "foreign page"},
		"a token that is good everywhere": {"authorizer-path", requests(func(r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, "smoke-is-no-server", "notes", 1)
		}), "good for everything"},
		"no record": {"call", func(next http.Handler, a *account) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				a.receipts["01RECEIPT"] = []string{"intent"}
			})
		}, "missing in the audit table"},
		"a refused call":    {"call", heads(func(h http.Header, s int) int { h.Set("Bindery-Error", "forbidden"); return s }), `Bindery-Error "forbidden"`},
		"not Bindery":       {"call", heads(func(h http.Header, s int) int { h.Del("Bindery-Receipt"); return s }), "without a receipt"},
		"repaired bytes":    {"body-bytes", repaired, "not UTF-8"},
		"a large body":      {"body-size", heads(func(_ http.Header, s int) int { return max(s, http.StatusInternalServerError) }), "HTTP 500"},
		"a buffered stream": {"stream", buffered, "arrived at once"},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := front(t, c.change)
			if r := result(t, s, c.check); r.State != Failed || !strings.Contains(r.Says, c.says) {
				t.Errorf("%s is %s: %s", c.check, r.State, r.Says)
			}
		})
	}
}

// repaired is text mode: what is not UTF-8 is replaced.
func repaired(next http.Handler, _ *account) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(strings.ToValidUTF8(string(body), "\uFFFD")))
		next.ServeHTTP(w, r)
	})
}

// buffered is an integration that waits for the end, which comes at its own time.
func buffered(next http.Handler, _ *account) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, ":\n\n:\n\n")
	})
}

// TestOldTLSAndTheSecondAddress: a server that takes TLS 1.1, and an execute-api
// address that still answers.
func TestOldTLSAndTheSecondAddress(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = oldServer()
	server.StartTLS()
	t.Cleanup(server.Close)
	_, s := front(t, nil)
	s.Base, s.roots = server.URL, server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if r := result(t, s, "tls"); r.State != Failed || !strings.Contains(r.Says, "TLS 1.1 is accepted") {
		t.Errorf("%s: %s", r.State, r.Says)
	}
	_, s = front(t, nil)
	s.Outputs["ApiUrl"] = s.Base
	if r := result(t, s, "second-address"); r.State != Failed || !strings.Contains(r.Says, "HTTP 200") {
		t.Errorf("%s: %s", r.State, r.Says)
	}
	s.Outputs["ApiUrl"] = "http://127.0.0.1:1"
	if r := result(t, s, "second-address"); r.State != LeftOut || !strings.Contains(r.Says, "no answer") {
		t.Errorf("%s: %s", r.State, r.Says)
	}
	delete(s.Parameters, "DomainName")
	if r := result(t, s, "second-address"); r.State != LeftOut {
		t.Errorf("%s: %s", r.State, r.Says)
	}
}

// TestWithoutATokenNoCallIsMade: the checks that need one say so, and what its
// command says is not repeated.
func TestWithoutATokenNoCallIsMade(t *testing.T) {
	_, s := front(t, nil)
	s.Token, s.NarrowToken = nil, nil
	for _, c := range callChecks() {
		if r := c.result(t.Context(), s); r.State != LeftOut || !strings.Contains(r.Says, "TOKEN_COMMAND") {
			t.Errorf("%s is %s: %s", r.Name, r.State, r.Says)
		}
	}
	s.Token = func() (string, error) { return "", errors.New("the command for the token failed") }
	if r := result(t, s, "call"); r.State != Failed || r.Says != "the command for the token failed" {
		t.Errorf("%s: %s", r.State, r.Says)
	}
	s.Parameters["Authorizer"] = "none"
	if r := result(t, s, "challenge"); r.State != LeftOut || !strings.Contains(r.Says, "Authorizer=none") {
		t.Errorf("%s: %s", r.State, r.Says)
	}
}

func oldServer() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS10} }
