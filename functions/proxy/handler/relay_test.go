package handler

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/lambdahttp"
)

// do makes one call and gives the answer and the call's records.
func (f *fixture) do(t *testing.T, body string, change ...func(*http.Request)) (*httptest.ResponseRecorder, []broker.Record) {
	t.Helper()
	r := f.request(f.token(t), body)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w, f.tables.Records(w.Header().Get("Bindery-Receipt"))
}

// outcome is the last record's reason and upstream status.
func outcome(t *testing.T, records []broker.Record) broker.Record {
	t.Helper()
	if len(records) != 2 || records[0].Phase != broker.Intent || records[1].Phase != broker.Outcome {
		t.Fatalf("records %+v, want intent and outcome", records)
	}
	return records[1]
}

func header(name, value string) transport {
	return func(r *http.Request) (*http.Response, error) {
		response, err := respond(http.StatusOK, "application/json", smallAnswer)(r)
		response.Header.Set(name, value)
		return response, err
	}
}

func status(code int, kind, body string, extra ...string) transport {
	return func(r *http.Request) (*http.Response, error) {
		response, err := respond(code, kind, body)(r)
		for i := 0; i+1 < len(extra); i += 2 {
			response.Header.Add(extra[i], extra[i+1])
		}
		return response, err
	}
}

