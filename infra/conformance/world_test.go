package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The suite's own Host and Origin must arrive, or Bindery's checks of them are
// not tested at all.
func TestTheShimAddsTheTokenAndChangesNothingElse(t *testing.T) {
	var got *http.Request
	var body []byte
	bindery := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	defer bindery.Close()
	to, err := url.Parse(bindery.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(shim(to, "token"))
	defer front.Close()
	r, err := http.NewRequest(http.MethodPost, front.URL+"/mcp/a/b", strings.NewReader(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example.com"
	r.Header.Set("Origin", "http://evil.example.com")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got == nil {
		t.Fatal("nothing arrived")
	}
	if got.Host != "evil.example.com" || got.Header.Get("Origin") != "http://evil.example.com" || got.URL.Path != "/mcp/a/b" {
		t.Errorf("Host %q, Origin %q and path %q arrived", got.Host, got.Header.Get("Origin"), got.URL.Path)
	}
	if got.Header.Get("Authorization") != "Bearer token" || string(body) != `{"a":1}` || got.ContentLength != 7 {
		t.Errorf("%q with %q (%d bytes) arrived", got.Header.Get("Authorization"), body, got.ContentLength)
	}
	if got.Header.Get("X-Forwarded-For") != "" {
		t.Error("the shim shows itself")
	}
}

func TestAPlantedCanaryIsFoundInAnyFile(t *testing.T) {
	folder := t.TempDir()
	inner := filepath.Join(folder, "server-ping")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(inner, "checks.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"details":"nothing"}`)
	if err := leaks(folder, []string{"canary-1", "canary-2"}); err != nil {
		t.Error(err)
	}
	write(`{"details":"Bearer canary-2"}`)
	err := leaks(folder, []string{"canary-1", "canary-2"})
	if err == nil || !strings.Contains(err.Error(), "checks.json") || strings.Contains(err.Error(), "canary-2") {
		t.Errorf("%v, want an error that names the file and not the value", err)
	}
}
