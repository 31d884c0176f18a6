package lambdahttp

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// aborted is what the runtime is told when an answer broke off after its head
// was sent. aws-lambda-go reports the type's name and the text, so both say
// nothing about the cause.
type aborted struct{}

func (aborted) Error() string { return "response aborted" }

// StreamHandler adapts h to streaming. The returned function never fails: what
// is wrong with an event is an answer (400, 413), and so is a panic (500, or a
// broken stream if the head was sent). Safe for concurrent use if h is.
func StreamHandler(h http.Handler, log *slog.Logger) func(context.Context, events.APIGatewayProxyRequest) (*events.APIGatewayProxyStreamingResponse, error) {
	return func(ctx context.Context, e events.APIGatewayProxyRequest) (*events.APIGatewayProxyStreamingResponse, error) {
		ctx, cancel := context.WithCancel(ctx)
		reader, writer := io.Pipe()
		r, bad := newRequest(ctx, &e)
		h := h
		if bad != nil {
			h = bad
		}
		w := &streamWriter{head: newHead(r), body: writer, committed: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			panicked := true // unless serve returns: a handler can also end its goroutine
			defer close(done)
			defer cancel()
			defer func() { w.finish(panicked) }()
			panicked = serve(h, w, r, log)
		}()
		<-w.committed
		return &events.APIGatewayProxyStreamingResponse{
			StatusCode:        w.status,
			MultiValueHeaders: w.sent,
			Body:              &streamBody{PipeReader: reader, cancel: cancel, done: done},
		}, nil
	}
}

// streamWriter is the http.ResponseWriter of one streamed answer. It supports
// Flush and write deadlines.
type streamWriter struct {
	head
	body      *io.PipeWriter
	committed chan struct{} // closed when status and sent are fixed
	deadline  *time.Timer   // nil: none
}

// SetWriteDeadline is for http.ResponseController: a write that is not taken by
// t fails, and the answer breaks off. The zero time means no deadline. It is
// how a handler keeps time for its last duties when nobody reads.
func (w *streamWriter) SetWriteDeadline(t time.Time) error {
	if w.deadline != nil {
		w.deadline.Stop()
		w.deadline = nil
	}
	if !t.IsZero() {
		w.deadline = time.AfterFunc(time.Until(t), func() { _ = w.body.CloseWithError(aborted{}) })
	}
	return nil
}

func (w *streamWriter) Header() http.Header { return w.header }

func (w *streamWriter) WriteHeader(status int) { w.send(status, nil) }

// Flush sends the head; written bytes are never held back.
func (w *streamWriter) Flush() { w.send(http.StatusOK, nil) }

// Write sends p as one chunk and returns when the runtime has taken it.
func (w *streamWriter) Write(p []byte) (int, error) {
	w.send(http.StatusOK, p)
	switch {
	case w.omitsBody || len(p) == 0:
		return len(p), nil
	case !w.allowsBody():
		return 0, http.ErrBodyNotAllowed
	}
	return w.body.Write(p)
}

func (w *streamWriter) send(status int, first []byte) {
	if w.commit(status, first) {
		close(w.committed)
	}
}

// finish runs when the handler has returned, and lets the reader see the end.
func (w *streamWriter) finish(panicked bool) {
	_ = w.SetWriteDeadline(time.Time{}) // never fails
	switch {
	case !panicked:
		w.Flush()
		_ = w.body.Close() // never fails
	case w.sent != nil:
		_ = w.body.CloseWithError(aborted{}) // never fails
	default:
		w.header = http.Header{}   // half an answer's headers do not belong to a 500
		failed().ServeHTTP(w, nil) // refusals do not look at the request
		_ = w.body.Close()         // never fails
	}
}

// streamBody is what aws-lambda-go reads, and closes even after an error.
type streamBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   <-chan struct{}
}

// Close tells the handler that nobody reads any more and waits for it: it has
// its outcome to record, and the runtime asks for the next event, or ends the
// process, as soon as Close returns.
func (b *streamBody) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.done
	return err
}
