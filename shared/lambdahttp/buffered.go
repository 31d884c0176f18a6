package lambdahttp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// MaxBufferedBytes bounds a buffered answer's body, so that with base64 it
// stays under the 6 MB a Lambda invocation can return.
const MaxBufferedBytes = 4 << 20

// maxTextBytes is the length up to which a body may travel as a JSON string:
// escapes can make it six times longer, base64 never more than 4/3.
const maxTextBytes = 512 << 10

var errAnswerTooLarge = errors.New("lambdahttp: answer too large to buffer")

// BufferedHandler adapts h to integrations that take the answer as a whole.
// Nothing is sent before h returned, so a panic is always a plain 500, and an
// answer over MaxBufferedBytes a 502. Safe for concurrent use if h is.
func BufferedHandler(h http.Handler, log *slog.Logger) func(context.Context, events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	return func(ctx context.Context, e events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r, bad := newRequest(ctx, &e)
		h := h
		if bad != nil {
			h = bad
		}
		w := &bufferedWriter{head: newHead(r)}
		switch {
		case serve(h, w, r, log):
			w.replace(failed())
		case w.overflow:
			w.replace(&refusal{http.StatusBadGateway, "answer too large to buffer"})
		}
		return w.response(), nil
	}
}

// bufferedWriter is the http.ResponseWriter of one buffered answer.
type bufferedWriter struct {
	head
	body     bytes.Buffer
	overflow bool
}

func (w *bufferedWriter) Header() http.Header { return w.header }

func (w *bufferedWriter) WriteHeader(status int) { w.commit(status, nil) }

// Flush fixes the head, as it would in a stream.
func (w *bufferedWriter) Flush() { w.commit(http.StatusOK, nil) }

func (w *bufferedWriter) Write(p []byte) (int, error) {
	w.commit(http.StatusOK, p)
	switch {
	case w.omitsBody || len(p) == 0:
		return len(p), nil
	case !w.allowsBody():
		return 0, http.ErrBodyNotAllowed
	case w.overflow || w.body.Len()+len(p) > MaxBufferedBytes:
		w.overflow = true
		return 0, errAnswerTooLarge
	}
	return w.body.Write(p)
}

// replace drops everything the handler wrote.
func (w *bufferedWriter) replace(bad *refusal) {
	*w = bufferedWriter{head: head{header: http.Header{}, omitsBody: w.omitsBody}}
	bad.ServeHTTP(w, nil)
}

func (w *bufferedWriter) response() events.APIGatewayProxyResponse {
	w.Flush()
	out := events.APIGatewayProxyResponse{StatusCode: w.status, MultiValueHeaders: w.sent}
	body := w.body.Bytes()
	if len(body) <= maxTextBytes && utf8.Valid(body) {
		out.Body = string(body)
		return out
	}
	out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	return out
}
