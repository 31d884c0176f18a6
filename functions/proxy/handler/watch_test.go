package handler

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// known is a verifier that knows one caller, without an issuer.
type known struct{ broker.Principal }

func (k known) Verify(context.Context, *http.Request, broker.Route) (broker.Principal, error) {
	return k.Principal, nil
}
func (known) Metadata(broker.Route) []byte         { return nil }
func (known) Challenge(broker.Route, error) string { return "" }

// held is an upstream whose stream a test writes, on the test's clock.
type held struct {
	*io.PipeWriter
	left chan struct{} // closed when the call was given up
}

// heldStream gives a fixture whose caller needs no issuer, and its upstream.
// The bubble's clock starts long before the fixture's.
func heldStream(t *testing.T, f *fixture, life time.Duration) *held {
	t.Helper()
	body, w := io.Pipe()
	h := &held{w, make(chan struct{})}
	f.upstreams = stubUpstreams{&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		go func() {
			<-r.Context().Done()
			close(h.left)
			_ = w.CloseWithError(context.Cause(r.Context()))
		}()
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body, Request: r}, nil
	})}}
	f.verifier = known{broker.Principal{ID: "p-alice", Kind: broker.User, Groups: []string{"dev"}, Expires: time.Now().Add(life)}}
	return h
}

func (f *fixture) serve(method, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := f.request("t", body)
	r.Method = method
	f.ServeHTTP(w, r)
	return w
}

func TestASilentStreamIsKeptAlive(t *testing.T) {
	f := newFixture(t, nil, true)
	f.timeout, f.streamTimeout = 50*time.Second, 50*time.Second
	synctest.Test(t, func(t *testing.T) {
		h := heldStream(t, f, time.Hour)
		go func() {
			time.Sleep(40 * time.Second)
			_, _ = io.WriteString(h, "data: "+smallAnswer+"\n\n")
			_ = h.Close()
		}()
		w := f.serve(http.MethodPost, callBody)
		if want := ":\n\n:\n\ndata: " + smallAnswer + "\n\n"; w.Body.String() != want {
			t.Errorf("got %q, want %q", w.Body, want)
		}
	})
}

// TestARevocationReachesAnOpenStream within seconds, not at its end.
func TestARevocationReachesAnOpenStream(t *testing.T) {
	for name, c := range map[string]struct {
		method, body, want string
	}{
		"a call":   {http.MethodPost, callBody, `"id":7,"error":{"code":14032`},
		"a stream": {http.MethodGet, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil, true)
			synctest.Test(t, func(t *testing.T) {
				h, began := heldStream(t, f, time.Hour), time.Now()
				go func() {
					time.Sleep(7 * time.Second)
					_ = f.tables.PutMarker(context.Background(), broker.Marker{Environment: "prod", Kind: broker.PrincipalMarker, ID: "p-alice",
						Epoch: 1, Revoked: true, At: time.Now(), By: "test", Reason: "test"})
				}()
				w := f.serve(c.method, c.body)
				<-h.left
				if open := time.Since(began); open < 7*time.Second || open > 7*time.Second+2*recheckEvery {
					t.Errorf("it stayed open for %v", open)
				}
				if !strings.Contains(w.Body.String(), c.want) || c.want == "" && w.Body.Len() > 0 {
					t.Errorf("it ended with %q", w.Body)
				}
				if r := f.lastRecord(t, w); r.Reason != broker.AccessEnded {
					t.Errorf("recorded %s", r.Reason)
				}
			})
		})
	}
}

// TestASlowReadDelaysNoEnd: a marker is acknowledged while a decision is under
// way that has read past it, and all reads are as slow as they may be.
func TestASlowReadDelaysNoEnd(t *testing.T) {
	for name, marker := range map[string]broker.Marker{
		"read with the decision":     {Kind: broker.GroupMarker, ID: "dev"},
		"read beside the credential": {Kind: broker.ReferenceMarker, ID: "aws-sm:prod/github"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil, true)
			synctest.Test(t, func(t *testing.T) {
				h := heldStream(t, f, time.Hour)
				var acknowledged time.Time
				slow := memory.Fault{Wait: func(context.Context) { time.Sleep(recheckEvery/2 - time.Nanosecond) }}
				put := func(ctx context.Context) {
					marker.Environment, marker.Epoch, marker.Revoked, marker.At = "prod", 1, true, time.Now()
					if err := f.tables.PutMarker(ctx, marker); err != nil {
						t.Error(err)
					}
					acknowledged = time.Now()
				}
				go func() {
					time.Sleep(time.Second) // the call is open
					missing := slow
					missing.Wait = func(ctx context.Context) { go put(context.WithoutCancel(ctx)); slow.Wait(ctx) }
					f.tables.Inject(memory.Snapshot, slow, slow, slow)
					f.tables.Inject(memory.ReadMarkers, missing, slow, slow)
				}()
				f.serve(http.MethodGet, "")
				<-h.left
				if late := time.Since(acknowledged); acknowledged.IsZero() || late > 5*time.Second {
					t.Errorf("it ended %v after the acknowledgement", late)
				}
			})
		})
	}
}

