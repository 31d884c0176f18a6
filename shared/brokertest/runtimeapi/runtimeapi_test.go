package runtimeapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bindery/shared/brokertest/runtimeapi"
)

var binary string // written once, by TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "runtimeapi")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-o", binary, "./testdata/function")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintln(os.Stderr, err, string(out))
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func start(t *testing.T, env ...string) *runtimeapi.Function {
	t.Helper()
	f, err := runtimeapi.Start(context.WithoutCancel(t.Context()), binary, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Stop()
		for _, out := range [][]byte{f.Stdout(), f.Stderr()} {
			if bytes.Contains(out, []byte("hunter2")) {
				t.Errorf("the panic's value is in the output: %s", out)
			}
		}
	})
	return f
}

func event(t *testing.T, path, body, gate string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"path": path, "httpMethod": "POST", "body": body, "headers": map[string]string{"X-Gate": gate},
		"requestContext": map[string]any{"requestId": "r-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func invoke(t *testing.T, f *runtimeapi.Function, event []byte) *runtimeapi.Response {
	t.Helper()
	resp, err := f.Invoke(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// gate is a server at which the function waits until the test lets it go on.
func gate(t *testing.T) (url string, open func()) {
	t.Helper()
	pass := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-pass:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() { pass <- struct{}{} }
}

func TestAnswerInBothModes(t *testing.T) {
	for _, mode := range []string{"stream", "buffered"} {
		f := start(t, "MODE="+mode)
		for _, body := range []string{"", "text ✓", strings.Repeat("long ", 100_000)} {
			resp := invoke(t, f, event(t, "/echo", body, ""))
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != body || resp.StatusCode != 202 || !slices.Equal(resp.Header.Values("X-Multi"), []string{"one", "two"}) {
				t.Errorf("%s: %d %v, %d bytes, %v", mode, resp.StatusCode, resp.Header, len(got), err)
			}
			if (resp.Raw == nil) != (mode == "stream") {
				t.Errorf("%s: Raw has %d bytes", mode, len(resp.Raw))
			}
		}
	}
}

// The function writes an event only when the test has read the one before, so
// whatever is held back anywhere on the way stops the test.
func TestEachEventArrivesWhileTheHandlerIsStillWriting(t *testing.T) {
	f := start(t)
	url, open := gate(t)
	resp := invoke(t, f, event(t, "/events", "", url)) // the head, before any event
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %q", got)
	}
	for i := range 3 {
		open()
		want := fmt.Sprintf("data: %d\n\n", i)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Fatalf("event %q, %v", got, err)
		}
	}
	open()
	if rest, err := io.ReadAll(resp.Body); len(rest) != 0 || err != nil {
		t.Errorf("after the last event: %q, %v", rest, err)
	}
	f.Stop() // at once after the end: what the handler does last must be done
	if !bytes.Contains(f.Stdout(), []byte("outcome recorded")) {
		t.Error("the invocation ended before the handler")
	}
}

func TestPanicAfterCommitArrivesAsTrailersAndTheProcessLives(t *testing.T) {
	f := start(t)
	resp := invoke(t, f, event(t, "/panic-after", "", ""))
	body, err := io.ReadAll(resp.Body)
	var broken *runtimeapi.FunctionError
	if string(body) != "first" || resp.StatusCode != 200 || !errors.As(err, &broken) {
		t.Fatalf("%d %q %v", resp.StatusCode, body, err)
	}
	if broken.Type != "aborted" || string(broken.Payload) != `{"errorMessage":"response aborted","errorType":"aborted"}` {
		t.Errorf("trailers: %s %s", broken.Type, broken.Payload)
	}
	invoke(t, f, event(t, "/echo", "", ""))
	f.Stop()
	if !bytes.Contains(f.Stderr(), []byte("handler panicked")) {
		t.Errorf("no record of the panic: %s", f.Stderr())
	}
}

func TestPanicBeforeCommitIsA500AndTheProcessLives(t *testing.T) {
	for _, mode := range []string{"stream", "buffered"} {
		f := start(t, "MODE="+mode)
		resp := invoke(t, f, event(t, "/panic-before", "", ""))
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != 500 || string(body) != `{"error":"internal error"}` || err != nil {
			t.Errorf("%s: %d %q %v", mode, resp.StatusCode, body, err)
		}
		invoke(t, f, event(t, "/echo", "", ""))
	}
}

func TestSIGTERM(t *testing.T) {
	plain := start(t)
	if status := plain.Stop().Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("plain function: %v", plain.Stop())
	}
	flushing := start(t, "SIGTERM=flush")
	if state := flushing.Stop(); state.ExitCode() != 0 || string(flushing.Stdout()) != "flushed\n" {
		t.Errorf("flushing function: %v, %q", state, flushing.Stdout())
	}
	if _, err := flushing.Invoke(t.Context(), event(t, "/echo", "", "")); !errors.Is(err, runtimeapi.ErrExited) {
		t.Errorf("invoke after stop: %v", err)
	}
}

