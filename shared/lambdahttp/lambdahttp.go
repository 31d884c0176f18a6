// Package lambdahttp lets an ordinary http.Handler serve API Gateway REST
// (version 1) proxy events, streamed or buffered.
//
// Streaming: the head is sent at the first Write, Flush or WriteHeader; from
// then on each Write is one chunk on its way to the client, and a Write returns
// when the runtime has taken it, so a slow client slows the handler. The
// invocation ends only after the handler returned: what it does last (the audit
// outcome) is done before the sandbox may freeze. The request's context ends
// with the invocation's deadline, when the runtime stops reading, and when the
// handler returns. API Gateway does not tell a function that its client left.
//
// Lambda, aws-lambda-go and API Gateway agree on streaming by the answer's
// content type, application/vnd.awslambda.http-integration-response; the header
// Lambda-Runtime-Function-Response-Mode, which custom runtimes are told to
// send, is not sent by aws-lambda-go.
//
// The package never trusts the Host header for anything, never puts a panic's
// value or an event into an answer or a log line, and never ends the process
// because a handler panicked.
package lambdahttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/aws/aws-lambda-go/lambda"
)

// Mode is how answers travel.
type Mode int

const (
	// Stream needs an integration whose response transfer mode is STREAM.
	Stream Mode = iota
	// Buffered is for integrations and local tools that cannot stream.
	Buffered
)

// Start serves h until the process ends; it does not return. log receives one
// record for each handler that panicked.
func Start(h http.Handler, mode Mode, log *slog.Logger, opts ...lambda.Option) {
	if mode == Buffered {
		lambda.StartWithOptions(BufferedHandler(h, log), opts...)
		return
	}
	lambda.StartWithOptions(StreamHandler(h, log), opts...)
}

// serve runs h and reports whether it panicked. The panic's value may hold
// anything, a credential included: only its type and the stack are logged.
// http.ErrAbortHandler is a handler's way to break an answer off (net/http) and
// not worth a record.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request, log *slog.Logger) (panicked bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		panicked = true
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			return
		}
		log.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelError, "handler panicked",
			slog.String("type", typeName(v)), slog.String("request_id", RequestID(r.Context())),
			slog.String("stack", string(debug.Stack())))
	}()
	h.ServeHTTP(w, r)
	return false
}
