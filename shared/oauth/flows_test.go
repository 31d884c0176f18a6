package oauth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/secret"
)

func authorization() Authorization {
	return Authorization{RedirectURL: "https://bindery.example/callback", State: "made-up-state", Resource: "https://up.example/mcp",
		Verifier: secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), Scopes: []string{"read", "write"}}
}

func TestAuthorizationURL(t *testing.T) {
	p := Provider{Issuer: "https://as.example", AuthorizationURL: "https://as.example/authorize?tenant=a", TokenURL: "https://as.example/token", S256: true}
	p.Quirks.Authorize = map[string]string{"access_type": "offline"}
	got, err := requester().AuthorizationURL(p, publicClient(), authorization())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"tenant": {"a"}, "client_id": {"broker"}, "response_type": {"code"}, "state": {"made-up-state"}, "access_type": {"offline"},
		"redirect_uri": {"https://bindery.example/callback"}, "resource": {"https://up.example/mcp"}, "scope": {"read write"},
		// the pair of RFC 7636, appendix B
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
	if diff := cmp.Diff(want, u.Query()); diff != "" || u.Host != "as.example" || strings.Contains(got, "dBjftJ") {
		t.Errorf("%s (-want +got):\n%s", got, diff)
	}
	p.Quirks = Quirks{NoResource: true, ScopeSeparator: ","}
	got, err = requester().AuthorizationURL(p, publicClient(), authorization())
	if err != nil || strings.Contains(got, "resource=") || !strings.Contains(got, "scope=read%2Cwrite") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestAnAuthorizationURLThatSaysTwoThingsIsRefused(t *testing.T) {
	fine := Provider{AuthorizationURL: "https://as.example/a", TokenURL: "https://as.example/t", S256: true}
	for _, address := range []string{
		"https://as.example/a?client_id=evil", "https://as.example/a?redirect_uri=https://evil.example", "https://as.example/a?state=x",
		"https://as.example/a?request_uri=urn:x", "https://as.example/a?response_mode=fragment", "https://as.example/a?a=1;b=2", "https://as.example/a?x=%zz", "",
		"http://as.example/a", "javascript:alert(1)",
	} {
		p := fine
		p.AuthorizationURL = address
		if got, err := requester().AuthorizationURL(p, publicClient(), authorization()); got != "" {
			t.Errorf("%q gives %s", address, got)
		} else {
			wantKind(t, err, ErrMetadata)
		}
	}
	unsafe := fine
	unsafe.S256 = false
	_, err := requester().AuthorizationURL(unsafe, publicClient(), authorization())
	wantKind(t, err, ErrMetadata)
	for _, name := range []string{"redirect_uri", "state", "scope", "code_challenge_method", "request"} {
		p := fine
		p.Quirks.Authorize = map[string]string{name: "x"}
		_, err := requester().AuthorizationURL(p, publicClient(), authorization())
		wantKind(t, err, ErrInvalid)
	}
	for _, spoil := range []func(*Authorization){
		func(a *Authorization) { a.State = "" }, func(a *Authorization) { a.RedirectURL = "" }, func(a *Authorization) { a.Verifier = secret.Value{} },
		func(a *Authorization) { a.Verifier = secret.New("short") },
	} {
		a := authorization()
		spoil(&a)
		_, err := requester().AuthorizationURL(fine, publicClient(), a)
		wantKind(t, err, ErrInvalid)
	}
	if a, b := NewVerifier(), NewVerifier(); a.Equal(b) || a.Len() < 43 {
		t.Error("verifiers are short or repeat")
	}
}

func TestCallbacks(t *testing.T) {
	advertised := Provider{Issuer: "https://as.example", SendsIssuer: true}
	silent := Provider{Issuer: "https://as.example"}
	unknown := Provider{Configured: true}
	for _, c := range []struct {
		name  string
		p     Provider
		query string
		kind  error
	}{
		{"advertised and right", advertised, "code=c&iss=https://as.example", nil},
		{"not advertised and right", silent, "code=c&iss=https://as.example", nil},
		{"not advertised and absent", silent, "code=c", nil},
		{"no issuer known", unknown, "code=c", nil},
		{"mix-up", advertised, "code=c&iss=https://evil.example", ErrMixUp},
		{"mix-up unadvertised", silent, "code=c&iss=https://evil.example", ErrMixUp},
		{"mix-up by a refusal", advertised, "error=access_denied&iss=https://evil.example", ErrMixUp},
		{"advertised and absent", advertised, "code=c", ErrMixUp},
		{"refusal without issuer", advertised, "error=access_denied", ErrMixUp},
		{"empty", silent, "code=c&iss=", ErrMixUp},
		{"trailing slash", silent, "code=c&iss=https://as.example/", ErrMixUp},
		{"case", silent, "code=c&iss=https://AS.example", ErrMixUp},
		{"issuer where none is known", unknown, "code=c&iss=https://as.example", ErrMixUp},
		{"issuer twice", silent, "code=c&iss=https://as.example&iss=https://evil.example", ErrMixUp},
		{"code twice", silent, "code=c&code=d", ErrMixUp},
		{"denied", silent, "error=access_denied&error_description=" + planted, ErrDenied},
		{"denied with a code", silent, "error=access_denied&code=c", ErrDenied},
		{"unknown error", silent, "error=" + planted, ErrRefused},
		{"empty error", silent, "error=&code=c", ErrRefused},
		{"dead grant", silent, "error=invalid_grant", ErrRefused},
		{"scope", silent, "error=invalid_scope", ErrInvalidScope},
		{"later", silent, "error=temporarily_unavailable", ErrTransient},
		{"no code", silent, "state=x", ErrRefused},
		{"code with control", silent, "code=a%00", ErrRefused},
		{"code too long", silent, "code=" + strings.Repeat("a", maxToken+1), ErrRefused},
	} {
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		code, err := ReadCallback(c.p, query)
		switch {
		case c.kind != nil:
			if wantKind(t, err, c.kind); !code.IsZero() {
				t.Errorf("%s: a code", c.name)
			}
		case err != nil || code.Reveal() != "c":
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestRevocation(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   error
	}{
		{200, "", nil}, {200, "<html>" + planted, nil}, {204, "", nil},
		{400, `{"error":"unsupported_token_type"}`, ErrRefused}, {401, `{"error":"invalid_client"}`, ErrInvalidClient},
		{503, planted, ErrTransient}, {302, "", ErrRefused},
	} {
		p := newProvider(t, says(c.status, c.body))
		err := requester().Revoke(t.Context(), p.configured(), basicClient(), secret.New(madeUpRefresh), RefreshToken)
		if c.kind != nil {
			wantKind(t, err, c.kind)
		} else if err != nil {
			t.Error(err)
		}
		if form := p.requests()[0].form; form.Get("token") != madeUpRefresh || form.Get("token_type_hint") != "refresh_token" {
			t.Errorf("sent %v", form)
		}
	}
	p := newProvider(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	wantKind(t, requester().Revoke(t.Context(), p.configured(), publicClient(), secret.New(madeUpRefresh), AccessToken), ErrOutcomeUnknown)
	none := p.configured()
	none.RevocationURL = ""
	wantKind(t, requester().Revoke(t.Context(), none, publicClient(), secret.New(madeUpRefresh), AccessToken), ErrMetadata)
	wantKind(t, requester().Revoke(t.Context(), p.configured(), publicClient(), secret.Value{}, AccessToken), ErrInvalid)
	wantKind(t, requester().Revoke(t.Context(), p.configured(), publicClient(), secret.New(madeUpRefresh), "id_token"), ErrInvalid)
}

func metadata(auth AuthMethod) Metadata {
	return Metadata{Name: "Bindery", RedirectURIs: []string{"https://bindery.example/callback"}, Auth: auth, ApplicationType: "web",
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}}
}

func TestRegistration(t *testing.T) {
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		answerWith(w, 201, "application/json", `{"client_id":"made-up","client_secret":"made-up-secret","client_secret_expires_at":1800000000,
			"token_endpoint_auth_method":"client_secret_basic","redirect_uris":["https://bindery.example/callback"],
			"registration_client_uri":"http://`+r.Host+`/register/made-up","registration_access_token":"made-up-token","more":{}}`)
	})
	got, err := requester().Register(t.Context(), p.configured(), metadata(SecretBasic), Key{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Client.ID != "made-up" || got.Client.Auth != SecretBasic || got.Client.Secret.Reveal() != "made-up-secret" ||
		got.Token.Reveal() != "made-up-token" || got.URL != p.URL+"/register/made-up" || !got.SecretExpires.Equal(time.Unix(1800000000, 0)) {
		t.Errorf("%+v", got)
	}
	var sent map[string]any
	if err := json.Unmarshal([]byte(p.requests()[0].body), &sent); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"client_name": "Bindery", "redirect_uris": []any{"https://bindery.example/callback"}, "application_type": "web",
		"token_endpoint_auth_method": "client_secret_basic", "grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"}}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Error(diff)
	}
	p.handle = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	if err := requester().Unregister(t.Context(), got); err != nil {
		t.Error(err)
	}
	if last := p.requests()[1]; last.method != "DELETE" || last.path != "/register/made-up" || last.header.Get("Authorization") != "Bearer made-up-token" {
		t.Errorf("%+v", last)
	}
	for status, kind := range map[int]error{401: ErrInvalidClient, 403: ErrRefused, 500: ErrTransient} {
		p.handle = says(status, planted)
		wantKind(t, requester().Unregister(t.Context(), got), kind)
	}
	p.handle = says(404, planted)
	if err := requester().Unregister(t.Context(), got); err != nil {
		t.Error(err)
	}
	wantKind(t, requester().Unregister(t.Context(), Registration{}), ErrInvalid)
}

