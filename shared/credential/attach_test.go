package credential

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func attach(t testing.TB, req *http.Request, fields map[string]string, attachments ...broker.Attachment) error {
	t.Helper()
	if err := CheckAttachments(attachments); err != nil {
		t.Fatalf("the registry would refuse this server: %v", err)
	}
	values := map[string]secret.Value{}
	for name, text := range fields {
		values[name] = secret.New(text)
	}
	return Attach(req, &broker.Server{Attach: attachments}, values)
}

func request(url string) *http.Request { return httptest.NewRequest(http.MethodPost, url, nil) }

func inHeader(name, template string) broker.Attachment {
	return broker.Attachment{In: broker.InHeader, Name: name, Template: template}
}

func inQuery(name, template string) broker.Attachment {
	return broker.Attachment{In: broker.InQuery, Name: name, Template: template}
}

func basic(template string) broker.Attachment {
	return broker.Attachment{In: broker.InBasic, Template: template}
}

func TestHeaderTemplates(t *testing.T) {
	for _, c := range []struct{ name, template, want string }{
		{"Authorization", "Bearer {token}", "Bearer made-up-token"},
		{"x-api-key", "{token}", "made-up-token"},
		{"X-Two", "id={id}, key=\"{token}\";v=1", `id=made-up id, key="made-up-token";v=1`},
		{"X-Latin", "{latin}", "caf\xe9 \u4e16"},
		{"Cookie", "session={token}", "session=made-up-token"},
	} {
		req := request("https://api.example/mcp")
		err := attach(t, req, map[string]string{"token": "made-up-token", "id": "made-up id", "latin": "caf\xe9 \u4e16"}, inHeader(c.name, c.template))
		if got := req.Header.Values(c.name); err != nil || !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s %q: %q (%v), want %q", c.name, c.template, got, err, c.want)
		}
	}
}

func TestClientsOwnCopyLoses(t *testing.T) {
	req := request("https://api.example/mcp?key=client&Key=kept&k%65y=client&key")
	req.Header = http.Header{"X-Api-Key": {"client", "client"}, "x-api-key": {"client"}, "X-API-KEY": {"client"}, "authorization": {"client"}}
	err := attach(t, req, map[string]string{"token": "made-up-token"}, inHeader("X-API-Key", "{token}"), inQuery("key", "{token}"), basic("bot:{token}"))
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"X-Api-Key": {"made-up-token"}, "Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("bot:made-up-token"))}}
	if !maps.EqualFunc(req.Header, want, slices.Equal) {
		t.Errorf("headers %q, want %q", req.Header, want)
	}
	if req.URL.RawQuery != "Key=kept&key=made-up-token" {
		t.Errorf("query %q", req.URL.RawQuery)
	}
}

func TestQueryKeepsTheRestByteForByte(t *testing.T) {
	for before, want := range map[string]string{
		"":                       "api%20key=a%20b%26c%3Dd%2Be%25%23%C3%A9",
		"b=2&a=1":                "b=2&a=1&api%20key=a%20b%26c%3Dd%2Be%25%23%C3%A9",
		"x=%2f%2F+&&y&=z":        "x=%2f%2F+&&y&=z&api%20key=a%20b%26c%3Dd%2Be%25%23%C3%A9",
		"api+key=x&a=api%20key":  "a=api%20key&api%20key=a%20b%26c%3Dd%2Be%25%23%C3%A9",
		"api%20key=x&api%20key=": "api%20key=a%20b%26c%3Dd%2Be%25%23%C3%A9",
		"%zz=1;api%20key=2":      "%zz=1;api%20key=2&api%20key=a%20b%26c%3Dd%2Be%25%23%C3%A9",
	} {
		req := request("https://api.example/mcp?" + before)
		req.URL.RawQuery = before
		if err := attach(t, req, map[string]string{"token": "a b&c=d+e%#\u00e9"}, inQuery("api key", "{token}")); err != nil {
			t.Fatal(err)
		}
		if req.URL.RawQuery != want {
			t.Errorf("%q became %q, want %q", before, req.URL.RawQuery, want)
		}
		if values := req.URL.Query()["api key"]; before != "%zz=1;api%20key=2" && (len(values) != 1 || values[0] != "a b&c=d+e%#\u00e9") {
			t.Errorf("the upstream reads %q", values)
		}
	}
}

