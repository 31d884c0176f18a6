package handler

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/egress"
	"bindery/shared/mask"
	"bindery/shared/mcp"
)

// Between the end of the upstream call and the end of the invocation there is
// time for the synthetic error and for the outcome record.
const (
	lastWords      = 500 * time.Millisecond
	deadlineMargin = lastWords + broker.SettleTime + 500*time.Millisecond
)

// exchange is one relayed call: what is needed to answer it and what came of it.
type exchange struct {
	*Handler
	w       http.ResponseWriter
	message *mcp.Message
	masker  *mask.Masker
	result  broker.Result
}

// relay makes the upstream call with the released credential, streams the
// masked answer, and settles, whatever happens in between.
func (h *Handler) relay(w http.ResponseWriter, r *http.Request, release *broker.Release, message *mcp.Message, body []byte) {
	x := &exchange{Handler: h, w: w, message: message, result: broker.Result{Reason: broker.Internal, Status: http.StatusInternalServerError}}
	defer func() {
		if err := h.broker.Settle(r.Context(), release, x.result); err != nil {
			h.log.Error("outcome not recorded", "receipt", release.Decision.Call.Receipt, "cause", err.Error())
		}
		h.log.Info("call", "receipt", release.Decision.Call.Receipt, "server", release.Decision.Call.Route.Server,
			"status", x.result.Status, "upstream", x.result.Upstream, "reason", x.result.Reason,
			"ms", h.now().Sub(release.Decision.Began).Milliseconds())
	}()
	ctx, cancel := h.callContext(r.Context(), &release.Decision.Server, message)
	defer cancel()
	defer x.boundWrites(ctx)()
	masker, err := maskerFor(release)
	if err != nil {
		x.fail(failure{badCredential, broker.SecretMalformed})
		return
	}
	x.masker = masker
	request, err := upstreamRequest(ctx, r, release, message, body)
	if err != nil {
		x.fail(attachFailure(err))
		return
	}
	client, err := h.upstreams.For(&release.Decision.Server)
	if err != nil {
		x.fail(failure{unreached, broker.UpstreamAddress})
		return
	}
	response, err := client.Do(request)
	if err != nil {
		x.fail(failureOf(ctx, err))
		return
	}
	defer func() { _ = response.Body.Close() }()
	x.result.Upstream = response.StatusCode
	x.answer(ctx, response)
}

// boundWrites makes writes to the caller fail a moment after the call's time is
// over, so that a caller who stops reading cannot keep the outcome from being
// recorded. The returned func lifts the bound.
func (x *exchange) boundWrites(ctx context.Context) func() {
	control := http.NewResponseController(x.w)
	if deadline, ok := ctx.Deadline(); ok {
		_ = control.SetWriteDeadline(deadline.Add(lastWords))
	}
	return func() { _ = control.SetWriteDeadline(time.Time{}) }
}

// maskerFor knows every value that this call may bring back.
func maskerFor(release *broker.Release) (*mask.Masker, error) {
	placeholder := "[masked:" + release.Decision.Binding.Name + "]"
	secrets := make([]mask.Secret, 0, len(release.Credential.Fields)+len(release.Credential.Previous))
	for _, value := range release.Credential.Fields {
		secrets = append(secrets, mask.Secret{Value: value, Placeholder: placeholder})
	}
	for _, value := range release.Credential.Previous {
		secrets = append(secrets, mask.Secret{Value: value, Placeholder: placeholder})
	}
	return mask.New(secrets...)
}

// callContext bounds the upstream call by the server's and the deployment's
// limit and by what is left of the invocation. In the legacy era a client that
// goes away has not cancelled its call.
func (h *Handler) callContext(ctx context.Context, server *broker.Server, message *mcp.Message) (context.Context, context.CancelFunc) {
	timeout := h.timeout
	if server.Timeout > 0 {
		timeout = min(timeout, server.Timeout)
	}
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, deadline.Sub(h.now())-deadlineMargin)
	}
	if !message.Modern {
		ctx = context.WithoutCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// upstreamRequest builds what the upstream gets: the caller's exact body, the
// allowed headers, the verified identity, and last the credential, so that
// nothing of the caller's can stand in its place.
func upstreamRequest(ctx context.Context, r *http.Request, release *broker.Release, message *mcp.Message, body []byte) (*http.Request, error) {
	d := release.Decision
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Server.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = mcp.UpstreamHeader(r.Header, message)
	request.Header.Set("User-Agent", "Bindery")
	if err := credential.Propagate(request.Header, &d.Server, &d.Call.Principal, d.Call.Receipt, d.Binding.Mode); err != nil {
		return nil, err
	}
	return request, credential.Attach(request, &d.Server, release.Credential.Fields)
}

// attachFailure tells a value that its place cannot carry from a server's row
// that asks for what cannot be sent.
func attachFailure(err error) failure {
	if errors.Is(err, broker.ErrSecretMalformed) || errors.Is(err, broker.ErrSecretMissing) {
		return failure{badCredential, broker.SecretMalformed}
	}
	return failure{internal, broker.Internal}
}

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
		x.fail(failure{upstreamAuth, broker.UpstreamAuth})
	case mcp.MediaType(header) == mcp.EventStream && status < 300:
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
	text, err := egress.ReadBounded(response.Body, x.maxAnswer)
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
	masked, n := x.masker.Bytes(text)
	if n > 0 && isJSON && x.leaks(text) || !x.header(response) {
		x.fail(failure{wouldLeak, broker.AnswerWouldLeak})
		return
	}
	x.result.Masked += n
	x.result.Reason, x.result.Status = "", status
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

// header copies the response headers a caller may see, masked. It reports
// false when a secret sits in the session id, where masking would break the
// protocol.
func (x *exchange) header(response *http.Response) bool {
	passing := mcp.CallerHeader(response.Header, x.message.Modern)
	if _, n := x.masker.String(passing.Get("Mcp-Session-Id")); n > 0 {
		return false
	}
	for name, values := range passing {
		for i, value := range values {
			masked, n := x.masker.String(value)
			values[i] = masked
			x.result.Masked += n
		}
		x.w.Header()[name] = values
	}
	return true
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
	x.result.Reason, x.result.Status = f.reason, f.problem.Status
	f.problem.write(x.w, x.message.ID)
}
