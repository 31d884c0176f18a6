package lambdahttp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

func event(method string) events.APIGatewayProxyRequest {
	e := events.APIGatewayProxyRequest{Path: "/", HTTPMethod: method}
	e.RequestContext.RequestID = "r-1"
	return e
}

// both runs h in both modes and gives status, header, body and read error.
func both(t *testing.T, e events.APIGatewayProxyRequest, h http.HandlerFunc, log *slog.Logger) map[string]events.APIGatewayProxyResponse {
	t.Helper()
	out := map[string]events.APIGatewayProxyResponse{}
	buffered, err := BufferedHandler(h, log)(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if buffered.IsBase64Encoded {
		b, err := base64.StdEncoding.DecodeString(buffered.Body)
		if err != nil {
			t.Fatal(err)
		}
		buffered.Body = string(b)
	}
	out["buffered"] = buffered
	streamed, err := StreamHandler(h, log)(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(streamed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := streamed.Close(); err != nil {
		t.Fatal(err)
	}
	out["stream"] = events.APIGatewayProxyResponse{StatusCode: streamed.StatusCode, MultiValueHeaders: streamed.MultiValueHeaders, Body: string(body)}
	return out
}

func TestAnswerAsNetHTTPWouldGiveIt(t *testing.T) {
	text := map[string][]string{"Content-Type": {"text/plain; charset=utf-8"}}
	none := map[string][]string{}
	for _, c := range []struct {
		name, method string
		handler      http.HandlerFunc
		status       int
		header       map[string][]string
		body         string
	}{
		{"nothing at all is 200", "GET", func(http.ResponseWriter, *http.Request) {}, 200, none, ""},
		{"Write without WriteHeader is 200, type detected", "GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			_, _ = io.WriteString(w, "b")
		}, 200, text, "ab"},
		{"WriteHeader twice counts once", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			w.WriteHeader(500)
		}, 201, none, ""},
		{"header after commit is lost", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			w.Header().Set("X-Late", "1")
		}, 200, none, ""},
		{"informational status commits nothing", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(202)
		}, 202, none, ""},
		{"impossible status is a 500", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(42) }, 500, none, ""},
		{"204 has no body", "GET", func(w http.ResponseWriter, _ *http.Request) { noBody(w, 204) }, 204, none, ""},
		{"304 has no body", "GET", func(w http.ResponseWriter, _ *http.Request) { noBody(w, 304) }, 304, none, ""},
		{"HEAD has no body", "HEAD", func(w http.ResponseWriter, _ *http.Request) {
			if n, err := io.WriteString(w, "abc"); n != 3 || err != nil {
				panic("write to HEAD failed")
			}
		}, 200, text, ""},
		{"type set to nil is not detected", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "a")
		}, 200, map[string][]string{"Content-Type": {}}, "a"},
		{"encoded body is not detected", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "a")
		}, 200, map[string][]string{"Content-Encoding": {"gzip"}}, "a"},
		{"bytes that are not UTF-8 survive", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/x")
			_, _ = w.Write([]byte{0xff, 0, 0xfe})
		}, 200, map[string][]string{"Content-Type": {"image/x"}}, "\xff\x00\xfe"},
		{"hop-by-hop, lying length, trailers and split headers do not pass", "GET", func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range map[string]string{
				"Connection": "close, X-Private,  keep-alive", "Keep-Alive": "5", "X-Private": "1", "Proxy-Authenticate": "Basic",
				"Te": "trailers", "Trailer": "X-T", "Transfer-Encoding": "chunked", "Upgrade": "h2c", "Content-Length": "99",
				http.TrailerPrefix + "X-T": "1", "X Bad": "1", "X-Kept": "a\r\nSet-Cookie: b",
			} {
				w.Header()[name] = []string{value}
			}
			w.WriteHeader(200)
		}, 200, map[string][]string{"X-Kept": {"a  Set-Cookie: b"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := events.APIGatewayProxyResponse{StatusCode: c.status, MultiValueHeaders: c.header, Body: c.body}
			for mode, got := range both(t, event(c.method), c.handler, discard) {
				got.IsBase64Encoded = false
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: -want +got\n%s", mode, diff)
				}
			}
		})
	}
}

func noBody(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
		panic("body allowed")
	}
}

