package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/infra/local/upstream"
	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/probe"
)

const canary = "canary-8sKd2mPqXvWz4TnBcYh6" // made up

// called is what a hand-written upstream gets.
type called struct {
	Method  string          `json:"method"`
	ID      json.RawMessage `json:"id"`
	Params  json.RawMessage `json:"params"`
	verb    string
	session string
	header  http.Header
}

// recorder is a hand-written upstream that keeps what it got.
type recorder struct {
	*httptest.Server
	mu  sync.Mutex
	got []called
}

func (r *recorder) methods() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.got {
		list = append(list, strings.TrimSpace(c.verb+" "+c.Method))
	}
	return list
}

func serve(t *testing.T, answer func(w http.ResponseWriter, c called)) *recorder {
	t.Helper()
	u := &recorder{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := called{verb: r.Method, session: r.Header.Get("Mcp-Session-Id"), header: r.Header.Clone()}
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &c)
		u.mu.Lock()
		u.got = append(u.got, c)
		u.mu.Unlock()
		answer(w, c)
	}))
	t.Cleanup(u.Close)
	return u
}

func reply(w http.ResponseWriter, c called, result string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, c.ID, result)
}

func ask(t *testing.T, url string) probe.Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := probe.Probe{Client: egress.New(egress.Policy{Loopback: true}), URL: url, Prepare: func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+canary)
		return nil
	}}
	found, err := p.Ask(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheCurrentRevisionIsAskedForFirst(t *testing.T) {
	u := httptest.NewServer(upstream.New().Handler)
	t.Cleanup(u.Close)
	found := ask(t, u.URL)
	if found.Reason != "" || found.Era != probe.Modern || found.Tools == nil || *found.Tools != 3 {
		t.Errorf("found %+v", found)
	}
}

// legacy is an upstream of the revisions before: it wants its session, and the
// credential on every request.
func legacy(w http.ResponseWriter, c called) {
	switch {
	case c.header.Get("Authorization") != "Bearer "+canary:
		w.WriteHeader(http.StatusUnauthorized)
	case c.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", "s1")
		reply(w, c, `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}`)
	case c.session != "s1":
		w.WriteHeader(http.StatusBadRequest)
	case c.Method == "notifications/initialized":
		w.WriteHeader(http.StatusAccepted)
	case c.Method == "tools/list" && strings.Contains(string(c.Params), `"cursor":"next"`):
		reply(w, c, `{"tools":[{"name":"c"}]}`)
	case c.Method == "tools/list":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"nextCursor\":\"next\"}}\n\n", c.ID)
	}
}

func TestALegacyUpstreamIsShakenHandsWithAndItsSessionEnded(t *testing.T) {
	u := serve(t, legacy)
	found := ask(t, u.URL)
	if found.Reason != "" || found.Era != "2025-06-18" || found.Tools == nil || *found.Tools != 3 || found.Stage != probe.Listing {
		t.Errorf("found %+v", found)
	}
	want := []string{"POST server/discover", "POST initialize", "POST notifications/initialized", "POST tools/list", "POST tools/list", "DELETE"}
	if got := u.methods(); !slices.Equal(got, want) {
		t.Errorf("it got %v", got)
	}
	for _, c := range u.got[3:] {
		if c.header.Get("Mcp-Protocol-Version") != "2025-06-18" || c.session != "s1" {
			t.Errorf("%s %s had version %q and session %q", c.verb, c.Method, c.header.Get("Mcp-Protocol-Version"), c.session)
		}
	}
}

func TestASessionIsEndedAlsoWhereTheListFails(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, c called) {
		if c.Method == "tools/list" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		legacy(w, c)
	})
	if found := ask(t, u.URL); found.Reason != broker.UpstreamFailed || found.Status != 500 || found.Stage != probe.Listing {
		t.Errorf("found %+v", found)
	}
	if got := u.methods(); got[len(got)-1] != "DELETE" {
		t.Errorf("it got %v", got)
	}
}

