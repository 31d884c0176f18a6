package lambdahttp

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// toEvent is what API Gateway makes of a request: path encoded, query decoded.
func toEvent(r *http.Request, body string) events.APIGatewayProxyRequest {
	e := events.APIGatewayProxyRequest{
		HTTPMethod: r.Method, Path: r.URL.EscapedPath(), MultiValueQueryStringParameters: r.URL.Query(),
		MultiValueHeaders: r.Header.Clone(), Body: body,
	}
	e.MultiValueHeaders["Host"] = []string{r.Host}
	return e
}

// Whatever path, query and header a client can send, the handler sees what a
// net/http server would have shown it.
func FuzzRoundTrip(f *testing.F) {
	f.Add("/mcp/prod/github", "a=1&a=2&b=", "X-Name", "value")
	f.Add("/a%2fb/%20/é", "q=%26%3d+%25", "Mcp-Param-X", "é")
	f.Add("//double/../x", "", "x-y", "")
	f.Fuzz(func(t *testing.T, path, query, name, value string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Host != "" || u.Scheme != "" || u.RawQuery != "" || u.ForceQuery || !strings.HasPrefix(u.Path, "/") {
			return
		}
		if u.RawQuery = query; !isToken(name) || hasControl(value) {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		sent := &http.Request{Method: "GET", URL: u, Header: http.Header{}, Host: "h.test"}
		sent.Header.Set(name, value)
		if strings.EqualFold(name, "Host") || strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") {
			return
		}
		e := toEvent(sent, "")
		got, bad := newRequest(t.Context(), &e)
		if bad != nil {
			t.Fatalf("refused: %+v", bad)
		}
		if got.URL.Path != u.Path || got.URL.EscapedPath() != u.EscapedPath() || got.Host != "h.test" {
			t.Errorf("path %q (%q), want %q (%q)", got.URL.Path, got.URL.EscapedPath(), u.Path, u.EscapedPath())
		}
		if diff := cmp.Diff(values, got.URL.Query()); diff != "" {
			t.Errorf("query -sent +got\n%s", diff)
		}
		if diff := cmp.Diff(sent.Header, got.Header); diff != "" {
			t.Errorf("header -sent +got\n%s", diff)
		}
		if _, err := url.ParseRequestURI(got.RequestURI); err != nil {
			t.Errorf("RequestURI %q: %v", got.RequestURI, err)
		}
	})
}

// A request that arrives twice with the same names in other cases is the same
// request each time: map order decides nothing.
func TestHeadersThatDifferByCaseKeepEveryValueInOneOrder(t *testing.T) {
	e := event("GET")
	e.MultiValueHeaders = map[string][]string{"AUTHORIZATION": {"1"}, "Authorization": {"2", "3"}, "authorization": {"4"}}
	e.Headers = map[string]string{"aUTHORIZATION": "5"}
	for range 50 {
		r, bad := newRequest(t.Context(), &e)
		if bad != nil {
			t.Fatal(bad.reason)
		}
		if diff := cmp.Diff([]string{"1", "2", "3", "4"}, r.Header.Values("Authorization")); diff != "" {
			t.Fatal(diff)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	sent := httptest.NewRequest("POST", "/mcp/prod/github", nil)
	for _, name := range []string{"Accept", "Authorization", "Content-Type", "Mcp-Method", "Mcp-Name", "User-Agent", "X-Forwarded-For"} {
		sent.Header.Set(name, strings.Repeat("v", 40))
	}
	e := toEvent(sent, strings.Repeat("x", 512))
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, r.Body)
	})
	b.Run("stream", func(b *testing.B) {
		f := StreamHandler(h, discard)
		b.ReportAllocs()
		for b.Loop() {
			resp, _ := f(b.Context(), e)
			_, _ = io.Copy(io.Discard, resp)
			_ = resp.Close()
		}
	})
	b.Run("buffered", func(b *testing.B) {
		f := BufferedHandler(h, discard)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = f(b.Context(), e)
		}
	})
}
