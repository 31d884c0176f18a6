//go:build e2e && !nonode

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/shared/broker"
)

const accessEnded = `"error":{"code":14032,`

// lines reads an open stream line by line.
type lines struct {
	t       *testing.T
	receipt string
	body    io.Closer
	from    *bufio.Reader
}

// listenTo opens a stream.
func (d *deployment) listenTo(r *http.Request) *lines {
	d.t.Helper()
	response, err := client.Do(r)
	must(d.t, err)
	d.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		d.t.Fatalf("the stream was answered %d, %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	return &lines{d.t, response.Header.Get("Bindery-Receipt"), response.Body, bufio.NewReader(response.Body)}
}

// until reads to a line that holds a text, and gives the id of the last event
// that came with one.
func (l *lines) until(text string) (id string) {
	l.t.Helper()
	for {
		line, err := l.from.ReadString('\n')
		if err != nil {
			l.t.Fatalf("the stream ended before %q: %v", text, err)
		}
		if after, found := strings.CutPrefix(line, "id: "); found {
			id = strings.TrimSpace(after)
		}
		if strings.Contains(line, text) {
			return id
		}
	}
}

// rest is everything up to the end of the stream.
func (l *lines) rest() string {
	l.t.Helper()
	all, err := io.ReadAll(l.from)
	must(l.t, err)
	return string(all)
}

// TestAStandingStreamIsResumedWhereItBrokeOff: what the official server says
// meanwhile is heard afterwards, by a process that knows nothing of the first
// stream. Nobody but the owner of the session gets any of it.
func TestAStandingStreamIsResumedWhereItBrokeOff(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	changes := func(name string) {
		server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, nil)
	}
	changes("first") // a server without tools says nothing of changes
	u := d.upstream(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}).ServeHTTP)
	d.simple(u)
	d.bind(d.card("notes", "bob-notes", person(bob), "aws-sm:"+d.env+"/notes#token"))
	id := d.open(u, alice, "notes")
	get := func(account, after string) *http.Request {
		r := d.asking(account, "notes", legacy, "tools/list", "", by(http.MethodGet), in(id))
		if after != "" {
			r.Header.Set("Last-Event-ID", after)
		}
		return r
	}
	standing := d.listenTo(get(alice, ""))
	changes("second")
	heard := standing.until("id: ")
	standing.until("notifications/tools/list_changed")
	must(t, standing.body.Close())
	if r := d.ended(answer{receipt: standing.receipt}, broker.CallerGone); r.Action != broker.Stream || r.Session != broker.Digest("session", id) {
		t.Errorf("recorded %s, session %q", r.Action, r.Session)
	}
	changes("third")
	d.another()
	d.send(get(bob, heard)).want(t, http.StatusNotFound, sessionUnknown)
	resumed := d.listenTo(get(alice, heard))
	if u.last(t).Header.Get("Last-Event-ID") != heard {
		t.Errorf("the upstream was asked for what follows %q, want %q", u.last(t).Header.Get("Last-Event-ID"), heard)
	}
	if next := resumed.until("notifications/tools/list_changed"); next == "" || next == heard {
		t.Errorf("after event %q came %q", heard, next)
	}
}

// TestACurrentClientSubscribes at the official server, and hears of changes.
func TestACurrentClientSubscribes(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.simple(d.official(shared.stateless.URL))
	r := d.request(alice, "notes", modern, rpc(modern, "subscriptions/listen", `"notifications":{"toolsListChanged":true}`))
	r.Header.Set("Mcp-Method", "subscriptions/listen")
	r.Header.Del("Mcp-Name")
	subscription := d.listenTo(r)
	subscription.until("notifications/subscriptions/acknowledged")
	d.ask(alice, "notes", modern, "tools/call", "test_trigger_tool_change").want(t, http.StatusOK, "published")
	subscription.until("notifications/tools/list_changed")
	must(t, subscription.body.Close())
	if r := d.ended(answer{receipt: subscription.receipt}, broker.CallerGone); r.Action != broker.Stream || r.Method != "subscriptions/listen" || r.Session != "" {
		t.Errorf("recorded %s by %s, session %q", r.Action, r.Method, r.Session)
	}
}

// unending is an upstream that begins every answer and never ends one.
func (d *deployment) unending(open *atomic.Int64) *upstream {
	return d.upstream(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, progress)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
}

