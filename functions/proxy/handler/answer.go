package handler

import (
	"bytes"
	"context"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/mcp"
)

// answer sorts the upstream's response: what must not reach the caller as it
// is, a stream, or one body.
func (x *exchange) answer(ctx context.Context, response *http.Response) {
	status, header := response.StatusCode, response.Header
	switch {
	case status < 200 || status > 599: // 101 is no answer, and 042 would panic where it is written
		x.fail(failure{upstreamFailed, broker.UpstreamMalformed})
	case status >= 300 && status < 400:
		x.fail(failure{redirected, broker.UpstreamRedirect})
	case slices.ContainsFunc(header.Values("Content-Encoding"), func(v string) bool { return !strings.EqualFold(v, "identity") }):
		x.fail(failure{encoded, broker.UpstreamEncoded})
	case status == http.StatusUnauthorized,
		status == http.StatusForbidden && strings.Contains(header.Get("WWW-Authenticate"), "insufficient_scope"):
		x.refused(ctx, response)
	case mcp.MediaType(header) == mcp.EventStream && status == http.StatusOK:
		x.stream(ctx, response)
	default:
		x.body(ctx, response, mcp.MediaType(header) == mcp.JSON)
	}
}

// body relays an answer that is one body: read whole, judged, masked, checked,
// written. What could not be masked reliably is not relayed: only UTF-8 passes,
// and of what is not JSON only plain text that comes with a 4xx, because
// clients tell eras and lost sessions apart by it.
func (x *exchange) body(ctx context.Context, response *http.Response, isJSON bool) {
	text, err := egress.ReadBounded(response.Body, x.maxAnswer, response.ContentLength)
	if err != nil {
		x.fail(breakOf(ctx, err))
		return
	}
	status := response.StatusCode
	switch {
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		x.fail(failure{encoded, broker.UpstreamEncoded})
		return
	case isJSON || len(text) == 0 && status != http.StatusForbidden && status < 500:
	case status == http.StatusForbidden:
		x.fail(failure{upstreamDenied, broker.UpstreamDenied})
		return
	case status >= 500:
		x.fail(failure{upstreamFailed, broker.UpstreamFailed})
		return
	case status < 400 || !plainText(response.Header):
		x.fail(failure{notMCP, broker.UpstreamMalformed})
		return
	}
	if isJSON && status < 300 {
		if text, _, err = x.message.EditResult(text, x.sees(ctx)); err != nil {
			x.fail(failure{notMCP, broker.UpstreamMalformed})
			return
		}
		if ctx.Err() != nil {
			x.fail(breakOf(ctx, ctx.Err()))
			return
		}
	}
	masked, n := x.masker.Bytes(text)
	if n > 0 && isJSON && x.leaks(text) {
		x.fail(failure{wouldLeak, broker.AnswerWouldLeak})
		return
	}
	if f := x.header(ctx, response); f != nil {
		x.fail(*f)
		return
	}
	x.result.Masked += n
	x.result.Reason, x.result.Status = "", status
	if len(masked) > 0 && !isJSON {
		x.w.Header().Set("Content-Type", "text/plain; charset=utf-8") // nobody shall guess another
	}
	x.w.WriteHeader(status)
	if len(masked) == 0 {
		return
	}
	if _, err := x.w.Write(masked); err != nil {
		x.result.Reason = broker.CallerGone
	}
}

// plainText reports whether a body is text/plain in UTF-8, or says nothing of
// its type.
func plainText(h http.Header) bool {
	if len(h.Values("Content-Type")) == 0 {
		return true
	}
	media, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset, declared := parameters["charset"]
	return err == nil && media == "text/plain" && (!declared || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii"))
}

// header copies the response headers a caller may see, masked, and the session
// as the caller may have it. Nothing has been written when it fails.
func (x *exchange) header(ctx context.Context, response *http.Response) *failure {
	if f := x.keepSession(ctx, response); f != nil {
		return f
	}
	for name, values := range mcp.CallerHeader(response.Header) {
		for i, value := range values {
			masked, n := x.masker.String(value)
			values[i] = masked
			x.result.Masked += n
		}
		x.w.Header()[name] = values
	}
	return nil
}

// sees says what a list may show: nothing, once the call's time is over, so that
// a list without end is not judged to its end.
func (x *exchange) sees(ctx context.Context) *mcp.Sees {
	d := x.release.Decision
	if !d.Call.Lists {
		return nil
	}
	of := func(action broker.Action) func(string) bool {
		return func(name string) bool { return ctx.Err() == nil && d.Sees(action, name) }
	}
	return &mcp.Sees{Tool: of(broker.CallTool), Prompt: of(broker.GetPrompt), Resource: of(broker.ReadResource),
		Template: func(template string) bool { return ctx.Err() == nil && d.SeesTemplate(template) }}
}

// leaks reports whether a secret sits in a part of a JSON-RPC message that
// must not be masked, or the message cannot be told apart well enough to know.
func (x *exchange) leaks(message []byte) bool {
	spans, err := mcp.Protected(message)
	if err != nil {
		return true
	}
	for _, span := range spans {
		if _, n := x.masker.Bytes(span); n > 0 {
			return true
		}
	}
	return false
}

// fail answers with a row of the error table. It is only called before
// anything of the answer has been written.
func (x *exchange) fail(f failure) {
	x.w.Header().Del(sessionHeader)
	x.result.Session = ""
	x.result.Reason, x.result.Status = f.reason, f.problem.Status
	f.problem.write(x.w, x.message.ID)
}