func TestHostileRegistrations(t *testing.T) {
	for name, c := range map[string]struct {
		asked  AuthMethod
		status int
		body   string
		kind   error
	}{
		"refused":                {NoAuth, 400, `{"error":"invalid_redirect_uri"}`, ErrRefused},
		"later":                  {NoAuth, 503, planted, ErrTransient},
		"html":                   {NoAuth, 201, "<html>", ErrOutcomeUnknown},
		"no id":                  {NoAuth, 201, `{}`, ErrOutcomeUnknown},
		"id with newline":        {NoAuth, 201, `{"client_id":"a\nb"}`, ErrOutcomeUnknown},
		"id of a keyed client":   {PrivateKeyJWT, 201, `{"client_id":""}`, ErrOutcomeUnknown},
		"id twice":               {NoAuth, 201, `{"client_id":"a","client_id":"b"}`, ErrOutcomeUnknown},
		"no secret":              {SecretBasic, 201, `{"client_id":"a"}`, ErrOutcomeUnknown},
		"unknown method":         {NoAuth, 201, `{"client_id":"a","token_endpoint_auth_method":"tls_client_auth"}`, ErrOutcomeUnknown},
		"a key is wanted":        {NoAuth, 201, `{"client_id":"a","token_endpoint_auth_method":"private_key_jwt"}`, ErrOutcomeUnknown},
		"a key is not wanted":    {PrivateKeyJWT, 201, `{"client_id":"a","token_endpoint_auth_method":"none"}`, ErrOutcomeUnknown},
		"another redirect":       {NoAuth, 201, `{"client_id":"a","redirect_uris":["https://evil.example"]}`, ErrOutcomeUnknown},
		"registration elsewhere": {NoAuth, 201, `{"client_id":"a","registration_client_uri":"http://as.example/","registration_access_token":"t"}`, ErrOutcomeUnknown},
		"wrong type":             {NoAuth, 201, `{"client_id":"a","client_secret_expires_at":"never"}`, ErrOutcomeUnknown},
		"public after all":       {SecretBasic, 201, `{"client_id":"a","token_endpoint_auth_method":"none"}`, nil},
		"keyed":                  {PrivateKeyJWT, 201, `{"client_id":"a"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, says(c.status, c.body))
			got, err := requester().Register(t.Context(), p.configured(), metadata(c.asked), Key{Algorithm: "ES256", Signer: newSigner(t)})
			if c.kind != nil {
				wantKind(t, err, c.kind)
			} else if err != nil || got.Client.ID != "a" || got.Client.fault() != "" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	p := newProvider(t, says(201, "{}"))
	_, err := requester().Register(t.Context(), p.configured(), Metadata{Auth: NoAuth, ApplicationType: "web"}, Key{})
	wantKind(t, err, ErrInvalid)
	none := p.configured()
	none.RegistrationURL = ""
	_, err = requester().Register(t.Context(), none, metadata(NoAuth), Key{})
	wantKind(t, err, ErrMetadata)
}

func TestClientMetadataDocuments(t *testing.T) {
	const address = "https://bindery.example/oauth/client.json"
	d, err := NewDocument(address, metadata(NoAuth))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"client_id":"https://bindery.example/oauth/client.json","client_name":"Bindery","redirect_uris":["https://bindery.example/callback"],` +
		`"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none","application_type":"web"}`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
	if c := d.Client(Key{}); c.ID != address || c.Auth != NoAuth || c.fault() != "" {
		t.Errorf("%+v", c)
	}
	for _, bad := range []string{"", "http://bindery.example/c", "https://bindery.example", "https://bindery.example/", "https://bindery.example/c#x",
		"https://bindery.example/c?x", "https://u@bindery.example/c", "https://bindery.example/a/../c", "https://bindery.example/./c", "https:///c"} {
		_, err := NewDocument(bad, metadata(NoAuth))
		wantKind(t, err, ErrInvalid)
	}
	for _, m := range []Metadata{metadata(SecretBasic), metadata(PrivateKeyJWT), {Auth: NoAuth, ApplicationType: "web"}} {
		_, err := NewDocument(address, m)
		wantKind(t, err, ErrInvalid)
	}
}

func TestTheProvidersMethodsDecide(t *testing.T) {
	p := Provider{AuthMethods: []AuthMethod{SecretPost, NoAuth}}
	if got, err := p.Auth(SecretBasic, NoAuth, SecretPost); err != nil || got != NoAuth {
		t.Errorf("%s, %v", got, err)
	}
	_, err := p.Auth(SecretBasic)
	wantKind(t, err, ErrMetadata)
	if got, err := (Provider{Configured: true}).Auth(SecretBasic); err != nil || got != SecretBasic {
		t.Errorf("%s, %v", got, err)
	}
}
