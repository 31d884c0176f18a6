package lambdahttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

func stream(t *testing.T, ctx context.Context, h http.HandlerFunc) *events.APIGatewayProxyStreamingResponse {
	t.Helper()
	resp, err := StreamHandler(h, discard)(ctx, event("GET"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Close() })
	return resp
}

// Every step of the handler waits for the reader to have seen the one before.
func TestEachWriteReachesTheReaderWhileTheHandlerStillRuns(t *testing.T) {
	seen := make(chan struct{})
	resp := stream(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-seen // the head
		for _, event := range []string{"data: 1\n\n", "data: 2\n\n"} {
			_, _ = io.WriteString(w, event)
			<-seen
		}
	})
	if resp.StatusCode != 200 || resp.MultiValueHeaders["Content-Type"][0] != "text/event-stream" {
		t.Errorf("head: %d %v", resp.StatusCode, resp.MultiValueHeaders)
	}
	seen <- struct{}{}
	buf := make([]byte, 1024)
	for _, want := range []string{"data: 1\n\n", "data: 2\n\n"} {
		n, err := resp.Body.Read(buf)
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("chunk %q, %v, want %q", buf[:n], err, want)
		}
		seen <- struct{}{}
	}
	if n, err := resp.Body.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("end: %d, %v", n, err)
	}
}

// Nobody reads, and the handler still has something to record.
func TestWritesFailAtTheirDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorded := false
		resp := stream(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Error(err)
			}
			if _, err := io.WriteString(w, "nobody reads this"); err == nil {
				t.Error("the write was taken")
			}
			recorded = true
		})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !recorded {
			t.Error("the handler still waits")
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("a broken answer looks whole")
		}
	})
}

func TestALiftedDeadlineDoesNotBreakTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp := stream(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
			control := http.NewResponseController(w)
			_ = control.SetWriteDeadline(time.Now().Add(time.Second))
			_ = control.SetWriteDeadline(time.Time{})
			time.Sleep(2 * time.Second)
			_, _ = io.WriteString(w, "late but whole")
		})
		if body, err := io.ReadAll(resp.Body); string(body) != "late but whole" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// The audit outcome is written after the last byte: the reader must not see
// the end before it is.
func TestReaderSeesTheEndOnlyAfterTheHandlerReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorded := false
		resp := stream(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "all")
			time.Sleep(time.Second)
			recorded = true
		})
		body, err := io.ReadAll(resp.Body)
		if string(body) != "all" || err != nil || !recorded {
			t.Errorf("%q, %v, recorded %v", body, err, recorded)
		}
	})
}

// The runtime stops reading (its connection broke): the handler is told, its
// writes fail, and Close waits until it has recorded the outcome.
func TestCloseCancelsTheHandlerAndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorded := false
		resp := stream(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "first")
			<-r.Context().Done()
			if _, err := io.WriteString(w, "second"); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("write after close: %v", err)
			}
			time.Sleep(time.Second)
			recorded = true
		})
		_, _ = resp.Body.Read(make([]byte, 5))
		if err := resp.Close(); err != nil || !recorded {
			t.Errorf("Close: %v, recorded %v", err, recorded)
		}
	})
}

func TestWriteInProgressEndsWhenTheReaderCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := false
		resp := stream(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.WriteString(w, "nobody reads this")
			failed = err != nil
		})
		_ = resp.Close()
		if !failed {
			t.Error("the write did not fail")
		}
	})
}

func TestContextEndsWithTheInvocationsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp := stream(t, ctx, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			http.Error(w, "late", http.StatusGatewayTimeout)
		})
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusGatewayTimeout || string(body) != "late\n" || err != nil {
			t.Errorf("%d %q %v", resp.StatusCode, body, err)
		}
	})
}

func TestContextEndsWhenTheHandlerReturns(t *testing.T) {
	var ctx context.Context
	resp := stream(t, t.Context(), func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() })
	_, _ = io.ReadAll(resp.Body)
	_ = resp.Close()
	if ctx.Err() == nil {
		t.Error("the context outlives the handler")
	}
}