func TestBasicIsReadBackByTheUpstream(t *testing.T) {
	for _, c := range []struct{ template, user, password string }{
		{"{user}:{password}", "made-up user", "p:w:\u00e9 "},
		{"bot:{password}", "bot", "p:w:\u00e9 "},
		{"{user}@corp:{password}", "made-up user@corp", "p:w:\u00e9 "},
		{"{user}:x-oauth", "made-up user", "x-oauth"},
		{":{password}", "", "p:w:\u00e9 "},
		{"bot:{user}:{password}", "bot", "made-up user:p:w:\u00e9 "},
	} {
		req := request("https://api.example/mcp")
		if err := attach(t, req, map[string]string{"user": "made-up user", "password": "p:w:\u00e9 "}, basic(c.template)); err != nil {
			t.Fatal(err)
		}
		if user, password, ok := req.BasicAuth(); !ok || user != c.user || password != c.password {
			t.Errorf("%s: the upstream reads %q %q", c.template, user, password)
		}
	}
}

// A value that its place cannot carry unchanged would reach the upstream as
// another one than the one that is masked, or inject a header.
func TestValueThatItsPlaceCannotCarryIsRefused(t *testing.T) {
	for what, c := range map[string]struct {
		value string
		at    broker.Attachment
		want  error
	}{
		"header injection":            {canary + "\r\nX-Admin: yes", inHeader("X-Api-Key", "{token}"), broker.ErrSecretMalformed},
		"line end of a pasted file":   {canary + "\n", inHeader("Authorization", "Bearer {token}"), broker.ErrSecretMalformed},
		"carriage return":             {canary + "\r", inHeader("X-Api-Key", "{token}"), broker.ErrSecretMalformed},
		"zero byte":                   {canary + "\x00", inHeader("X-Api-Key", "{token}"), broker.ErrSecretMalformed},
		"tab":                         {"\t" + canary, inHeader("X-Api-Key", "{token}"), broker.ErrSecretMalformed},
		"delete":                      {canary + "\x7f", inHeader("X-Api-Key", "{token}"), broker.ErrSecretMalformed},
		"space that would be cut":     {canary + " ", inHeader("X-Api-Key", "key {token}"), broker.ErrSecretMalformed},
		"space before":                {" " + canary, inHeader("X-Api-Key", "{token}"), broker.ErrSecretMalformed},
		"colon in the user":           {canary + ":x", basic("{token}:password"), broker.ErrSecretMalformed},
		"colon in part of the user":   {canary + ":x", basic("a{token}b:password"), broker.ErrSecretMalformed},
		"line end in a password":      {canary + "\n", basic("bot:{token}"), broker.ErrSecretMalformed},
		"field that was not there":    {"", inHeader("X-Api-Key", "{token}"), broker.ErrSecretMissing},
		"query field was not there":   {"", inQuery("key", "{token}"), broker.ErrSecretMissing},
		"password that was not there": {"", basic("bot:{token}"), broker.ErrSecretMissing},
	} {
		req := request("https://api.example/mcp?a=1")
		err := attach(t, req, map[string]string{"token": c.value, "good": "made-up-token"}, inHeader("X-First", "{good}"), inQuery("first", "{good}"), c.at)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), `"token"`) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %v naming the field only", what, err, c.want)
		}
		if len(req.Header) != 0 || req.URL.RawQuery != "a=1" {
			t.Errorf("%s: part of the credential was attached", what)
		}
	}
}

func TestAttachmentsThatCannotBeHonouredAreRefused(t *testing.T) {
	bad := map[string][]broker.Attachment{
		"no name":               {inHeader("", "{token}")},
		"name with a space":     {inHeader("X Api", "{token}")},
		"name with a line end":  {inHeader("X-Api\r\nHost", "{token}")},
		"name above ASCII":      {inHeader("X-\u00c4pi", "{token}")},
		"unknown placement":     {{In: "cookie", Name: "a", Template: "{token}"}},
		"no placement":          {{Name: "a", Template: "{token}"}},
		"query without name":    {inQuery("", "{token}")},
		"basic with name":       {{In: broker.InBasic, Name: "Authorization", Template: "a:{token}"}},
		"basic without colon":   {basic("{token}")},
		"line end in basic":     {basic("a\n:{token}")},
		"line end in template":  {inHeader("X-Api", "a\n{token}")},
		"tab in template":       {inHeader("X-Api", "a\t{token}")},
		"space first":           {inHeader("X-Api", " {token}")},
		"space last":            {inHeader("X-Api", "{token} ")},
		"no field":              {inHeader("X-Api", "constant")},
		"open brace":            {inHeader("X-Api", "{token")},
		"same header twice":     {inHeader("X-Api", "{token}"), inHeader("x-api", "{token}")},
		"same query twice":      {inQuery("a", "{token}"), inQuery("a", "{token}")},
		"basic beside a header": {basic("a:{token}"), inHeader("authorization", "{token}")},
		"two basics":            {basic("a:{token}"), basic("b:{token}")},
	}
	for _, name := range []string{
		"Host", "content-length", "Transfer-Encoding", "CONNECTION", "Keep-Alive", "TE", "Trailer", "Upgrade", "Proxy-Authorization",
		"Proxy-Connection", "Mcp-Session-Id", "mcp-method", "MCP-Protocol-Version", "Mcp-Param-X", "Accept", "Accept-Encoding",
		"Content-Type", "Content-Encoding", "Last-Event-ID", "Origin", "Expect", "Range", "Bindery-Receipt", "bindery-anything",
	} {
		bad["header "+name] = []broker.Attachment{inHeader(name, "{token}")}
	}
	for what, attachments := range bad {
		if err := CheckAttachments(attachments); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: the check says %v, want ErrInvalid", what, err)
		}
		req := request("https://api.example/mcp?a=1")
		err := Attach(req, &broker.Server{Attach: attachments}, map[string]secret.Value{"token": secret.New(canary)})
		if !errors.Is(err, broker.ErrInvalid) || len(req.Header) != 0 || req.URL.RawQuery != "a=1" {
			t.Errorf("%s: attached from a row that nobody checked: %v", what, err)
		}
	}
	if err := CheckAttachments(nil); err != nil {
		t.Errorf("a server without credential: %v", err)
	}
}

