//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/config"
)

const limitReached = `"code":14290`

// paired is a deployment of two processes. What they write passes one gate,
// because the local endpoint does not check conditions in order.
func paired(t *testing.T, changes ...func(*plan)) (d *minted, processes []func(*http.Request)) {
	t.Helper()
	d = mint(t, changes...)
	var gate sync.Mutex
	d.faults.Inject(faultproxy.Rule{Operations: []string{"UpdateItem", "PutItem"}, Times: -1, Effect: faultproxy.While(&gate)})
	first := d.url
	d.another()
	for _, at := range []string{first, d.url} {
		u, err := url.Parse(at)
		must(t, err)
		processes = append(processes, func(r *http.Request) { r.URL.Host, r.Host = u.Host, u.Host })
	}
	return d, processes
}

// limited registers a server and an agent, each with its limits, and binds the
// server to group dev.
func (d *minted) limited(name string, at *upstream, server, agent broker.Limits) {
	d.t.Helper()
	d.server(name, at.URL, func(s *broker.Server) { s.Limits = server })
	must(d.t, d.DB.PutAgent(d.t.Context(), broker.Agent{Environment: d.env, ID: issuerName + ":" + name, State: broker.Active, Team: "platform",
		Ceiling: broker.Critical, Limits: agent}))
	if len(d.canaries) == 0 {
		d.secret("notes")
	}
	d.bind(d.card(name, "card", group("dev"), "aws-sm:"+d.env+"/notes#token"))
}

// TestCallsAreCountedTogetherByAllProcesses, for a person, an agent and a
// server: as many as the limit pass, and the upstream gets those and no more.
func TestCallsAreCountedTogetherByAllProcesses(t *testing.T) {
	t.Parallel()
	const limit, calls = 5, 8
	for subject, of := range map[string]struct{ principal, server, agent broker.Limits }{
		"person": {principal: broker.Limits{CallsPerMinute: limit}},
		"server": {server: broker.Limits{CallsPerMinute: limit}},
		"agent":  {agent: broker.Limits{CallsPerMinute: limit}},
	} {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			d, processes := paired(t, func(p *plan) { p.config = func(c *config.Config) { c.Limits.Principal = of.principal } })
			u := d.upstream(echo())
			var answers [calls]answer
			for attempt := 1; ; attempt++ { // a window that ends meanwhile begins a new count
				name, before, began := fmt.Sprint(subject, attempt), len(u.arrivals()), time.Now()
				d.limited(name, u, of.server, of.agent)
				var all sync.WaitGroup
				for i := range answers {
					who := "user of " + name
					if subject != "person" {
						who = fmt.Sprint(who, i)
					}
					r := d.asking(alice, name, legacy, "tools/call", "whoami", d.as(who, name), processes[i%2])
					all.Go(func() { answers[i] = d.send(r) })
				}
				all.Wait()
				if time.Now().Truncate(broker.QuotaWindow).Equal(began.Truncate(broker.QuotaWindow)) {
					d.counted(t, answers[:], len(u.arrivals())-before, limit)
					return
				}
			}
		})
	}
}

// counted requires that a limit let through just as many calls as it says.
func (d *deployment) counted(t *testing.T, answers []answer, reached, limit int) {
	t.Helper()
	passed := 0
	for _, a := range answers {
		if a.status == http.StatusOK {
			passed++
			d.ended(a, "")
			continue
		}
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || seconds < 1 || seconds > 60 || !strings.Contains(a.body, fmt.Sprintf("again in %d s", seconds)) {
			t.Errorf("Retry-After %q with %s", a.header.Get("Retry-After"), a.body)
		}
		a.want(t, http.StatusTooManyRequests, limitReached)
		d.overLimit(t, a.receipt)
	}
	if passed != limit || reached != limit {
		t.Errorf("%d calls passed and %d reached the upstream, want %d", passed, reached, limit)
	}
}

// overLimit requires that a call was recorded as over a limit: by its outcome,
// or as a refusal by a process that already knew.
func (d *deployment) overLimit(t *testing.T, receipt string) {
	t.Helper()
	records := d.records(answer{receipt: receipt})
	if end := records[len(records)-1]; end.Reason != broker.LimitReached || end.Status != http.StatusTooManyRequests || end.Upstream != 0 {
		t.Errorf("recorded %s, status %d, upstream %d", end.Reason, end.Status, end.Upstream)
	}
}

// TestWhoIsOverALimitCostsNoMore: the process that knows asks nobody but the
// catalogue.
func TestWhoIsOverALimitCostsNoMore(t *testing.T) {
	t.Parallel()
	d := mint(t)
	u := d.upstream(echo())
	for attempt := 1; ; attempt++ {
		name, began := fmt.Sprint("notes", attempt), time.Now()
		d.limited(name, u, broker.Limits{CallsPerMinute: 1}, broker.Limits{})
		for range 2 {
			d.ask(alice, name, legacy, "tools/call", "whoami", d.as(alice, shell))
		}
		d.faults.ResetCounts()
		a := d.ask(alice, name, legacy, "tools/call", "whoami", d.as(alice, shell))
		if !time.Now().Truncate(broker.QuotaWindow).Equal(began.Truncate(broker.QuotaWindow)) {
			continue
		}
		a.want(t, http.StatusTooManyRequests, limitReached)
		d.refused(a, broker.LimitReached)
		for _, operation := range []string{"UpdateItem", "GetSecretValue", "GetItem"} {
			if n := d.faults.Count(operation); n != 0 {
				t.Errorf("%d requests of %s", n, operation)
			}
		}
		if len(u.arrivals()) != attempt {
			t.Errorf("%d requests reached the upstream after %d attempts", len(u.arrivals()), attempt)
		}
		return
	}
}

