package handler

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/wire"
)

const modernBody = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"create_issue","arguments":{},` +
	`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`

// asModern sets the headers that go with modernBody.
func asModern(r *http.Request) {
	r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	r.Header.Set("Mcp-Method", "tools/call")
	r.Header.Set("Mcp-Name", "create_issue")
}

// TestLeavingCancelsInTheModernEraOnly: a caller reads the first event of a
// stream and goes away.
func TestLeavingCancelsInTheModernEraOnly(t *testing.T) {
	for _, modern := range []bool{false, true} {
		t.Run(fmt.Sprintf("modern=%t", modern), func(t *testing.T) {
			left, cancelled := make(chan struct{}), make(chan bool, 1)
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				event := func() { _, _ = fmt.Fprint(w, "data: {}\n\n"); w.(http.Flusher).Flush() }
				event()
				<-left
				for n := 0; modern || n < 100; n++ { // until the proxy has noticed, or has shown that it goes on
					event()
					select {
					case <-r.Context().Done():
						cancelled <- true
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
				cancelled <- false
			}))
			defer upstream.Close()
			f := newFixture(t, nil, true)
			f.upstreams = wire.NewUpstreams(config.Config{Local: true}, 1)
			f.pointTo(t, upstream.URL+"/mcp")
			bindery := httptest.NewServer(f)
			defer bindery.Close()

			receipt := firstEvent(t, f, bindery.URL, modern)
			close(left)
			if got := <-cancelled; got != modern {
				t.Errorf("the upstream's call was cancelled: %t", got)
			}
			f.settled(t, receipt)
		})
	}
}

// firstEvent makes a call, reads one event, and leaves.
func firstEvent(t *testing.T, f *fixture, address string, modern bool) (receipt string) {
	t.Helper()
	body := callBody
	if modern {
		body = modernBody
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+route, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "mcp.example.com"
	r.Header = f.request(f.token(t), "").Header
	if modern {
		asModern(r)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || line != "data: {}\n" {
		t.Fatalf("first event %q, %v", line, err)
	}
	_ = response.Body.Close()
	return response.Header.Get("Bindery-Receipt")
}

// settled waits for the outcome of a call that its caller left.
func (f *fixture) settled(t *testing.T, receipt string) {
	t.Helper()
	limit := time.Now().Add(time.Minute)
	for len(f.tables.Records(receipt)) < 2 {
		if time.Now().After(limit) {
			t.Fatal("no outcome")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := outcome(t, f.tables.Records(receipt)); got.Reason != broker.CallerGone {
		t.Errorf("outcome %s", got.Reason)
	}
}
