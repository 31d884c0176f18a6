package handler

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/telemetry"
)

// course is what is measured of one request: how long its stages took. It becomes
// part of the one line that the log has of the request.
type course struct {
	*Handler
	began, last time.Time
	attrs       []slog.Attr
	upstream    time.Duration // in all attempts
	asked       bool          // the upstream was
}

// mostMeasured is how many attributes the line of a call has as a rule.
const mostMeasured = 16

func (h *Handler) begin() *course {
	now := h.now()
	return &course{Handler: h, began: now, last: now, attrs: make([]slog.Attr, 0, mostMeasured)}
}

// stage ends a stage.
func (c *course) stage(m telemetry.Name) {
	now := c.now()
	c.attrs = append(c.attrs, m.Took(now.Sub(c.last)))
	c.last = now
}

// line is what the line says: the stages, and what else. A lasting stream is as
// long as its reader likes, so its length says nothing.
func (c *course) line(lasting bool, attrs []slog.Attr) []slog.Attr {
	if c.asked {
		c.attrs = append(c.attrs, telemetry.UpstreamTime.Took(c.upstream))
	}
	if !lasting {
		c.attrs = append(c.attrs, telemetry.CallTime.Took(c.now().Sub(c.began)))
	}
	return append(c.attrs, attrs...)
}

// outcomeLost is what the log says of an intent that the ledger will find alone.
const outcomeLost = "outcome not recorded"

// refused writes the line of a call that came to nothing before there was a
// credential.
func (c *course) refused(ctx context.Context, call broker.Call, problem Problem, err error) {
	unrecorded := c.broker.Unrecorded()
	if errors.Is(err, broker.ErrUnrecorded) {
		unrecorded++
	}
	if errors.Is(err, broker.ErrUnsettled) {
		unrecorded++
		c.log.Error(outcomeLost, "receipt", call.Receipt, "cause", broker.ErrUnsettled.Error())
	}
	attrs := []slog.Attr{slog.String("receipt", call.Receipt), slog.String("server", call.Route.Server),
		slog.String("problem", problem.Name), slog.String("cause", err.Error()), telemetry.Calls.Is(1)}
	if kind := kindOf(problem); kind != "" {
		attrs = append(attrs, kind.Is(1))
	}
	if unrecorded > 0 {
		attrs = append(attrs, telemetry.AuditFailures.Is(unrecorded))
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "call refused", c.line(call.Lasting, attrs)...)
}

// settled writes the line of a call that was relayed, or should have been.
func (c *course) settled(ctx context.Context, d *broker.Decision, result broker.Result, recorded bool) {
	unrecorded := c.broker.Unrecorded()
	if !recorded {
		unrecorded++
	}
	attrs := append(make([]slog.Attr, 0, mostMeasured),
		slog.String("receipt", d.Call.Receipt), slog.String("server", d.Call.Route.Server), slog.Int("status", result.Status),
		slog.Int("upstream", result.Upstream), slog.String("reason", string(result.Reason)),
		slog.Int64("ms", c.now().Sub(d.Began).Milliseconds()), telemetry.Calls.Is(1))
	for _, m := range []struct {
		name telemetry.Name
		n    int
	}{{telemetry.UpstreamFailures, failed(result.Reason)}, {telemetry.MaskedValues, result.Masked}, {telemetry.AuditFailures, unrecorded},
		{telemetry.WideMarkers, d.WideMarkers()}} {
		if m.n > 0 {
			attrs = append(attrs, m.name.Is(m.n))
		}
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "call", c.line(d.Call.Lasting, attrs)...)
}

// failed counts an upstream that did not answer, or not with what may be relayed.
// One that says by itself who may call has not failed.
func failed(reason broker.Reason) int {
	if reason != broker.UpstreamDenied && strings.HasPrefix(string(reason), "upstream_") {
		return 1
	}
	return 0
}

// kindOf is as what a row of the error table is counted, or nothing: that somebody
// is asked for a consent is no failure, and that a record could not be stored is
// counted by itself.
func kindOf(p Problem) telemetry.Name {
	switch p.Name {
	case undecided.Name:
		return telemetry.Undecided
	case noCredential.Name, badCredential.Name, internal.Name:
		return telemetry.CredentialFailures
	case unrecorded.Name, consentRequired.Name, consentDeclined.Name, consentMissing.Name:
		return ""
	}
	return telemetry.Refusals
}

// do sends a request, and measures until the first byte of the answer.
func (x *exchange) do(client Upstream, request *http.Request) (*http.Response, error) {
	sent := x.now()
	response, err := client.Do(request)
	x.course.asked, x.course.upstream = true, x.course.upstream+x.now().Sub(sent)
	return response, err
}
