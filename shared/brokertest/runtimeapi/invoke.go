package runtimeapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultTimeout is the invocation's time limit when ctx has no deadline.
const DefaultTimeout = 30 * time.Second

// Response is a function's answer.
type Response struct {
	// StatusCode and Header are those of an API Gateway proxy answer, streamed
	// or buffered; zero if the answer is something else.
	StatusCode int
	Header     http.Header

	// Body yields the HTTP body as the function writes it. It ends with io.EOF
	// when the function has finished the invocation, with a *FunctionError if
	// the function broke the stream off, with io.ErrUnexpectedEOF if the
	// process went away. Close it to read no further; as with API Gateway, the
	// function is not told.
	Body io.ReadCloser

	// Raw is a buffered answer as it was sent; nil if it was streamed.
	Raw []byte
}

// FunctionError is what a function reported instead of an answer, or after the
// beginning of one.
type FunctionError struct {
	Type    string
	Payload []byte // the JSON error object
}

func (e *FunctionError) Error() string { return "function error " + e.Type }

type invocation struct {
	id       string
	event    []byte
	deadline time.Time
	answer   chan answered // capacity 1
}

type answered struct {
	response *Response
	err      error
}

// Invoke sends one event and returns as soon as the head of the answer is
// there. The invocation's deadline is that of ctx; as in Lambda, a function that
// has not answered by then is done for: its late answer is refused, and it ends.
// Errors are *FunctionError, ErrExited or the context's.
func (f *Function) Invoke(ctx context.Context, event []byte) (*Response, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(DefaultTimeout)
	}
	f.mu.Lock()
	f.count++
	in := &invocation{id: fmt.Sprintf("00000000-0000-4000-8000-%012d", f.count), event: event, deadline: deadline, answer: make(chan answered, 1)}
	f.running[in.id] = in
	f.mu.Unlock()
	defer f.take(in.id)

	select {
	case f.queue <- in:
	case <-f.exited:
		return nil, fmt.Errorf("runtimeapi: invoke: %w: %v", ErrExited, f.cmd.ProcessState)
	case <-ctx.Done():
		return nil, fmt.Errorf("runtimeapi: invoke: %w", ctx.Err())
	}
	select {
	case a := <-in.answer:
		return a.response, a.err
	case <-f.exited:
	case <-ctx.Done():
		return nil, fmt.Errorf("runtimeapi: await answer: %w", ctx.Err())
	}
	select { // a last word just before the exit counts
	case a := <-in.answer:
		return a.response, a.err
	default:
		return nil, fmt.Errorf("runtimeapi: await answer: %w: %v", ErrExited, f.cmd.ProcessState)
	}
}

// take gives the invocation to the first who answers it.
func (f *Function) take(id string) *invocation {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.running[id]
	delete(f.running, id)
	return in
}

func (f *Function) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", f.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", f.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", f.failure)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case f.initFail <- struct{}{}:
		default: // said before
		}
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", "00000000-0000-4000-8000-000000000000")
		_, _ = io.WriteString(w, "{}")
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		select { // nobody registers for events here
		case <-f.stopping:
		case <-r.Context().Done():
		}
	})
	return mux
}

func (f *Function) next(w http.ResponseWriter, r *http.Request) {
	select {
	case f.ready <- time.Since(f.started):
	default: // not the first, or the first was not taken yet
	}
	select {
	case in := <-f.queue:
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", in.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(in.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:under-test")
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(in.event) // if the process is gone, Invoke sees it
	case <-f.stopping:
	case <-r.Context().Done():
	}
}

func (f *Function) failure(w http.ResponseWriter, r *http.Request) {
	in := f.take(r.PathValue("id"))
	if in == nil {
		http.Error(w, "no such invocation", http.StatusBadRequest)
		return
	}
	body, _ := io.ReadAll(r.Body) // what there is
	var report struct{ ErrorType string }
	_ = json.Unmarshal(body, &report) // a report that is no JSON has no type
	in.answer <- answered{err: &FunctionError{Type: report.ErrorType, Payload: body}}
	w.WriteHeader(http.StatusAccepted)
}

func (f *Function) response(w http.ResponseWriter, r *http.Request) {
	in := f.take(r.PathValue("id"))
	if in == nil {
		http.Error(w, "no such invocation", http.StatusBadRequest)
		return
	}
	var err error
	if r.Header.Get("Content-Type") == "application/vnd.awslambda.http-integration-response" {
		err = streamed(in, r)
	} else {
		err = buffered(in, r)
	}
	if err != nil {
		in.answer <- answered{err: fmt.Errorf("runtimeapi: malformed answer: %w", err)}
		http.Error(w, "malformed answer", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// proxyAnswer is the JSON of a buffered answer and of a stream's prelude.
type proxyAnswer struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

func (p *proxyAnswer) header() http.Header {
	h := http.Header{}
	for name, value := range p.Headers {
		h.Set(name, value)
	}
	for name, values := range p.MultiValueHeaders {
		h.Del(name) // the multi-value map wins
		for _, value := range values {
			h.Add(name, value)
		}
	}
	return h
}

func buffered(in *invocation, r *http.Request) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	resp := &Response{Raw: raw, Header: http.Header{}, Body: http.NoBody}
	var p proxyAnswer
	if json.Unmarshal(raw, &p) == nil && p.StatusCode != 0 {
		body := []byte(p.Body)
		if p.IsBase64Encoded {
			if body, err = base64.StdEncoding.DecodeString(p.Body); err != nil {
				return err
			}
		}
		resp.StatusCode, resp.Header, resp.Body = p.StatusCode, p.header(), io.NopCloser(bytes.NewReader(body))
	}
	in.answer <- answered{response: resp}
	return nil
}

// streamed reads prelude, eight NULs and body, and hands every piece on as it
// arrives. It returns when the function has ended the request.
func streamed(in *invocation, r *http.Request) error {
	br := bufio.NewReader(r.Body)
	prelude, err := br.ReadBytes(0) // JSON text holds no NUL
	if err != nil {
		return fmt.Errorf("prelude: %w", err)
	}
	rest := make([]byte, 7)
	if _, err := io.ReadFull(br, rest); err != nil || strings.Trim(string(rest), "\x00") != "" {
		return errors.New("prelude: not followed by eight NULs")
	}
	var p proxyAnswer
	if err := json.Unmarshal(prelude[:len(prelude)-1], &p); err != nil {
		return fmt.Errorf("prelude: %w", err)
	}
	reader, writer := io.Pipe()
	in.answer <- answered{response: &Response{StatusCode: p.StatusCode, Header: p.header(), Body: reader}}
	_, err = io.Copy(writer, br)
	if errors.Is(err, io.ErrClosedPipe) { // the test has read enough
		_, err = io.Copy(io.Discard, br)
	}
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); err == nil && kind != "" {
		payload, _ := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body")) // what there is
		err = &FunctionError{Type: kind, Payload: payload}
	}
	return writer.CloseWithError(err) // nil; how it ended is the reader's to see
}
