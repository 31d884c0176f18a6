package handler

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/egress"
	"bindery/shared/mask"
	"bindery/shared/mcp"
	"bindery/shared/session"
	"bindery/shared/telemetry"
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
	course    *course
	w         http.ResponseWriter
	r         *http.Request
	in        *inbound
	message   *mcp.Message
	release   *broker.Release
	repeated  bool            // with another credential
	session   session.Session // zero: none
	masker    *mask.Masker
	maxAnswer int64
	result    broker.Result
	leave     context.CancelCauseFunc   // ends the upstream call
	follow    func() (stop func() bool) // from now on the caller's leaving ends it
	resumable atomic.Bool               // the caller can come back for the rest: an event had an id
}

// relay makes the upstream call with the released credential, streams the
// masked answer, and settles, whatever happens in between.
func (c *course) relay(w http.ResponseWriter, r *http.Request, release *broker.Release, in *inbound, s session.Session) {
	x := &exchange{Handler: c.Handler, course: c, w: w, r: r, in: in, message: in.message, release: release, session: s, maxAnswer: c.maxAnswer,
		result: broker.Result{Reason: broker.Internal, Status: http.StatusInternalServerError}}
	if _, most := c.broker.Sizes(release.Decision); most > 0 {
		x.maxAnswer = min(x.maxAnswer, most)
	}
	defer x.settle(r.Context())
	ctx, cancel := x.callContext(r.Context())
	defer cancel()
	defer x.boundWrites(ctx)()
	defer x.watch(ctx, x.leave)()
	x.send(ctx)
}

// send makes the upstream call and answers it. It may be called again as long as
// nothing of an answer has been written.
func (x *exchange) send(ctx context.Context) {
	masker, err := maskerFor(x.release)
	if err != nil {
		x.fail(failure{badCredential, broker.SecretMalformed})
		return
	}
	x.masker = masker
	request, err := x.upstreamRequest(ctx, x.r, x.in.body)
	if err != nil {
		x.fail(attachFailure(err))
		return
	}
	client, err := x.upstreams.For(&x.release.Decision.Server)
	if err != nil {
		x.fail(failure{unreached, broker.UpstreamAddress})
		return
	}
	response, err := x.do(client, egress.Once(request))
	if err != nil {
		x.fail(failureOf(ctx, err))
		return
	}
	defer func() { _ = response.Body.Close() }()
	x.result.Upstream = response.StatusCode
	x.answer(ctx, response)
}

func (x *exchange) settle(ctx context.Context) {
	d := x.release.Decision
	x.course.last = x.now()
	err := x.broker.Settle(ctx, x.release, x.result)
	x.course.stage(telemetry.SettleTime)
	if err != nil {
		x.log.Error(outcomeLost, "receipt", d.Call.Receipt, "cause", err.Error())
	}
	x.course.settled(ctx, d, x.result, err == nil)
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

// callContext bounds the upstream call: by the server's and the deployment's
// limit, or for a lasting stream by the limit of streams and by the life of the
// token that opened it; and by what is left of the invocation. In the legacy
// era a client that goes away has not cancelled its call, but a stream that
// carries no answer of its own has nobody left.
func (x *exchange) callContext(ctx context.Context) (context.Context, context.CancelFunc) {
	d := x.release.Decision
	timeout, cause := x.timeout, context.DeadlineExceeded
	switch {
	case x.message.Lasting:
		timeout, cause = x.streamTimeout, errStreamOver
		if left := d.Call.Principal.Expires.Sub(x.now()); left < timeout {
			timeout, cause = left, errTokenExpired
		}
	case d.Server.Timeout > 0:
		timeout = min(timeout, d.Server.Timeout)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if left := deadline.Sub(x.now()) - deadlineMargin; left < timeout {
			timeout = left
			if errors.Is(cause, errTokenExpired) { // the token would have lasted longer
				cause = errStreamOver
			}
		}
	}
	caller := ctx
	x.follow = func() func() bool { return context.AfterFunc(caller, func() { x.leave(errCallerGone) }) }
	if !x.message.Modern && !x.message.Lasting {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, x.leave = context.WithCancelCause(ctx)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, cause)
	return ctx, func() { cancel(); x.leave(nil) }
}

// upstreamRequest builds what the upstream gets: the caller's exact body, the
// allowed headers, the upstream's own session id, the verified identity, and
// last the credential, so that nothing of the caller's can stand in its place.
func (x *exchange) upstreamRequest(ctx context.Context, r *http.Request, body []byte) (*http.Request, error) {
	d := x.release.Decision
	request, err := http.NewRequestWithContext(ctx, r.Method, d.Server.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = mcp.UpstreamHeader(r.Header, x.message)
	request.Header.Set("User-Agent", "Bindery")
	if x.session.Upstream != "" {
		request.Header.Set(sessionHeader, x.session.Upstream)
	}
	if err := credential.Propagate(request.Header, &d.Server, &d.Call.Principal, d.Call.Receipt, d.Binding.Mode); err != nil {
		return nil, err
	}
	return request, credential.Attach(request, &d.Server, x.release.Credential.Fields)
}

// attachFailure tells a value that its place cannot carry from a server's row
// that asks for what cannot be sent.
func attachFailure(err error) failure {
	if errors.Is(err, broker.ErrSecretMalformed) || errors.Is(err, broker.ErrSecretMissing) {
		return failure{badCredential, broker.SecretMalformed}
	}
	return failure{internal, broker.Internal}
}