// TestWhatIsWrongIsNamed: hostile and broken upstreams, by what they answer to
// everything.
func TestWhatIsWrongIsNamed(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, called) {
		return func(w http.ResponseWriter, _ called) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+canary+`"`)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, canary)
		}
	}
	text := func(media, body string) func(http.ResponseWriter, called) {
		return func(w http.ResponseWriter, _ called) {
			w.Header().Set("Content-Type", media)
			_, _ = io.WriteString(w, body)
		}
	}
	result := func(r string) func(http.ResponseWriter, called) {
		return func(w http.ResponseWriter, c called) { reply(w, c, r) }
	}
	for name, c := range map[string]struct {
		answer  func(http.ResponseWriter, called)
		reason  broker.Reason
		refused bool
	}{
		"it wants another credential":      {status(401), broker.UpstreamAuth, true},
		"it forbids":                       {status(403), broker.UpstreamDenied, true},
		"it redirects":                     {status(307), broker.UpstreamRedirect, false},
		"it is out of order":               {status(503), broker.UpstreamFailed, false},
		"it knows no such page":            {status(404), broker.UpstreamMalformed, false},
		"a web page":                       {text("text/html", "<html>"+canary), broker.UpstreamMalformed, false},
		"no JSON":                          {text("application/json", canary), broker.UpstreamMalformed, false},
		"an answer to somebody else":       {text("application/json", `{"jsonrpc":"2.0","id":99,"result":{}}`), broker.UpstreamMalformed, false},
		"a stream without an answer":       {text("text/event-stream", "data: {}\n\n"), broker.UpstreamMalformed, false},
		"a result that is none":            {result(`"x"`), broker.UpstreamMalformed, false},
		"a revision that is not served":    {result(`{"protocolVersion":"2024-11-05"}`), broker.UpstreamMalformed, false},
		"a revision with text of its own":  {result(`{"protocolVersion":"` + canary + `"}`), broker.UpstreamMalformed, false},
		"an endless answer":                {func(w http.ResponseWriter, _ called) { flood(w) }, broker.UpstreamTooLarge, false},
		"it breaks off":                    {func(http.ResponseWriter, called) { panic(http.ErrAbortHandler) }, broker.UpstreamBroke, false},
		"an encoding nobody asked for":     {func(w http.ResponseWriter, _ called) { w.Header().Set("Content-Encoding", "gzip") }, broker.UpstreamEncoded, false},
		"it speaks the revision, no tools": {result(`{"supportedVersions":["2026-07-28"],"capabilities":{}}`), broker.UpstreamMalformed, false},
	} {
		t.Run(name, func(t *testing.T) {
			found := ask(t, serve(t, c.answer).URL)
			if found.Reason != c.reason || found.Refused != c.refused {
				t.Errorf("found %+v", found)
			}
			if strings.Contains(fmt.Sprintf("%+v", found), canary) {
				t.Error("the finding repeats what the upstream said")
			}
		})
	}
}

func flood(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	for range 5 << 10 {
		if _, err := w.Write(make([]byte, 1<<10)); err != nil {
			return
		}
	}
}

func TestAnUpstreamThatIsSilentEndsWithTheTime(t *testing.T) {
	stop := make(chan struct{})
	u := serve(t, func(http.ResponseWriter, called) { <-stop })
	t.Cleanup(func() { close(stop) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	p := probe.Probe{Client: egress.New(egress.Policy{Loopback: true}), URL: u.URL, Prepare: func(*http.Request) error { return nil }}
	if found, err := p.Ask(ctx); err != nil || found.Reason != broker.UpstreamTimeout || found.Status != 0 {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestAnAddressThatIsClosedIsNamed(t *testing.T) {
	p := probe.Probe{Client: egress.New(egress.Policy{}), URL: "https://169.254.169.254/mcp", Prepare: func(*http.Request) error { return nil }}
	if found, err := p.Ask(t.Context()); err != nil || found.Reason != broker.UpstreamAddress {
		t.Errorf("found %+v, %v", found, err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if found := ask(t, gone.URL); found.Reason != broker.UpstreamUnreached || found.Stage != probe.Connecting {
		t.Errorf("found %+v", found)
	}
}

func TestNothingIsSentThatCouldNotBePrepared(t *testing.T) {
	u := serve(t, legacy)
	bad := errors.New("no")
	p := probe.Probe{Client: egress.New(egress.Policy{Loopback: true}), URL: u.URL, Prepare: func(*http.Request) error { return bad }}
	if _, err := p.Ask(t.Context()); !errors.Is(err, bad) || len(u.methods()) != 0 {
		t.Errorf("%v after %v", err, u.methods())
	}
}

// TestAnUpstreamWithoutToolsWorks: it says that there is no such method.
func TestAnUpstreamWithoutToolsWorks(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, c called) {
		if c.Method == "server/discover" {
			reply(w, c, `{"supportedVersions":["2026-07-28"],"capabilities":{}}`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}`, c.ID)
	})
	if found := ask(t, u.URL); found.Reason != "" || found.Tools != nil || found.Era != probe.Modern {
		t.Errorf("found %+v", found)
	}
}
