package oauth

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/secret"
)

// answered gives a Requester whose every request is answered with the body.
func answered(status int, body string) *Requester {
	return New(&http.Client{Transport: canned{status, body}}, func() time.Time { return clock }, false)
}

type canned struct {
	status int
	body   string
}

func (f canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: f.status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(f.body))}, nil
}

func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{granted, `{"access_token":"a","token_type":"Bearer","expires_in":"1"}`, `{"error":"invalid_grant"}`, `{}`, `[`, ``} {
		f.Add(200, seed)
		f.Add(400, seed)
	}
	p := Provider{TokenURL: "https://as.example/token", Configured: true}
	f.Fuzz(func(t *testing.T, status int, body string) {
		status = 200 + (status%400+400)%400
		asked := []string{"read", "write"}
		got, err := answered(status, body).Refresh(t.Context(), p, publicClient(), secret.New(madeUpRefresh), "", asked)
		var fault *Fault
		switch {
		case err != nil && !errors.As(err, &fault):
			t.Fatalf("an error of no kind: %v", err)
		case err != nil && status < 300 && fault.Code == "" && !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrWiderScope) && !errors.Is(err, ErrRefused):
			t.Fatalf("a success that cannot be read is %v", err)
		case err == nil && (status >= 300 || got.Access.IsZero() || !visible(got.Access.Reveal()) || got.Type != "Bearer" || Quirks{}.wider(got.Scopes, asked)):
			t.Fatalf("taken: %+v", inClear(got))
		case err == nil && (got.Access.Len() > maxToken || got.Refresh.Len() > maxToken || got.Expires.Sub(clock) > maxLife || !got.Expires.IsZero() && got.Expires.Before(clock)):
			t.Fatalf("taken: %+v", inClear(got))
		}
		for _, word := range strings.Fields(body) {
			if err != nil && len(word) > 24 && strings.Contains(err.Error(), word) {
				t.Fatalf("the error repeats the answer: %v", err)
			}
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(strings.ReplaceAll(as, "HOST", "https://as.example"))
	f.Add(strings.ReplaceAll(about, "HOST", "https://up.example"))
	f.Add(`{"issuer":"https://as.example/as","token_endpoint":"https://as.example/t"}`)
	f.Fuzz(func(t *testing.T, body string) {
		r := answered(200, body)
		p, err := r.Provider(t.Context(), "https://as.example/as")
		if err == nil && (p.Issuer != "https://as.example/as" || r.endpoints(p) != "") {
			t.Fatalf("taken: %+v", p)
		}
		found, err := r.Resource(t.Context(), "https://up.example/mcp", Challenge{})
		if err == nil && (len(found.Issuers) == 0 || found.Resource != "https://up.example/mcp" && !strings.HasPrefix("https://up.example/mcp", strings.ToLower(strings.TrimSuffix(found.Resource, "/")))) {
			t.Fatalf("taken: %+v", found)
		}
	})
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Basic realm="a, b", Bearer resource_metadata="https://u.example/x", scope="a b", error=invalid_token`)
	f.Add(`Negotiate abc==, Bearer scope="a\"b"`)
	f.Fuzz(func(t *testing.T, value string) {
		got := ParseChallenge([]string{value})
		if len(got.ResourceMetadata) > len(value) || got.Error != publicCode(got.Error, Quirks{}) {
			t.Fatalf("%+v", got)
		}
	})
}
