package oauth

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// at serves documents by path; HOST in them is the server's own address. What is
// not there is 404.
func at(t testing.TB, documents map[string]string) *provider {
	var p *provider
	p = newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		document, ok := documents[r.URL.RequestURI()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		answerWith(w, 200, "application/json; charset=utf-8", strings.ReplaceAll(document, "HOST", p.URL))
	})
	return p
}

const (
	pathForm = "/.well-known/oauth-protected-resource/mcp"
	rootForm = "/.well-known/oauth-protected-resource"
	about    = `{"resource":"HOST/mcp","authorization_servers":["HOST/as"],"scopes_supported":["read"]}`
)

func TestResourceMetadataIsFoundInOrder(t *testing.T) {
	root := strings.ReplaceAll(about, "HOST/mcp", "HOST")
	for name, c := range map[string]struct {
		documents map[string]string
		challenge string
		asked     []string
		resource  string
	}{
		"path form":          {map[string]string{pathForm: about, rootForm: root}, "", []string{pathForm}, "/mcp"},
		"root form":          {map[string]string{rootForm: root}, "", []string{pathForm, rootForm}, ""},
		"challenge":          {map[string]string{"/odd": about, pathForm: "{}"}, "/odd", []string{"/odd"}, "/mcp"},
		"challenge is stale": {map[string]string{pathForm: about}, "/odd", []string{"/odd", pathForm}, "/mcp"},
	} {
		t.Run(name, func(t *testing.T) {
			p := at(t, c.documents)
			challenge := Challenge{}
			if c.challenge != "" {
				challenge.ResourceMetadata = p.URL + c.challenge
			}
			got, err := requester().Resource(t.Context(), p.URL+"/mcp", challenge)
			if err != nil {
				t.Fatal(err)
			}
			want := Resource{p.URL + c.resource, []string{p.URL + "/as"}, []string{"read"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.asked, p.paths()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResourceMetadataOfAnotherResourceIsRefused(t *testing.T) {
	for _, resource := range []string{
		"https://other.example/mcp", "HOST/mcp2", "HOST/mcp/deeper", "HOST/m", "HOST/x/../mcp", "HOST/mcp?tenant=b", "HOST/mcp#x",
		"HOST.evil.example/mcp", "http://user@HOST/mcp", "", "/mcp", "mcp",
	} {
		p := at(t, map[string]string{pathForm: strings.ReplaceAll(about, "HOST/mcp", resource), rootForm: about})
		_, err := requester().Resource(t.Context(), p.URL+"/mcp", Challenge{})
		if wantKind(t, err, ErrMetadata); !slices.Equal(p.paths(), []string{pathForm}) {
			t.Errorf("%q: asked on: %v", resource, p.paths())
		}
	}
	for _, document := range []string{
		`{"resource":"HOST/mcp"}`, `{"resource":"HOST/mcp","authorization_servers":[]}`, `{"resource":"HOST/mcp","authorization_servers":"HOST"}`,
		`{"resource":"HOST/mcp","authorization_servers":["http://as.example"]}`, `{"resource":"HOST/mcp","authorization_servers":["javascript:x"]}`,
		`{"resource":"HOST/mcp","authorization_servers":["HOST"],"scopes_supported":[1]}`, `{"resource":["HOST/mcp"],"authorization_servers":["HOST"]}`,
		`{"resource":"HOST/mcp","resource":"HOST/mcp","authorization_servers":["HOST"]}`, `[]`, `{`, ``,
	} {
		p := at(t, map[string]string{pathForm: document})
		_, err := requester().Resource(t.Context(), p.URL+"/mcp", Challenge{})
		wantKind(t, err, ErrMetadata)
	}
	p := at(t, nil)
	for _, challenge := range []string{"http://metadata.example/", "file:///etc/passwd", "https://a@b.example/", "/odd", "https://" + strings.Repeat("a", maxAddress)} {
		_, err := requester().Resource(t.Context(), p.URL+"/mcp", Challenge{ResourceMetadata: challenge})
		wantKind(t, err, ErrMetadata)
	}
	if len(p.requests()) != 0 {
		t.Error("asked on after a challenge that names no https address")
	}
	_, err := requester().Resource(t.Context(), p.URL+"/mcp", Challenge{})
	wantKind(t, err, ErrMetadata)
}

const as = `{"issuer":"HOST/as","authorization_endpoint":"HOST/authorize","token_endpoint":"HOST/token",
"code_challenge_methods_supported":["plain","S256"],"authorization_response_iss_parameter_supported":true,
"token_endpoint_auth_methods_supported":["tls_client_auth","none"],"scopes_supported":["read"],"client_id_metadata_document_supported":true}`

func TestProviderMetadataIsFoundInOrder(t *testing.T) {
	inserted, openID, appended := "/.well-known/oauth-authorization-server/as", "/.well-known/openid-configuration/as", "/as/.well-known/openid-configuration"
	order := []string{inserted, openID, appended}
	for n, path := range order {
		p := at(t, map[string]string{path: as})
		got, err := requester().Provider(t.Context(), p.URL+"/as")
		if err != nil {
			t.Fatal(err)
		}
		want := Provider{Issuer: p.URL + "/as", AuthorizationURL: p.URL + "/authorize", TokenURL: p.URL + "/token", Scopes: []string{"read"},
			AuthMethods: []AuthMethod{NoAuth}, S256: true, SendsIssuer: true, Documents: true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(order[:n+1], p.paths()); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	}
	p := at(t, nil) // an issuer without a path has two forms
	_, err := requester().Provider(t.Context(), p.URL)
	wantKind(t, err, ErrMetadata)
	if diff := cmp.Diff([]string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"}, p.paths()); diff != "" {
		t.Error(diff)
	}
}

func TestAnIssuersTrailingSlashIsPartOfIt(t *testing.T) {
	document := strings.ReplaceAll(as, "HOST/as", "HOST/")
	p := at(t, map[string]string{"/.well-known/oauth-authorization-server": document})
	if _, err := requester().Provider(t.Context(), p.URL+"/"); err != nil {
		t.Error(err)
	}
	_, err := requester().Provider(t.Context(), p.URL)
	wantKind(t, err, ErrMetadata)
}

func TestHostileProviderMetadata(t *testing.T) {
	const path = "/.well-known/oauth-authorization-server/as"
	for name, document := range map[string]string{
		"other issuer":       strings.ReplaceAll(as, "HOST/as", "https://other.example"),
		"no issuer":          strings.ReplaceAll(as, `"issuer":"HOST/as",`, ""),
		"issuer in case":     strings.ReplaceAll(as, `"issuer"`, `"Issuer"`),
		"issuer twice":       strings.Replace(as, `{`, `{"issuer":"HOST/as",`, 1),
		"plain http":         strings.ReplaceAll(as, "HOST/token", "http://as.example/token"),
		"no token endpoint":  strings.ReplaceAll(as, `"token_endpoint":"HOST/token",`, ""),
		"endpoint a script":  strings.ReplaceAll(as, "HOST/authorize", "javascript:alert(1)"),
		"endpoint with user": strings.ReplaceAll(as, "HOST/token", "https://a:b@as.example/token"),
		"endpoint relative":  strings.ReplaceAll(as, "HOST/token", "//as.example/token"),
		"endpoint backslash": strings.ReplaceAll(as, "HOST/token", `https://as.example\\@evil.example/`),
		"endpoint fragment":  strings.ReplaceAll(as, "HOST/token", "https://as.example/#x"),
		"endpoint newline":   strings.ReplaceAll(as, "HOST/token", `https://as.example/\r\nX: 1`),
		"type of a member":   strings.ReplaceAll(as, `["read"]`, `"read"`),
		"ten megabytes":      `{"issuer":"` + strings.Repeat("a", 10<<20) + `"}`,
		"cut off":            as[:len(as)/2],
	} {
		t.Run(name, func(t *testing.T) {
			p := at(t, map[string]string{path: document, "/as/.well-known/openid-configuration": as})
			_, err := requester().Provider(t.Context(), p.URL+"/as")
			if wantKind(t, err, ErrMetadata); len(p.requests()) != 1 {
				t.Errorf("asked on: %v", p.paths())
			}
		})
	}
	for _, issuer := range []string{"", "as", "http://as.example", "https://as.example?x", "https://as.example#x", "https://u@as.example"} {
		_, err := requester().Provider(t.Context(), issuer)
		wantKind(t, err, ErrInvalid)
	}
}

func TestWhatIsNoDocumentIsNotThere(t *testing.T) {
	var p *provider
	answers := []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { answerWith(w, 200, "text/html", as) },
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		func(w http.ResponseWriter, _ *http.Request) {
			answerWith(w, 200, "application/json", strings.ReplaceAll(as, "HOST", p.URL))
		},
	}
	p = newProvider(t, func(w http.ResponseWriter, r *http.Request) { answers[len(p.requests())-1](w, r) })
	if _, err := requester().Provider(t.Context(), p.URL+"/as"); err != nil || len(p.requests()) != 3 {
		t.Errorf("%v, asked %v", err, p.paths())
	}
	for status, kind := range map[int]error{500: ErrTransient, 503: ErrTransient, 429: ErrTransient, 403: ErrMetadata} {
		p := newProvider(t, says(status, as))
		_, err := requester().Provider(t.Context(), p.URL+"/as")
		wantKind(t, err, kind)
	}
	p.Close()
	_, err := requester().Provider(t.Context(), p.URL+"/as")
	wantKind(t, err, ErrTransient)
}

func TestLoopbackIsForDevelopment(t *testing.T) {
	deployed := New(http.DefaultClient, nil, false)
	for _, address := range []string{"http://127.0.0.1/token", "http://localhost/token", "http://[::1]/token"} {
		if deployed.isEndpoint(address) || !requester().isEndpoint(address) {
			t.Error(address)
		}
	}
	if requester().isEndpoint("http://127.0.0.1.evil.example/") || requester().isEndpoint("http://as.example/") {
		t.Error("plain http beyond loopback")
	}
	wantKind(t, deployed.Check(Provider{TokenURL: "http://127.0.0.1/token", Configured: true}), ErrMetadata)
	wantKind(t, deployed.Check(Provider{Issuer: "https://as.example?x", TokenURL: "https://as.example/t", Configured: true}), ErrMetadata)
	if err := deployed.Check(Provider{TokenURL: "https://as.example/token", Configured: true}); err != nil {
		t.Error(err)
	}
}

func TestChallenges(t *testing.T) {
	for value, want := range map[string]Challenge{
		`Bearer`: {},
		`Bearer resource_metadata="https://u.example/x", scope="a b", error="insufficient_scope"`: {"https://u.example/x", []string{"a", "b"}, "insufficient_scope"},
		`Basic realm="a, Bearer scope=\"x\"", bearer Scope=a`:                                     {Scopes: []string{"a"}},
		`Negotiate abc==, Bearer scope="a\"b"`:                                                    {Scopes: []string{`a"b`}},
		`Bearer scope="a", scope="b"`:                                                             {},
		`Bearer error="` + planted + `"`:                                                          {},
		`Bearer scope="a`:                                                                         {},
		`scope="a"`:                                                                               {},
		`Bearer , , scope=a,`:                                                                     {Scopes: []string{"a"}},
		`Bearer scope="` + strings.Repeat("a", maxChallenge) + `"`:                                {},
		`é`: {}, ``: {}, `=`: {}, `"`: {},
	} {
		got := ParseChallenge([]string{value})
		if got.ResourceMetadata != want.ResourceMetadata || !slices.Equal(got.Scopes, want.Scopes) || got.Error != want.Error {
			t.Errorf("%.80q: %+v", value, got)
		}
	}
	if got := ParseChallenge([]string{`Basic realm="x"`, `Bearer scope=b`}); !slices.Equal(got.Scopes, []string{"b"}) {
		t.Errorf("the second value is not read: %+v", got)
	}
}
