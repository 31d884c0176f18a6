package handler

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"strings"
	"time"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/egress"
)

// once takes a request to the operations, and remembers how it ended where the
// client gave it a key: sent again it changes nothing and is answered alike. It
// gets no request that may hold a secret: a digest of one could be guessed at.
// The key itself is kept as a digest: it is random, and nobody can tell whether
// it is a secret that was put into the wrong header.
func (h *Handler) once(w http.ResponseWriter, r *http.Request, c admin.Caller) {
	key := r.Header.Get("Idempotency-Key")
	approval := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/approve")
	if key == "" || r.Method != http.MethodPut && r.Method != http.MethodDelete && !approval {
		h.mux.ServeHTTP(w, r)
		return
	}
	body, err := egress.ReadBounded(r.Body, largestBody(r.URL.Path), r.ContentLength)
	if err != nil {
		writeProblem(w, problem(tooLarge, ""))
		return
	}
	a := broker.Attempt{Environment: h.environment, Principal: c.Principal.ID, Key: digest([]byte(key)), Receipt: c.Receipt, Begun: h.now().UTC(),
		Request: broker.Digest("attempt", r.Method, r.URL.RequestURI(), r.Header.Get("If-Match"), r.Header.Get("If-None-Match"), digest(body))}
	counts, err := h.attempts.BeginAttempt(r.Context(), a)
	switch {
	case err != nil:
		h.fail(w, r, err)
	case counts.Request != a.Request:
		writeProblem(w, problem(keyReused, ""))
	case counts.Receipt != a.Receipt && counts.Status == 0:
		p := problem(underWay, "")
		p.wait = h.waitFor(counts)
		writeProblem(w, p)
	case counts.Receipt != a.Receipt:
		if err := h.desk.Replayed(r.Context(), c, r.Method, counts); err != nil {
			h.fail(w, r, err)
			return
		}
		replay(w, counts)
	default:
		r.Body = http.NoBody
		if len(body) > 0 {
			r.Body = readCloser{bytes.NewReader(body)}
		}
		h.attempt(w, r.WithContext(context.WithValue(r.Context(), keyed{}, true)), a)
	}
}

type keyed struct{}

// mayBeDone reports whether the request has a key. An earlier attempt under it
// may have made the change and died: what is found to be as it is asked for,
// one version on, is then no conflict. The tables see to that.
func mayBeDone(ctx context.Context) bool { return ctx.Value(keyed{}) != nil }

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// waitFor is when to come again for an attempt that is under way: after as long
// again as it has been, since most end soon, and at the latest when it has died.
func (h *Handler) waitFor(a broker.Attempt) time.Duration {
	age := h.now().Sub(a.Begun)
	return max(time.Second, min(age, broker.AttemptTime-age))
}

// attempt makes the request and keeps its answer. Of one that may be another
// next time (5xx) only that it has ended is kept: the request may be sent again.
func (h *Handler) attempt(w http.ResponseWriter, r *http.Request, a broker.Attempt) {
	kept := newRecorder()
	h.mux.ServeHTTP(kept, r)
	if a.Status = kept.status; a.Status < broker.AttemptFailed {
		a.Answer, a.ETag = kept.body.Bytes(), kept.header.Get("ETag")
	}
	if err := h.end(r.Context(), a); err != nil {
		h.log.Error("attempt not kept", "receipt", a.Receipt, "cause", err.Error())
	}
	kept.give(w)
}

// end keeps how an attempt ended within a time of its own: its caller may have
// gone, and comes again.
func (h *Handler) end(ctx context.Context, a broker.Attempt) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	return h.attempts.EndAttempt(ctx, a)
}

func replay(w http.ResponseWriter, a broker.Attempt) {
	w.Header().Set("Idempotent-Replay", "true")
	w.Header().Set("Bindery-Receipt", a.Receipt)
	w.Header().Set("Content-Type", "application/json")
	if a.Status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	if a.ETag != "" {
		w.Header().Set("ETag", a.ETag)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Answer)
}

// recorder holds an answer back until it has been kept, or recorded.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

// give answers what was held back.
func (r *recorder) give(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.header)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes())
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
