// Package telemetry makes metrics of lines of the log, in CloudWatch's embedded
// metric format: a line that says how often something happened or how long it
// took carries beside that what CloudWatch needs to count it. So no metric costs a
// request or a second line.
//
// The idea: an attribute whose key is the name of a metric is one. What says so
// to CloudWatch is the same for all lines of a minute that tell the same metrics,
// and is encoded once for them. CloudWatch counts by the minute, so the time of a
// metric is its minute.
//
// The package knows names and numbers. No principal, server, tool, URL or secret
// is part of a metric, and what else stands in a line is the line's.
package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Handler is a slog.Handler that makes metrics of attributes. It is safe for
// concurrent use.
type Handler struct {
	inner       slog.Handler
	environment string
	metrics     []Metric
	bits        map[string]uint64 // by name: the metric's bit in a shape
	requests    *requests
	current     atomic.Pointer[minute]
}

// minute keeps, by shape, which is the set of metrics that a line tells, the
// handler that has the constant part of such lines encoded.
type minute struct {
	at     int64 // since 1970
	mu     sync.RWMutex
	shapes map[uint64]slog.Handler
}

// New makes metrics of what is logged through it. inner writes JSON, one line for
// each record.
func New(inner slog.Handler, environment string) *Handler {
	h := &Handler{inner: inner, environment: environment, metrics: Metrics(), bits: map[string]uint64{}, requests: &requests{}}
	for i, m := range h.metrics {
		h.bits[string(m.Name)] = 1 << i
	}
	return h
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler. A metric among the attributes is not one.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler { return h.over(h.inner.WithAttrs(attrs)) }

// WithGroup implements slog.Handler. CloudWatch finds no metric inside a group.
func (h *Handler) WithGroup(name string) slog.Handler { return h.inner.WithGroup(name) }

func (h *Handler) over(inner slog.Handler) *Handler {
	return &Handler{inner: inner, environment: h.environment, metrics: h.metrics, bits: h.bits, requests: h.requests}
}

// Handle implements slog.Handler. What was counted of requests to AWS goes along
// with whatever line comes next.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if throttled, retried := h.requests.take(); throttled+retried > 0 {
		r = r.Clone()
		r.AddAttrs(AWSThrottles.Is(throttled), AWSRetries.Is(retried))
	}
	var shape uint64
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "" && a.Key[0] >= 'A' && a.Key[0] <= 'Z' {
			shape |= h.bits[a.Key]
		}
		return true
	})
	if shape == 0 {
		return h.inner.Handle(ctx, r)
	}
	return h.of(r.Time, shape).Handle(ctx, r)
}

// of gives the handler for a shape in the minute of a time.
func (h *Handler) of(at time.Time, shape uint64) slog.Handler {
	now := at.Unix() / 60
	m := h.current.Load()
	if m == nil || m.at != now {
		m = &minute{at: now, shapes: map[uint64]slog.Handler{}}
		h.current.Store(m) // of two that begin a minute one is kept, and either serves
	}
	m.mu.RLock()
	made := m.shapes[shape]
	m.mu.RUnlock()
	if made == nil {
		made = h.inner.WithAttrs(h.constant(now, shape))
		m.mu.Lock()
		m.shapes[shape] = made
		m.mu.Unlock()
	}
	return made
}

// The members of the format's own object.
type (
	metadata struct {
		Timestamp         int64 // milliseconds since 1970
		CloudWatchMetrics []directive
	}
	directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []definition
	}
	definition struct{ Name, Unit string }
)

// constant is what all lines of a shape have in common for a minute.
func (h *Handler) constant(minute int64, shape uint64) []slog.Attr {
	d := directive{Namespace: Namespace, Dimensions: [][]string{{Dimension}}}
	for i, m := range h.metrics {
		if shape&(1<<i) != 0 {
			d.Metrics = append(d.Metrics, definition{string(m.Name), m.Unit})
		}
	}
	return []slog.Attr{
		slog.Any("_aws", metadata{Timestamp: minute * 60_000, CloudWatchMetrics: []directive{d}}),
		slog.String(Dimension, h.environment),
	}
}
