package handler

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const smallAnswer = `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"Issue 4711 was created in the repository."}],"isError":false}}`

// BenchmarkCall is one whole call in the handler: token, parse, decision,
// records, credential, upstream (a stub), masking. Memory stores.
func BenchmarkCall(b *testing.B) {
	sse := "event: message\ndata: " + smallAnswer + "\n\n"
	cases := map[string]struct {
		cached bool
		kind   string
		answer string
	}{
		"json/fresh_token":  {false, "application/json", smallAnswer},
		"json/cached_token": {true, "application/json", smallAnswer},
		"sse/cached_token":  {true, "text/event-stream", sse},
		"json_1MB/cached":   {true, "application/json", strings.Replace(smallAnswer, "repository", strings.Repeat("repository text ", 1<<16), 1)},
	}
	for name, c := range cases {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b, respond(http.StatusOK, c.kind, c.answer), c.cached)
			f.maxAnswer = 4 << 20
			token := f.token(b)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				f.ServeHTTP(w, f.request(token, callBody))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