func TestUpstreamMisbehaves(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("robot:" + canary + ":x"))
	cases := map[string]struct {
		upstream http.RoundTripper
		status   int
		body     string // must be in the answer
		reason   broker.Reason
		masked   int
	}{
		"answers with the credential": {respond(200, "application/json", `{"jsonrpc":"2.0","id":7,"result":{"t":"`+canary+`"}}`), 200,
			`{"jsonrpc":"2.0","id":7,"result":{"t":"[masked:dev-github]"}}`, "", 1},
		"answers with it inside basic auth": {respond(200, "application/json", `{"jsonrpc":"2.0","id":7,"result":{"t":"`+basic+`"}}`), 200, "[masked:dev-github]", "", 1},
		"answers with it as a JSON key":     {respond(200, "application/json", `{"jsonrpc":"2.0","id":7,"result":{"`+canary+`":1}}`), 200, `"[masked:dev-github]":1`, "", 1},
		"answers with it in the id":         {respond(200, "application/json", `{"jsonrpc":"2.0","id":"`+canary+`","result":{}}`), 502, `"code":15028`, broker.AnswerWouldLeak, 0},
		"answers with it in a cursor":       {respond(200, "application/json", `{"jsonrpc":"2.0","id":7,"result":{"nextCursor":"`+canary+`"}}`), 502, `"code":15028`, broker.AnswerWouldLeak, 0},
		"puts it into the session id":       {header("Mcp-Session-Id", "s-"+canary), 502, `"code":15028`, broker.AnswerWouldLeak, 0},
		"puts it into a plain error body":   {respond(400, "text/plain", "bad token "+canary), 400, "bad token [masked:dev-github]", "", 1},
		"redirects":                         {status(302, "text/html", "", "Location", "https://evil.example/?"+canary), 502, `"code":15022`, broker.UpstreamRedirect, 0},
		"answers 401":                       {status(401, "application/json", `{}`, "WWW-Authenticate", "Bearer realm=x"), 502, `"code":15025`, broker.UpstreamAuth, 0},
		"demands more scope":                {status(403, "application/json", `{}`, "WWW-Authenticate", `Bearer error="insufficient_scope"`), 502, `"code":15025`, broker.UpstreamAuth, 0},
		"refuses this person":               {respond(403, "text/html", "<h1>no</h1>"), 403, "the upstream itself refused", broker.UpstreamDenied, 0},
		"refuses in JSON-RPC":               {respond(403, "application/json", `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}`), 403, `"message":"no"`, "", 0},
		"breaks down in HTML":               {respond(500, "text/html", "stack trace"), 502, `"code":15026`, broker.UpstreamFailed, 0},
		"switches protocols":                {respond(101, "application/json", smallAnswer), 502, `"code":15026`, broker.UpstreamMalformed, 0},
		"answers with status 42":            {respond(42, "application/json", smallAnswer), 502, `"code":15026`, broker.UpstreamMalformed, 0},
		"forgets the session":               {respond(404, "text/plain", "session not found"), 404, "session not found", "", 0},
		"sends gzip behind identity":        {status(200, "application/json", smallAnswer, "Content-Encoding", "identity", "Content-Encoding", "gzip"), 502, `"code":15023`, broker.UpstreamEncoded, 0},
		"echoes in UTF-16":                  {respond(400, "text/plain; charset=utf-16", "b\x00a\x00d\x00"), 502, `"code":15023`, broker.UpstreamEncoded, 0},
		"echoes in another character set":   {respond(400, "text/plain; charset=utf-7", "bad "+canary), 502, `"code":15029`, broker.UpstreamMalformed, 0},
		"sends a page":                      {respond(200, "text/html", "<h1>"+canary+"</h1>"), 502, `"code":15029`, broker.UpstreamMalformed, 0},
		"sends a page with a 404":           {respond(404, "text/html", "<h1>"+canary+"</h1>"), 502, `"code":15029`, broker.UpstreamMalformed, 0},
		"has nothing to say":                {respond(204, "", ""), 204, "", "", 0},
		"sends gzip":                        {header("Content-Encoding", "gzip"), 502, `"code":15023`, broker.UpstreamEncoded, 0},
		"sends 50 MB":                       {respond(200, "application/json", strings.Repeat("x", 50<<20)), 502, `"code":15024`, broker.UpstreamTooLarge, 0},
		"has a forbidden address":           {failingWith(egress.ErrAddress), 502, `"code":15021`, broker.UpstreamAddress, 0},
		"does not answer":                   {failingWith(errors.New("dial: " + canary)), 502, `"code":15021`, broker.UpstreamUnreached, 0},
		"breaks off a body":                 {brokenBody200("application/json", `{"jsonrpc":`), 502, `"code":15027`, broker.UpstreamBroke, 0},
		"ends a stream without an answer": {respond(200, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n"), 200,
			`"id":7,"error":{"code":15027`, broker.UpstreamBroke, 0},
		"breaks off a stream": {brokenBody200("text/event-stream", ": hi\n\ndata: {\"half"), 200, `"id":7,"error":{"code":15027`, broker.UpstreamBroke, 0},
		"streams the credential": {respond(200, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"t\":\""+canary+"\"}}\n\n"), 200,
			`{"t":"[masked:dev-github]"}`, "", 1},
		"streams it in a comment": {respond(200, "text/event-stream", ": "+canary+"\n\ndata: "+smallAnswer+"\n\n"), 200, ": [masked:dev-github]\n\n", "", 1},
		"streams it split over two lines of one event": {respond(200, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"id\":7,\ndata: \"result\":{\"t\":\""+canary+"\"}}\n\n"), 200,
			"data: {\"jsonrpc\":\"2.0\",\"id\":7,\ndata: \"result\":{\"t\":\"[masked:dev-github]\"}}\n\n", "", 1},
		"streams it in the id of a message": {respond(200, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"id\":\""+canary+"\",\"result\":{}}\n\n"), 200,
			`"code":15028`, broker.AnswerWouldLeak, 0},
		"streams it in the id of an event": {respond(200, "text/event-stream", "id: "+canary+"\ndata: "+smallAnswer+"\n\n"), 200,
			`"code":15028`, broker.AnswerWouldLeak, 0},
		"streams an event without end": {respond(200, "text/event-stream", "data: "+strings.Repeat("x", 3<<20)), 200, `"code":15024`, broker.UpstreamTooLarge, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.upstream, true)
			w, records := f.do(t, callBody)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
				t.Errorf("answered %d %.300s, want %d with %s", w.Code, w.Body, c.status, c.body)
			}
			if got := outcome(t, records); got.Reason != c.reason || got.Masked != c.masked || got.Status != c.status {
				t.Errorf("outcome %s, %d masked, status %d", got.Reason, got.Masked, got.Status)
			}
			f.clean(t, w)
		})
	}
}

// TestAStreamThatCanBeResumedIsLeftToItsClient: it comes back for the answer,
// so an error in its place would lose the call. The modern era has no way back.
func TestAStreamThatCanBeResumedIsLeftToItsClient(t *testing.T) {
	const begun = "id: 1\ndata: {}\n\n"
	for name, c := range map[string]struct {
		upstream http.RoundTripper
		reason   broker.Reason
	}{
		"it ends":                   {respond(200, "text/event-stream", begun), ""},
		"its connection breaks":     {brokenBody200("text/event-stream", begun), broker.UpstreamBroke},
		"it breaks inside an event": {respond(200, "text/event-stream", begun+"data: {\"half"), broker.UpstreamBroke},
	} {
		f := newFixture(t, c.upstream, true)
		w, records := f.do(t, callBody)
		if w.Body.String() != begun || outcome(t, records).Reason != c.reason {
			t.Errorf("%s: relayed %q, recorded %s", name, w.Body, outcome(t, records).Reason)
		}
		w, records = f.do(t, modernBody, asModern)
		if !strings.Contains(w.Body.String(), `"id":7,"error":{"code":15027`) || outcome(t, records).Reason != broker.UpstreamBroke {
			t.Errorf("%s, modern: relayed %q", name, w.Body)
		}
	}
}