// Two processes, each in the middle of a stream, served in turns.
func TestTwoProcessesAtOnce(t *testing.T) {
	type side struct {
		f    *runtimeapi.Function
		resp *runtimeapi.Response
		open func()
	}
	var sides []side
	for range 2 {
		f := start(t)
		url, open := gate(t)
		sides = append(sides, side{f, invoke(t, f, event(t, "/events", "", url)), open})
	}
	if sides[0].f.PID() == sides[1].f.PID() {
		t.Fatal("one process")
	}
	for i := range 3 {
		for _, s := range sides {
			s.open()
			got := make([]byte, len("data: 0\n\n"))
			if _, err := io.ReadFull(s.resp.Body, got); err != nil || string(got) != fmt.Sprintf("data: %d\n\n", i) {
				t.Fatalf("%q %v", got, err)
			}
		}
	}
	for _, s := range sides {
		s.open()
		if _, err := io.ReadAll(s.resp.Body); err != nil {
			t.Error(err)
		}
	}
}

func TestEnvironmentIsExactlyWhatWasGiven(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of the developer")
	resp := invoke(t, start(t, "A=1"), event(t, "/env", "", ""))
	body, _ := io.ReadAll(resp.Body)
	fields := strings.Fields(strings.Trim(string(body), "[]"))
	slices.Sort(fields)
	// aws-lambda-go sets the trace id of each invocation.
	if len(fields) != 3 || fields[0] != "A=1" || !strings.HasPrefix(fields[1], "AWS_LAMBDA_RUNTIME_API=127.0.0.1:") || !strings.HasPrefix(fields[2], "_X_AMZN_TRACE_ID=Root=") {
		t.Errorf("environment %q", fields)
	}
}

func TestDeadlineReachesTheHandler(t *testing.T) {
	f := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	// Whichever is first at the deadline, the empty answer or the end of ctx.
	if resp, err := f.Invoke(ctx, event(t, "/deadline", "", "")); err == nil {
		_, _ = io.ReadAll(resp.Body)
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
	if waited := time.Since(begun); waited > runtimeapi.DefaultTimeout/2 {
		t.Errorf("the handler's context ended after %v", waited)
	}
}

func TestFunctionThatIsNoHTTPHandler(t *testing.T) {
	f := start(t, "MODE=raw")
	if resp := invoke(t, f, []byte(`{"say":"hello"}`)); string(resp.Raw) != `{"got":"hello"}` || resp.StatusCode != 0 {
		t.Errorf("%d %s", resp.StatusCode, resp.Raw)
	}
	_, err := f.Invoke(t.Context(), []byte(`{"fail":"yes"}`))
	var failed *runtimeapi.FunctionError
	if !errors.As(err, &failed) || !bytes.Contains(failed.Payload, []byte("asked to fail")) {
		t.Errorf("err = %v", err)
	}
}

func TestColdStartIsMeasured(t *testing.T) {
	if d := start(t).ColdStart(); d <= 0 || d > runtimeapi.DefaultTimeout {
		t.Errorf("cold start %v", d)
	}
}

func BenchmarkColdStart(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		f, err := runtimeapi.Start(b.Context(), binary, nil)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, f.ColdStart())
		f.Stop()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-to-first-next")
}

func BenchmarkInvoke(b *testing.B) {
	f, err := runtimeapi.Start(b.Context(), binary, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	event := []byte(`{"path":"/echo","httpMethod":"POST","body":"x"}`)
	for b.Loop() {
		resp, err := f.Invoke(b.Context(), event)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}
