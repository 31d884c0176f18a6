package faultproxy_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bindery/shared/brokertest/faultproxy"
)

// echo is an endpoint that answers with what it was asked and counts.
func echo(t *testing.T) (url string, reached *atomic.Int64) {
	t.Helper()
	reached = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		w.Header().Set("X-Amz-Crc32", "1")
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(s.Close)
	return s.URL, reached
}

// ask sends one request on a connection of its own.
func ask(t *testing.T, url, operation, body string) (status int, header http.Header, answer string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Close = true
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text), err
}

func TestWithoutRulesEverythingPassesAndIsCounted(t *testing.T) {
	url, _ := echo(t)
	p := faultproxy.New(t, url)
	for range 3 {
		if status, header, answer, err := ask(t, p.URL, "PutItem", "{}"); err != nil || status != 200 || answer != "{}" || header.Get("X-Amz-Crc32") != "1" {
			t.Fatal(status, answer, err)
		}
	}
	if p.Count("PutItem") != 3 || p.Count("") != 3 || p.Count("Query") != 0 {
		t.Fatal("miscounted")
	}
	p.ResetCounts()
	if p.Count("") != 0 {
		t.Fatal("not forgotten")
	}
}

func TestARuleAffectsTheRequestsItNames(t *testing.T) {
	url, reached := echo(t)
	p := faultproxy.New(t, url)
	left := p.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Skip: 1, Times: 2, Effect: faultproxy.Throttle(),
		Match: func(body []byte) bool { return strings.Contains(string(body), "mine") }})
	for i, want := range []struct {
		operation, body string
		status          int
	}{{"GetItem", "mine", 200}, {"PutItem", "other", 200}, {"PutItem", "mine", 200}, {"PutItem", "mine", 400}, {"PutItem", "mine", 400}, {"PutItem", "mine", 200}} {
		if status, _, _, err := ask(t, p.URL, want.operation, want.body); err != nil || status != want.status {
			t.Fatalf("request %d: %d, %v", i, status, err)
		}
	}
	if left() != 0 || reached.Load() != 4 {
		t.Fatalf("%d left, %d reached the endpoint", left(), reached.Load())
	}
}

func TestWhatEachFaultLetsThrough(t *testing.T) {
	for name, c := range map[string]struct {
		effect   faultproxy.Effect
		applied  int64
		answered bool
		status   int
	}{
		"throttle": {faultproxy.Throttle(), 0, true, 400},
		"500":      {faultproxy.ServerError(), 0, true, 500},
		"reset":    {faultproxy.Reset(), 0, false, 0},
		"dropped":  {faultproxy.DropAnswer(), 1, false, 0},
		"garbled":  {faultproxy.Garble(), 1, true, 200},
		"delayed":  {faultproxy.Delay(time.Millisecond), 1, true, 200},
	} {
		t.Run(name, func(t *testing.T) {
			url, reached := echo(t)
			p := faultproxy.New(t, url)
			p.Inject(faultproxy.Rule{Times: 1, Effect: c.effect})
			status, _, _, err := ask(t, p.URL, "PutItem", "{}")
			if (err == nil) != c.answered || status != c.status || reached.Load() != c.applied {
				t.Fatalf("status %d, error %v, %d applied", status, err, reached.Load())
			}
		})
	}
}

func TestUnprocessedKeysAreHeldBackAndHandedOut(t *testing.T) {
	url, reached := echo(t)
	p := faultproxy.New(t, url)
	const body = `{"RequestItems":{"a":{"Keys":[1,2,3],"ConsistentRead":true},"b":{"Keys":[4]}}}`
	p.Inject(faultproxy.Rule{Times: 1, Effect: faultproxy.Unprocessed(1)})
	p.Inject(faultproxy.Rule{Times: 1, Effect: faultproxy.Unprocessed(0)})
	_, header, answer, err := ask(t, p.URL, "BatchGetItem", body)
	var got struct {
		RequestItems, UnprocessedKeys map[string]struct{ Keys []int }
	}
	if err != nil || json.Unmarshal([]byte(answer), &got) != nil || header.Get("X-Amz-Crc32") != "" {
		t.Fatal(answer, err)
	}
	asked, rest := got.RequestItems, got.UnprocessedKeys
	if len(asked["a"].Keys) != 1 || len(asked["b"].Keys) != 1 || len(rest["a"].Keys) != 2 || len(rest["b"].Keys) != 0 {
		t.Fatal(answer)
	}
	if _, _, answer, err = ask(t, p.URL, "BatchGetItem", body); err != nil || reached.Load() != 1 {
		t.Fatal(answer, err)
	}
	got.RequestItems, got.UnprocessedKeys = nil, nil
	if json.Unmarshal([]byte(answer), &got) != nil || len(got.UnprocessedKeys["a"].Keys) != 3 || len(got.UnprocessedKeys["b"].Keys) != 1 {
		t.Fatal(answer)
	}
}

func TestACutPageAsksForFewer(t *testing.T) {
	url, _ := echo(t)
	p := faultproxy.New(t, url)
	p.Inject(faultproxy.Rule{Operations: []string{"Query"}, Times: 1, Effect: faultproxy.CutPage(2)})
	if _, _, answer, err := ask(t, p.URL, "Query", `{"TableName":"a"}`); err != nil || !strings.Contains(answer, `"Limit":2`) || !strings.Contains(answer, `"TableName":"a"`) {
		t.Fatal(answer, err)
	}
}