// TestWhatIsRevokedEndsWhatIsOpen: a standing stream, a subscription and a tool
// that is running end by themselves, each with a record that says why. What
// waits for an answer gets one.
func TestWhatIsRevokedEndsWhatIsOpen(t *testing.T) {
	t.Parallel()
	d := mint(t)
	var open atomic.Int64
	u := d.unending(&open)
	revoked := map[string]func(){}
	_, reference := d.secret("notes")
	for _, server := range []string{"card", "server", "person", "agent", "spared"} {
		s := d.server(server, u.URL)
		card := d.bind(d.card(server, "dev-"+server, group("dev"), reference))
		must(t, d.DB.PutAgent(t.Context(), broker.Agent{Environment: d.env, ID: issuerName + ":" + server, State: broker.Active, Team: "platform", Ceiling: broker.Critical}))
		revoked[server] = map[string]func(){
			"card":   func() { d.bind(card, func(b *broker.Binding) { b.State = broker.Suspended }) },
			"server": func() { s.State = broker.Suspended; must(t, d.Registry.PutServer(t.Context(), s)) },
			"person": func() { d.revoke(broker.PrincipalMarker, broker.PrincipalID(d.issuer.Issuer(), "user of person")) },
			"agent":  func() { d.revoke(broker.AgentMarker, issuerName+":agent") },
			"spared": func() {},
		}[server]
	}
	type stream struct {
		*lines
		what, end string
		reason    broker.Reason
	}
	var streams []stream
	begin := func(server, end string, reason broker.Reason, r *http.Request) {
		l := d.listenTo(r)
		l.until("notifications/progress")
		streams = append(streams, stream{l, fmt.Sprintf("%s %s at %s", r.Method, r.Header.Get("Mcp-Method"), server), end, reason})
	}
	for server := range revoked {
		if server == "spared" {
			continue
		}
		who := d.as("user of "+server, server)
		begin(server, "", broker.AccessEnded, d.asking(alice, server, legacy, "tools/call", "whoami", by(http.MethodGet), who))
		begin(server, accessEnded, broker.AccessEnded, d.asking(alice, server, legacy, "tools/call", "whoami", who))
		begin(server, accessEnded, broker.AccessEnded, d.asking(alice, server, modern, "subscriptions/listen", "", who))
	}
	spared := d.listenTo(d.asking(alice, "spared", legacy, "tools/call", "whoami", by(http.MethodGet), d.as(alice, shell)))
	who := d.asUntil(carol, shell, 15*time.Second) // its token ends, and with it what lasts
	begin("spared", "", broker.TokenExpired, d.asking(alice, "spared", legacy, "tools/call", "whoami", by(http.MethodGet), who))
	begin("spared", accessEnded, broker.TokenExpired, d.asking(alice, "spared", modern, "subscriptions/listen", "", who))
	for _, revoke := range revoked {
		revoke()
	}
	for _, s := range streams {
		rest := s.rest()
		if s.end == "" && strings.Contains(rest, "data:") || !strings.Contains(rest, s.end) {
			t.Errorf("%s ended with %q, want %s", s.what, rest, s.end)
		}
		d.ended(answer{receipt: s.receipt}, s.reason)
	}
	for began := time.Now(); open.Load() > 1 && time.Since(began) < pending; {
		time.Sleep(20 * time.Millisecond)
	}
	if n := open.Load(); n != 1 {
		t.Errorf("the upstream has %d open streams, want the spared one", n)
	}
	must(t, spared.body.Close())
}

// TestASilentStreamIsKeptAlive: the caller hears something although the
// upstream says nothing.
func TestASilentStreamIsKeptAlive(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	var open atomic.Int64
	d.simple(d.unending(&open))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var all []*lines
	for _, r := range []*http.Request{d.request(alice, "notes", legacy, toolCall(legacy)), d.asking(alice, "notes", legacy, "tools/call", "whoami", by(http.MethodGet))} {
		l := d.listenTo(r.WithContext(ctx))
		l.until("notifications/progress")
		all = append(all, l)
	}
	for _, l := range all {
		l.until("\n") // the end of that event
		if line, err := l.from.ReadString('\n'); line != ":\n" || err != nil {
			t.Errorf("heard %q, %v", line, err)
		}
		if line, err := l.from.ReadString('\n'); line != "\n" || err != nil {
			t.Errorf("heard %q, %v", line, err)
		}
	}
}
