package handler

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestForeignHostsAndOrigins: DNS rebinding, and pages that nobody allowed.
func TestForeignHostsAndOrigins(t *testing.T) {
	reached := 0
	f := newFixture(t, transport(func(r *http.Request) (*http.Response, error) {
		reached++
		return respond(http.StatusOK, "application/json", smallAnswer)(r)
	}), true)
	for name, c := range map[string]struct {
		host, origin string
		code         string
	}{
		"no page":              {"mcp.example.com", "", ""},
		"host in another case": {"MCP.example.com", "", ""},
		"its own page":         {"mcp.example.com", publicURL, ""},
		"an allowed page":      {"mcp.example.com", "https://app.example.com", ""},
		"rebound name":         {"attacker.example", "", `"code":14034`},
		"no host":              {"", "", `"code":14034`},
		"a port":               {"mcp.example.com:8443", "", `"code":14034`},
		"a longer name":        {"mcp.example.com.attacker.example", "", `"code":14034`},
		"foreign page":         {"mcp.example.com", "https://attacker.example", `"code":14035`},
		"opaque origin":        {"mcp.example.com", "null", `"code":14035`},
		"empty origin":         {"mcp.example.com", " ", `"code":14035`},
		"other scheme":         {"mcp.example.com", "http://app.example.com", `"code":14035`},
		"a subdomain":          {"mcp.example.com", "https://evil.app.example.com", `"code":14035`},
		"a loopback page":      {"mcp.example.com", "http://localhost:6274", `"code":14035`},
	} {
		t.Run(name, func(t *testing.T) {
			before := reached
			w, _ := f.do(t, callBody, func(r *http.Request) {
				r.Host = c.host
				if c.origin != "" {
					r.Header.Set("Origin", c.origin)
				}
			})
			if c.code == "" {
				if w.Code != http.StatusOK || reached != before+1 || w.Header().Get("Access-Control-Allow-Origin") != c.origin {
					t.Errorf("%d, may be read by %q", w.Code, w.Header().Get("Access-Control-Allow-Origin"))
				}
				return
			}
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), c.code) || reached != before || w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%d %s, %d requests upstream", w.Code, w.Body, reached-before)
			}
		})
	}
	w, _ := f.do(t, callBody, func(r *http.Request) { r.Header["Origin"] = []string{publicURL, "https://attacker.example"} })
	if w.Code != http.StatusForbidden {
		t.Error("two origins were let in")
	}
}

func preflight(f *fixture, path, origin, headers string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodOptions, publicURL+path, nil)
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", headers)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// TestAPageCanCall: a preflight carries no token, and the headers it asks for
// have no fixed list.
func TestAPageCanCall(t *testing.T) {
	f := newFixture(t, respond(http.StatusOK, "application/json", smallAnswer), true)
	asked := "authorization,content-type,mcp-param-region,mcp-protocol-version"
	w := preflight(f, route, "https://app.example.com", asked)
	h := w.Header()
	if w.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://app.example.com" || h.Get("Access-Control-Allow-Headers") != asked ||
		h.Get("Access-Control-Allow-Methods") != "POST, GET, DELETE" || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Vary") != "Origin" {
		t.Errorf("%d %v", w.Code, h)
	}
	if w := preflight(f, route, "https://attacker.example", asked); w.Code != http.StatusForbidden || w.Header().Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("a foreign page: %d %v", w.Code, w.Header())
	}
	for _, hostile := range []string{"x\r\ny: z", strings.Repeat("a", 5000), "a;b", "é"} {
		if w := preflight(f, route, "https://app.example.com", hostile); w.Header().Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("%.20q was echoed", hostile)
		}
	}
	answer, _ := f.do(t, callBody, func(r *http.Request) { r.Header.Set("Origin", "https://app.example.com") })
	for _, name := range []string{"Mcp-Session-Id", "WWW-Authenticate", "Bindery-Receipt", "Retry-After"} {
		if !strings.Contains(answer.Header().Get("Access-Control-Expose-Headers"), name) {
			t.Errorf("a page cannot read %s", name)
		}
	}
	refused := httptest.NewRecorder()
	r := f.request("no-token", callBody)
	r.Header.Set("Origin", "https://app.example.com")
	f.ServeHTTP(refused, r)
	if refused.Code != http.StatusUnauthorized || refused.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("the challenge cannot be read by a page: %d %v", refused.Code, refused.Header())
	}
}

func TestAnyPageCanReadTheMetadata(t *testing.T) {
	f := newFixture(t, respond(http.StatusOK, "application/json", smallAnswer), true)
	w := preflight(f, metadataPrefix+"prod/github", "https://anywhere.example", "mcp-protocol-version")
	if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Access-Control-Allow-Headers") != "mcp-protocol-version" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestPagesOnThisMachineMayCallALocalDeploymentOnly(t *testing.T) {
	for origin, want := range map[string]bool{"http://localhost:6274": true, "http://127.0.0.1:1": true, "http://[::1]:80": true,
		"http://localhost.attacker.example": false, "https://attacker.example": false, "http://localhost:6274/path": false, "null": false, "http://u@localhost": false} {
		if got := (door{local: true}).allows(origin); got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
}