// What net/http sends is what was attached: nothing cut, nothing added.
func TestUpstreamReceivesExactlyWhatWasAttached(t *testing.T) {
	got := make(chan *http.Request, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	defer upstream.Close()
	var every strings.Builder
	for c := byte('!'); c < 0x7f; c++ {
		every.WriteByte(c)
	}
	every.WriteString(" \u00e9\xff.")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, upstream.URL+"/mcp?a=%2f", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := attach(t, req, map[string]string{"token": every.String()}, inHeader("X-Api-Key", "{token}"), inQuery("key", "{token}")); err != nil {
		t.Fatal(err)
	}
	answer, err := upstream.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	r := <-got
	if r.Header.Get("X-Api-Key") != every.String() || r.URL.Query().Get("key") != every.String() || !strings.HasPrefix(r.URL.RawQuery, "a=%2f&") {
		t.Errorf("the upstream got header %q and query %q", r.Header.Get("X-Api-Key"), r.URL.RawQuery)
	}
}

// For any value: it arrives whole, or it is refused without being shown.
func FuzzAttach(f *testing.F) {
	f.Add("made-up-token", "a=1&key=2")
	f.Add("a\r\nb: c", "")
	f.Add(" x:\x00\xff", "&&=%zz;")
	f.Fuzz(func(t *testing.T, value, query string) {
		for _, at := range []broker.Attachment{inHeader("X-Api-Key", "k={token};"), inQuery("key", "{token}"), basic("{token}:x"), basic("x:{token}")} {
			req := &http.Request{Header: http.Header{}, URL: request("https://api.example").URL}
			req.URL.RawQuery = query
			err := Attach(req, &broker.Server{Attach: []broker.Attachment{at}}, map[string]secret.Value{"token": secret.New(value)})
			if err != nil {
				if len(value) > 20 && strings.Contains(err.Error(), value) || len(req.Header) > 0 || req.URL.RawQuery != query {
					t.Fatal("a refusal shows the value or left part of it")
				}
				continue
			}
			user, password, _ := req.BasicAuth()
			arrived := strings.Contains(req.Header.Get("X-Api-Key"), value) || user == value || password == value ||
				strings.HasSuffix(req.URL.RawQuery, "key="+escapeQuery(value))
			if !arrived || strings.ContainsAny(fmt.Sprint(req.Header), "\r\n\x00") {
				t.Fatal("the value did not arrive whole")
			}
		}
	})
}

func BenchmarkAttachBearer(b *testing.B) {
	benchmarkAttach(b, inHeader("Authorization", "Bearer {token}"))
}

func BenchmarkAttachThree(b *testing.B) {
	benchmarkAttach(b, basic("bot:{token}"), inHeader("X-Api-Key", "{id}"), inQuery("key", "{token}"))
}

func benchmarkAttach(b *testing.B, attachments ...broker.Attachment) {
	server := &broker.Server{Attach: attachments}
	fields := map[string]secret.Value{"token": secret.New("made-up-token-0001"), "id": secret.New("made-up-id-0001")}
	req := request("https://api.example/mcp?tenant=7")
	b.ReportAllocs()
	for b.Loop() {
		if err := Attach(req, server, fields); err != nil {
			b.Fatal(err)
		}
	}
}