// TestAnUnreadableCatalogueEndsAStreamAfterAWhile: failing closed, but not on
// one lost answer.
func TestAnUnreadableCatalogueEndsAStreamAfterAWhile(t *testing.T) {
	for failures, want := range map[int]broker.Reason{unreadAllowed - 1: broker.StreamOver, unreadAllowed: broker.AccessEnded} {
		f := newFixture(t, nil, true)
		synctest.Test(t, func(t *testing.T) {
			heldStream(t, f, time.Hour)
			go func() {
				time.Sleep(time.Second)
				f.tables.Inject(memory.Snapshot, slices.Repeat([]memory.Fault{memory.Refuse()}, failures)...)
			}()
			w := f.serve(http.MethodGet, "")
			if r := f.lastRecord(t, w); r.Reason != want {
				t.Errorf("%d failures: recorded %s, want %s", failures, r.Reason, want)
			}
		})
	}
}

func TestAStreamEndsWithItsTimeAndWithItsToken(t *testing.T) {
	for name, c := range map[string]struct {
		life, invocation, open time.Duration
		want                   broker.Reason
	}{
		"its time":       {time.Hour, time.Hour, time.Minute, broker.StreamOver},
		"its token":      {20 * time.Second, time.Hour, 20 * time.Second, broker.TokenExpired},
		"its invocation": {40 * time.Second, 30 * time.Second, 30*time.Second - deadlineMargin, broker.StreamOver},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil, true)
			synctest.Test(t, func(t *testing.T) {
				heldStream(t, f, c.life)
				began := time.Now()
				invocation, cancel := context.WithTimeout(t.Context(), c.invocation)
				defer cancel()
				w, r := httptest.NewRecorder(), f.request("t", "").WithContext(invocation)
				r.Method = http.MethodGet
				f.ServeHTTP(w, r)
				if open := time.Since(began); open != c.open {
					t.Errorf("it stayed open for %v", open)
				}
				if r := f.lastRecord(t, w); r.Reason != c.want || w.Code != http.StatusOK || strings.Contains(w.Body.String(), "error") {
					t.Errorf("recorded %s, %d %q", r.Reason, w.Code, w.Body)
				}
			})
		})
	}
}

// TestACallEndsBeforeItsFunctionDoes, with an error and not in silence.
func TestACallEndsBeforeItsFunctionDoes(t *testing.T) {
	f := newFixture(t, nil, true)
	f.timeout = time.Hour
	synctest.Test(t, func(t *testing.T) {
		heldStream(t, f, time.Hour)
		began := time.Now()
		invocation, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		f.ServeHTTP(w, f.request("t", callBody).WithContext(invocation))
		if open := time.Since(began); open != 30*time.Second-deadlineMargin || !strings.Contains(w.Body.String(), `"id":7,"error":{"code":15040`) {
			t.Errorf("after %v: %q", open, w.Body)
		}
		if r := f.lastRecord(t, w); r.Reason != broker.UpstreamTimeout {
			t.Errorf("recorded %s", r.Reason)
		}
	})
}

// slowReader is a caller who takes a second for each write.
type slowReader struct{ *httptest.ResponseRecorder }

func (w slowReader) Write(p []byte) (int, error) {
	time.Sleep(time.Second)
	return w.ResponseRecorder.Write(p)
}

// TestWhatArrivedBeforeARevocationDoesNotLeaveAfterIt: hundreds of events fit
// into the buffer of a stream whose caller reads slowly.
func TestWhatArrivedBeforeARevocationDoesNotLeaveAfterIt(t *testing.T) {
	f := newFixture(t, respond(http.StatusOK, "text/event-stream", strings.Repeat("data: {}\n\n", 100)), true)
	f.timeout = 5 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		f.verifier = known{broker.Principal{ID: "p-alice", Kind: broker.User, Groups: []string{"dev"}, Expires: time.Now().Add(time.Hour)}}
		go func() {
			time.Sleep(2 * time.Second)
			_ = f.tables.PutMarker(context.Background(), broker.Marker{Environment: "prod", Kind: broker.PrincipalMarker, ID: "p-alice",
				Epoch: 1, Revoked: true, At: time.Now(), By: "test", Reason: "test"})
		}()
		began, w := time.Now(), slowReader{httptest.NewRecorder()}
		f.ServeHTTP(w, f.request("t", callBody))
		if open := time.Since(began); open > recheckEvery+3*time.Second || !strings.Contains(w.Body.String(), `"code":14032`) {
			t.Errorf("after %v: %d events, ended with %.200q", open, strings.Count(w.Body.String(), "{}"), w.Body.String()[max(0, w.Body.Len()-150):])
		}
	})
}