// The value of a panic can be a credential.
func TestPanicBeforeCommitIsAPlain500AndTellsNothing(t *testing.T) {
	for name, boom := range map[string]func(){
		"string": func() { panic("hunter2") },
		"error":  func() { panic(fmt.Errorf("hunter2")) },
		"runtime error": func() {
			var none []string
			none[len("hunter2")] = "hunter2"
		},
		"abort": func() { panic(http.ErrAbortHandler) },
	} {
		var log bytes.Buffer
		got := both(t, event("GET"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Half", "done")
			boom()
		}, slog.New(slog.NewJSONHandler(&log, nil)))
		for mode, a := range got {
			want := events.APIGatewayProxyResponse{StatusCode: 500, Body: `{"error":"internal error"}`,
				MultiValueHeaders: map[string][]string{"Content-Type": {"application/json"}}}
			if diff := cmp.Diff(want, a); diff != "" {
				t.Errorf("%s, %s: -want +got\n%s", name, mode, diff)
			}
		}
		if strings.Contains(log.String(), "hunter2") {
			t.Errorf("%s: the log has the value: %s", name, log.String())
		}
		if name != "abort" && strings.Count(log.String(), `"request_id":"r-1"`) != 2 {
			t.Errorf("%s: want a record for each mode: %s", name, log.String())
		}
	}
}

func TestPanicAfterCommitBreaksTheStreamGenerically(t *testing.T) {
	for name, boom := range map[string]any{"value": "hunter2", "abort": http.ErrAbortHandler} {
		resp, _ := StreamHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "first")
			panic(boom)
		}), discard)(t.Context(), event("GET"))
		body, err := io.ReadAll(resp.Body)
		if string(body) != "first" || !errors.Is(err, aborted{}) || err.Error() != "response aborted" {
			t.Errorf("%s: %q, %v", name, body, err)
		}
		_ = resp.Close()
	}
}

func TestHandlerThatEndsItsGoroutineIsA500(t *testing.T) {
	resp, _ := StreamHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }), discard)(t.Context(), event("GET"))
	if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 500 {
		t.Errorf("status %d, %v", resp.StatusCode, err)
	}
	_ = resp.Close()
}

func TestAnswerTooLargeToBufferIsA502(t *testing.T) {
	var failure error
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range MaxBufferedBytes/1024 + 1 {
			if _, err := w.Write(make([]byte, 1024)); err != nil {
				failure = err
			}
		}
	})
	resp, _ := BufferedHandler(h, discard)(t.Context(), event("GET"))
	if resp.StatusCode != 502 || len(resp.Body) > 100 || failure == nil {
		t.Errorf("status %d, %d bytes, write error %v", resp.StatusCode, len(resp.Body), failure)
	}
}

// 6,291,556 bytes is the most a Lambda invocation can return.
func TestLargestBufferedAnswerFitsTheInvocation(t *testing.T) {
	for name, body := range map[string][]byte{
		"base64": make([]byte, MaxBufferedBytes),
		"text":   bytes.Repeat([]byte{1}, maxTextBytes),
	} {
		resp, _ := BufferedHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }), discard)(t.Context(), event("GET"))
		if b, err := json.Marshal(resp); err != nil || len(b) > 6_291_556 || resp.StatusCode != 200 {
			t.Errorf("%s: %d bytes, %v, status %d", name, len(b), err, resp.StatusCode)
		}
	}
}

func TestOversizedRequestBodyIsA413(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		base64 bool
		want   int
	}{
		"text at the limit":     {strings.Repeat("a", MaxBodyBytes), false, 200},
		"text over the limit":   {strings.Repeat("a", MaxBodyBytes+1), false, 413},
		"base64 at the limit":   {base64.StdEncoding.EncodeToString(make([]byte, MaxBodyBytes)), true, 200},
		"base64 over the limit": {base64.StdEncoding.EncodeToString(make([]byte, MaxBodyBytes+1)), true, 413},
		"base64 far over":       {strings.Repeat("%", 2*MaxBodyBytes), true, 413},
		"base64 cut short":      {"YWJ", true, 400},
		"base64, loose bits":    {"YWJ=", true, 400},
	} {
		e := event("POST")
		e.Body, e.IsBase64Encoded = c.body, c.base64
		for mode, got := range both(t, e, func(http.ResponseWriter, *http.Request) {}, discard) {
			if got.StatusCode != c.want {
				t.Errorf("%s, %s: %d, want %d", name, mode, got.StatusCode, c.want)
			}
		}
	}
}

func TestRequestIDOutsideARequestIsEmpty(t *testing.T) {
	if id := RequestID(context.Background()); id != "" {
		t.Errorf("RequestID = %q", id)
	}
}