// TestBodiesAreHeldToTheSmallestLimit of person, agent and server.
func TestBodiesAreHeldToTheSmallestLimit(t *testing.T) {
	t.Parallel()
	d := mint(t, func(p *plan) {
		p.config = func(c *config.Config) { c.Limits.Principal = broker.Limits{RequestBytes: 3000, AnswerBytes: 3000} }
	})
	size, events := 0, false
	u := d.upstream(func(w http.ResponseWriter, _ *http.Request) {
		body := `{"jsonrpc":"2.0","id":1,"result":{"x":""}}`
		body = strings.Replace(body, `"x":"`, `"x":"`+strings.Repeat("x", size-len(body)), 1)
		w.Header().Set("Content-Type", "application/json")
		if events {
			w.Header().Set("Content-Type", "text/event-stream")
			body = "data: " + body + "\n\n"
		}
		_, _ = io.WriteString(w, body)
	})
	for name, of := range map[string]struct {
		server, agent broker.Limits
		limit         int
	}{
		"person": {limit: 3000},
		"server": {server: broker.Limits{RequestBytes: 1000, AnswerBytes: 1000}, agent: broker.Limits{RequestBytes: 2000, AnswerBytes: 2000}, limit: 1000},
		"agent":  {server: broker.Limits{RequestBytes: 2000, AnswerBytes: 2000}, agent: broker.Limits{RequestBytes: 1000, AnswerBytes: 1000}, limit: 1000},
		"wider":  {server: broker.Limits{RequestBytes: 9000, AnswerBytes: 9000}, limit: 3000},
	} {
		d.limited(name, u, of.server, of.agent)
		call := func(bytes int) answer {
			body := toolCall(legacy)
			r := d.request(alice, name, legacy, strings.Repeat(" ", bytes-len(body))+body)
			d.as(alice, name)(r)
			return d.send(r)
		}
		size, events = of.limit, false
		d.ended(call(of.limit), "")
		before := len(u.arrivals())
		a := call(of.limit + 1)
		a.want(t, http.StatusRequestEntityTooLarge, `"code":14131`)
		d.refused(a, broker.LimitReached)
		if len(u.arrivals()) != before {
			t.Errorf("%s: a request over the limit reached the upstream", name)
		}
		size++
		a = call(500)
		a.want(t, http.StatusBadGateway, `"code":15024`)
		d.ended(a, broker.UpstreamTooLarge)
		size, events = of.limit-100, true
		d.ended(call(500), "")
		size += 100
		a = call(500)
		a.want(t, http.StatusOK, `"error":{"code":15024`)
		d.ended(a, broker.UpstreamTooLarge)
	}
}

// TestAQuotaThatCannotBeCountedIsARefusal: nothing reaches the upstream, and
// nothing is held back for what did not happen.
func TestAQuotaThatCannotBeCountedIsARefusal(t *testing.T) {
	t.Parallel()
	d := mint(t)
	h := d.holding()
	d.limited("calls", h.upstream, broker.Limits{CallsPerMinute: 100}, broker.Limits{})
	d.limited("streams", h.upstream, broker.Limits{Streams: 1}, broker.Limits{})
	ask := func(server string, changes ...func(*http.Request)) *http.Request {
		return d.asking(alice, server, legacy, "tools/call", "whoami", append(changes, d.as(alice, shell))...)
	}
	d.send(ask("calls")).want(t, http.StatusOK, "[masked:card]")
	denied := faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException")
	get := func() *http.Request { return ask("streams", by(http.MethodGet)) }
	for name, c := range map[string]struct {
		request *http.Request
		rule    faultproxy.Rule
	}{
		"the count is refused":         {ask("calls"), always("UpdateItem", "", denied)},
		"the count is throttled":       {ask("calls"), always("UpdateItem", "", faultproxy.Throttle())},
		"the count's answers are lost": {ask("calls"), always("UpdateItem", "", faultproxy.DropAnswer())},
		"the places are not read":      {get(), always("Query", "places", denied)},
		"no place can be taken":        {get(), always("PutItem", "places", denied)},
	} {
		d.faults.Clear()
		d.faults.Inject(c.rule)
		a := d.send(c.request)
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, undecided) || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: answered %d %s", name, a.status, a.body)
		}
		d.ended(a, broker.CatalogueUnread)
	}
	h.spared(t)
	d.faults.Clear()
	if got := d.stream(get()).StatusCode; got != http.StatusOK {
		t.Errorf("the server's one stream was answered %d", got)
	}
}
