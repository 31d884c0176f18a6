//go:build e2e && !nonode

package e2e

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"bindery/shared/broker"
)

// holding is an upstream whose streams last until it is told to end them, or
// the other side hangs up.
type holding struct {
	*upstream
	end  chan struct{}
	left chan struct{} // one for each stream that has ended
}

func (d *deployment) holding() *holding {
	h := &holding{end: make(chan struct{}), left: make(chan struct{}, 100)}
	h.upstream = d.upstream(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.Header.Get("Mcp-Method") != "subscriptions/listen" {
			echo()(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": open\n\n")
		w.(http.Flusher).Flush()
		select {
		case <-h.end:
		case <-r.Context().Done():
		}
		h.left <- struct{}{}
	})
	return h
}

// stream opens a stream and waits until the upstream has it. It ends with the
// test.
func (d *deployment) stream(r *http.Request) *http.Response {
	d.t.Helper()
	response, err := client.Do(r)
	must(d.t, err)
	d.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode == http.StatusOK {
		first := make([]byte, 1)
		_, err = io.ReadFull(response.Body, first)
		must(d.t, err)
	}
	return response
}

// TestStreamsHaveAsManyPlacesAsTheLimit, at all processes together. A place is
// free again when its stream ends, whoever ends it.
func TestStreamsHaveAsManyPlacesAsTheLimit(t *testing.T) {
	t.Parallel()
	d, processes := paired(t)
	h := d.holding()
	d.limited("notes", h.upstream, broker.Limits{Streams: 2}, broker.Limits{})
	get := func(who string, process int) *http.Response {
		return d.stream(d.asking(alice, "notes", legacy, "tools/call", "whoami", by(http.MethodGet), d.as(who, shell), processes[process]))
	}
	listen := func(who string, process int) *http.Response {
		return d.stream(d.asking(alice, "notes", modern, "subscriptions/listen", "", d.as(who, shell), processes[process]))
	}
	full := func() {
		t.Helper()
		for i, open := range []func(string, int) *http.Response{get, listen} {
			response := open(carol, i)
			if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); response.StatusCode != http.StatusTooManyRequests || err != nil || seconds > 5 {
				t.Errorf("one stream too many was answered %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
			}
			d.overLimit(t, response.Header.Get("Bindery-Receipt"))
		}
	}
	again := func(open func(string, int) *http.Response, process int) (response *http.Response) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			if response = open(bob, process); response.StatusCode == http.StatusOK {
				return response
			}
			if time.Since(began) > pending {
				t.Fatal("no place became free")
			}
		}
	}
	first := get(alice, 0)
	listen(bob, 1)
	full()
	d.ask(alice, "notes", legacy, "tools/call", "whoami", d.as(alice, shell)).want(t, http.StatusOK, "[masked:card]") // takes no place
	_ = first.Body.Close()                                                                                            // the caller leaves
	again(listen, 0)
	full()
	h.end <- struct{}{} // the upstream ends one
	again(get, 1)
	full()
	for range 2 {
		<-h.left
	}
	if len(h.left) != 0 {
		t.Error("another stream has ended")
	}
}

// TestAPlaceIsGivenBackWhereAnotherLimitIsReached.
func TestAPlaceIsGivenBackWhereAnotherLimitIsReached(t *testing.T) {
	t.Parallel()
	d := mint(t)
	h := d.holding()
	one := broker.Limits{Streams: 1}
	d.limited("busy", h.upstream, broker.Limits{}, one)
	d.limited("notes", h.upstream, one, broker.Limits{})
	get := func(server, agent string) *http.Response {
		return d.stream(d.asking(alice, server, legacy, "tools/call", "whoami", by(http.MethodGet), d.as(alice, agent)))
	}
	if got := get("busy", "busy").StatusCode; got != http.StatusOK {
		t.Fatalf("the agent's one stream was answered %d", got)
	}
	for range 3 {
		refused := get("notes", "busy")
		if refused.StatusCode != http.StatusTooManyRequests {
			t.Errorf("the agent's second stream was answered %d", refused.StatusCode)
		}
		d.overLimit(t, refused.Header.Get("Bindery-Receipt"))
	}
	if got := get("notes", shell).StatusCode; got != http.StatusOK {
		t.Errorf("the server's one stream was answered %d", got)
	}
}
