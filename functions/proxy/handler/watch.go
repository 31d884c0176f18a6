package handler

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"bindery/shared/broker"
	"bindery/shared/mcp"
)

// A call that is still under way is decided again, each time so long after the
// time before began, and each has as long. A read that began just before a
// revocation was acknowledged misses it; the next one begins at most recheckEvery
// later and is over at most recheckEvery after that: a stream ends within twice
// recheckEvery, five seconds with the rest of the work, however slow reads are.
const recheckEvery = 2400 * time.Millisecond

const (
	unreadAllowed  = 3                // decisions in a row that could not be read
	keepAliveEvery = 15 * time.Second // of silence: half of what an edge endpoint waits
)

// Why a call that was allowed ends before its answer is complete.
var (
	errAccessEnded  = errors.New("access ended")
	errTokenExpired = errors.New("the token expired")
	errStreamOver   = errors.New("the stream's time is over")
	errCallerGone   = errors.New("the caller is gone")
)

// watch decides a call again for as long as it runs, so that a revocation ends
// what is open and not only what comes next. When catalogue or policies cannot be
// read several times in a row, the call ends as well.
func (x *exchange) watch(ctx context.Context, end context.CancelCauseFunc) (stop func() bool) {
	return time.AfterFunc(untilNext(x.release.Decision.Began), func() {
		for unread := 0; ctx.Err() == nil; {
			began := time.Now()
			var refusal *broker.Refusal
			switch err := x.recheck(ctx); {
			case err == nil:
				unread = 0
			case errors.As(err, &refusal) && unreadable(refusal) && unread+1 < unreadAllowed:
				unread++
			default:
				end(errAccessEnded)
			}
			pause(ctx, untilNext(began))
		}
	}).Stop
}

func untilNext(began time.Time) time.Duration { return time.Until(began.Add(recheckEvery)) }

// unreadable reports whether a refusal says only that something could not be read.
func unreadable(r *broker.Refusal) bool {
	return r.Reason == broker.CatalogueUnread || r.Reason == broker.PoliciesUnread
}

func (x *exchange) recheck(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recheckEvery)
	defer cancel()
	return x.broker.Recheck(ctx, x.release.Decision)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// live writes a stream to the caller, each piece at once, and a comment when
// nothing has been written for a while, so that nothing between the two takes
// the connection for dead. It is safe for concurrent use.
type live struct {
	w    http.ResponseWriter
	gone func() // called when the comment could not be written

	mu    sync.Mutex
	timer *time.Timer // nil: stopped
}

func newLive(w http.ResponseWriter, gone func()) *live {
	l := &live{w: w, gone: gone}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(keepAliveEvery, l.beat)
	return l
}

func (l *live) write(p []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.put(p)
}

func (l *live) put(p []byte) error {
	if l.timer != nil {
		l.timer.Reset(keepAliveEvery)
	}
	if _, err := l.w.Write(p); err != nil {
		return err
	}
	return http.NewResponseController(l.w).Flush()
}

func (l *live) beat() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil && l.put([]byte(mcp.KeepAlive)) != nil {
		l.gone()
	}
}

func (l *live) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer.Stop()
	l.timer = nil
}
