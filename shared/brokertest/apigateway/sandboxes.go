package apigateway

import (
	"context"
	"errors"
	"io"
	"sync"

	"bindery/shared/brokertest/runtimeapi"
)

// Sandboxes are as many processes of one function as there are requests at the
// same time, as Lambda runs them: each takes one event at once, and one that has
// finished is used again.
type Sandboxes struct {
	start func() (*runtimeapi.Function, error)

	mu   sync.Mutex
	idle []*runtimeapi.Function
	all  []*runtimeapi.Function
}

// NewSandboxes starts processes by start, when they are needed.
func NewSandboxes(start func() (*runtimeapi.Function, error)) *Sandboxes {
	return &Sandboxes{start: start}
}

// Started gives every process so far.
func (s *Sandboxes) Started() []*runtimeapi.Function {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*runtimeapi.Function(nil), s.all...)
}

// Invoke implements Function.
func (s *Sandboxes) Invoke(ctx context.Context, event []byte) (*runtimeapi.Response, error) {
	f, err := s.take()
	if err != nil {
		return nil, err
	}
	response, err := f.Invoke(ctx, event)
	var report *runtimeapi.FunctionError
	if errors.As(err, &report) {
		s.give(f)
	} // any other error is the end of a process
	if err != nil {
		return nil, err
	}
	response.Body = &running{ReadCloser: response.Body, done: sync.OnceFunc(func() { s.give(f) })}
	return response, nil
}

func (s *Sandboxes) take() (*runtimeapi.Function, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		f := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return f, nil
	}
	f, err := s.start()
	if err == nil {
		s.all = append(s.all, f)
	}
	return f, err
}

func (s *Sandboxes) give(f *runtimeapi.Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, f)
}

// running gives the process back when its answer has ended, not when somebody
// stops reading it: the invocation goes on, so the rest is read away.
type running struct {
	io.ReadCloser
	done func()
}

func (r *running) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil {
		r.done()
	}
	return n, err
}

func (r *running) Close() error {
	go func() {
		_, _ = io.Copy(io.Discard, r) // ends with the invocation
	}()
	return nil
}
