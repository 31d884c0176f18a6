package runtimeapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"bindery/shared/brokertest/runtimeapi"
)

func TestProcessThatDies(t *testing.T) {
	f := start(t)
	url, open := gate(t)
	resp := invoke(t, f, event(t, "/die", "", url))
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	open()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("mid-stream: %v, want unexpected EOF", err)
	}
	if _, err := start(t).Invoke(t.Context(), event(t, "/die-early", "", "")); !errors.Is(err, runtimeapi.ErrExited) {
		t.Errorf("before the answer: %v, want ErrExited", err)
	}
}

func TestProcessThatCannotStart(t *testing.T) {
	f, err := runtimeapi.Start(t.Context(), binary, []string{"FAIL=exit"})
	if !errors.Is(err, runtimeapi.ErrExited) || !bytes.Contains(f.Stderr(), []byte("cannot start")) {
		t.Errorf("exit: %v, %q", err, f.Stderr())
	}
	if _, err := runtimeapi.Start(t.Context(), binary, []string{"FAIL=init"}); !errors.Is(err, runtimeapi.ErrExited) {
		t.Errorf("init error: %v", err)
	}
	if f, err := runtimeapi.Start(t.Context(), binary+"-missing", nil); err == nil || f != nil {
		t.Errorf("missing binary: %v, %v", f, err)
	}
}

func TestMalformedStreamIsAnError(t *testing.T) {
	for _, answer := range []string{"", "no prelude", `{"statusCode":200}`, "{}\x00\x00\x00", "{}\x00\x00\x00\x00\x00\x00\x00x", "not json\x00\x00\x00\x00\x00\x00\x00\x00"} {
		in, err := json.Marshal(map[string]string{"say": answer})
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := start(t, "MODE=garbage").Invoke(t.Context(), in); err == nil || !strings.Contains(err.Error(), "malformed answer") {
			t.Errorf("%q: %v, %v", answer, resp, err)
		}
	}
}

func TestProcessEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f, err := runtimeapi.Start(ctx, binary, nil)
	if err != nil {
		t.Fatal(err)
	}
	url, _ := gate(t) // never opened: only the end of the process ends the stream
	resp := invoke(t, f, event(t, "/events", "", url))
	cancel()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("err = %v, want unexpected EOF", err)
	}
}
