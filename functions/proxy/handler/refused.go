package handler

import (
	"context"
	"errors"
	"net/http"

	"bindery/shared/broker"
	"bindery/shared/mcp"
)

// refused handles an upstream that did not accept the credential. Its 401 never
// reaches the caller, who would log in at the wrong place. Once, another
// credential is tried, if there is one by now: the request is in memory, and
// nothing has been answered. Then the person is asked, where it is theirs: once
// for one call, because whoever consented a moment ago and is still refused would
// be asked for ever.
func (x *exchange) refused(ctx context.Context, response *http.Response) {
	d := x.release.Decision
	why := broker.ConsentScopes
	if response.StatusCode == http.StatusUnauthorized {
		why = broker.ConsentDead
		if x.again(ctx, response) {
			return
		}
	}
	theirs := d.Binding.Source == broker.AuthorizationCode || d.Binding.Source == broker.PersonalKey
	asked := x.in.asked
	if !theirs || x.message.Kind != mcp.Request || asked.Link != "" && (asked.Refused == "" || x.broker.Consented(ctx, d, asked.Refused)) {
		x.fail(failure{upstreamAuth, broker.UpstreamAuth})
		return
	}
	x.result.Reason, x.result.Status = broker.ConsentRequired, consentRequired.Status
	x.ask(ctx, x.w, d, x.in, x.session, d.Needs(why), x.version())
}

// again repeats the call with another credential, and reports whether it was
// answered.
func (x *exchange) again(ctx context.Context, response *http.Response) bool {
	if x.repeated {
		return false
	}
	x.repeated = true
	err := x.broker.Again(ctx, x.release)
	var refusal *broker.Refusal
	switch {
	case err == nil:
		_ = response.Body.Close()
		x.send(ctx)
	case ctx.Err() != nil:
		x.fail(failureOf(ctx, ctx.Err()))
	case errors.As(err, &refusal):
		x.fail(failure{refused(refusal), refusal.Reason})
	default:
		return false
	}
	return true
}

// version is that of the credential in use.
func (x *exchange) version() string {
	if n := len(x.release.Credential.Access); n > 0 {
		return x.release.Credential.Access[n-1].Version
	}
	return ""
}