// TestNobodyHasToGuessATypeOfAnAnswer: what is no JSON is plain text, whatever
// it looks like.
func TestNobodyHasToGuessATypeOfAnAnswer(t *testing.T) {
	f := newFixture(t, respond(http.StatusNotFound, "", "<html><script>alert(1)</script>"), true)
	w, _ := f.do(t, callBody)
	if w.Code != http.StatusNotFound || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// clean requires that nothing anybody sees holds the canary.
func (f *fixture) clean(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	var all bytes.Buffer
	_ = w.Header().Write(&all)
	all.Write(w.Body.Bytes())
	all.WriteString(f.log.String())
	for _, r := range f.tables.Records(w.Header().Get("Bindery-Receipt")) {
		text, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))} {
		if bytes.Contains(all.Bytes(), []byte(form)) {
			t.Error("the canary reached an answer, a log or a record")
		}
	}
}

func failingWith(err error) transport {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// brokenBody200 is an answer whose body ends in an error.
func brokenBody200(kind, start string) transport {
	return func(r *http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(start), &brokenReader{})
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body), Request: r}, nil
	}
}

type brokenReader struct{}

func (*brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestFormerValueIsMaskedToo(t *testing.T) {
	f := newFixture(t, respond(200, "application/json", `{"jsonrpc":"2.0","id":7,"result":{"t":"the-former-value-9f8e7d"}}`), true)
	f.vault.previous = []string{"the-former-value-9f8e7d", "short"}
	w, _ := f.do(t, callBody)
	if strings.Contains(w.Body.String(), "former-value") {
		t.Error(w.Body)
	}
}

func TestWhatTheUpstreamGets(t *testing.T) {
	var got *http.Request
	var body []byte
	f := newFixture(t, transport(func(r *http.Request) (*http.Response, error) {
		got = r
		body, _ = io.ReadAll(r.Body)
		return respond(200, "application/json", smallAnswer)(r)
	}), true)
	w, _ := f.do(t, callBody, func(r *http.Request) {
		for name, value := range map[string]string{"X-User-Email": "mallory@example.com", "Bindery-Mode": "forged", "Bindery-Receipt": "forged",
			"Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "X-Api-Key": "mine", "Proxy-Authorization": "Basic eDp5", "Accept-Encoding": "gzip"} {
			r.Header.Set(name, value)
		}
	})
	if w.Code != 200 || string(body) != callBody {
		t.Errorf("status %d, body changed: %s", w.Code, body)
	}
	want := map[string]string{"Authorization": "Bearer " + canary, "X-User-Email": "alice@example.com", "Bindery-Mode": "service_account",
		"Bindery-Receipt": w.Header().Get("Bindery-Receipt"), "Cookie": "", "X-Forwarded-For": "", "X-Api-Key": "", "Proxy-Authorization": "", "Accept-Encoding": "identity"}
	for name, value := range want {
		if got.Header.Get(name) != value {
			t.Errorf("%s is wrong at the upstream", name)
		}
	}
}

// TestNoArgumentIsRecorded, nor logged, nor a header that mirrors one.
func TestNoArgumentIsRecorded(t *testing.T) {
	f := newFixture(t, respond(200, "application/json", smallAnswer), true)
	body := strings.Replace(modernBody, `"arguments":{}`, `"arguments":{"title":"`+canary+`"}`, 1)
	w, records := f.do(t, body, asModern, func(r *http.Request) { r.Header.Set("Mcp-Param-Title", canary) })
	if outcome(t, records).Reason != "" {
		t.Errorf("recorded %s", outcome(t, records).Reason)
	}
	f.clean(t, w)
}

// A caller who stops reading must not keep the outcome from being recorded.
func TestACallerWhoStopsReadingDoesNotPreventTheOutcome(t *testing.T) {
	f := newFixture(t, respond(200, "application/json", smallAnswer), true)
	f.timeout = 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		f.verifier = known{broker.Principal{ID: "p-alice", Kind: broker.User, Groups: []string{"dev"}, Expires: time.Now().Add(time.Hour)}}
		event := events.APIGatewayProxyRequest{HTTPMethod: http.MethodPost, Path: route, Body: callBody, MultiValueHeaders: f.request("t", "").Header}
		event.MultiValueHeaders["Host"] = []string{"mcp.example.com"}
		answer, err := lambdahttp.StreamHandler(f, slog.New(slog.DiscardHandler))(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		receipt := http.Header(answer.MultiValueHeaders).Get("Bindery-Receipt")
		f.settled(t, receipt) // nobody reads answer.Body
	})
}
