//go:build e2e && !nojava

package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/revoke"
)

// others is a world in which everything but calls is done while AWS fails.
type others struct {
	*world
	r                                    *rand.Rand
	admin, revocation, cleanup, proxy    *station
	token, callers                       string // the administrator's, and of whom access is revoked
	changes, acknowledged, unsure, calls int
}

// people of this world: one is revoked and let in again, of the others the
// sessions are ended.
const (
	leavers         = 4
	sessionsOfEach  = 3
	peopleOfOthers  = leavers + 1
	familiesOfGrant = 6
)

func BenchmarkOthers(b *testing.B) {
	o := &others{world: newWorld(b, peopleOfOthers, "proxy", "admin", "revocation", "rotation", "ledger", "outbox", "cleanup")}
	seed := seedOf(b)
	progress("the seed is %d", seed)
	o.r = rand.New(rand.NewPCG(seed, 0))
	o.proxy, o.admin, o.revocation, o.cleanup = o.station("proxy"), o.station("admin"), o.station("revocation"), o.station("cleanup")
	o.token, o.callers = o.world.token("admin"), o.world.token(person(leavers))
	if s := o.call(); !s.worked() { // and the issuer's keys are known: whoever dies between asking for them and storing them keeps others waiting
		b.Fatalf("a call that nothing forbids: %d %s, %v", s.status, s.body, s.err)
	}
	grants, streams := o.refreshing(familiesOfGrant), o.following(seed)
	for round := 1; b.Loop(); round++ {
		o.change(round)
		o.stopAndLift()
		_ = grants.run(o.r) // what failed is due again
		grants.free()
	}
	sessions := o.endSessions()
	lost := grants.lost()
	records, facts := streams.finish()
	open := len(o.evidence().open())
	hits, deaths := ended(b, o.proxy, o.admin, o.revocation, o.cleanup, grants.station, streams.ledger, streams.outbox)
	canaries := o.inTables()
	if hits == 0 || grants.commits == 0 || o.changes == 0 || o.acknowledged == 0 {
		b.Errorf("%d faults, %d refreshes, %d changes, %d revocations: nothing is shown", hits, grants.commits, o.changes, o.acknowledged)
	}
	fmt.Printf("soak: of the others %d requests to AWS failed and %d processes died: %d changes made once each, %d revocations acknowledged and effective (%d unsure, and made good), "+
		"%d grants refreshed %d times and %d lost, %d sessions ended, %d records indexed (%d of them intents without outcome) and %d facts told, none skipped, %d canaries seen; seed %d\n",
		hits, deaths, o.changes, o.acknowledged, o.unsure, len(grants.keys), grants.commits, lost, sessions, records, open, facts, canaries, seed)
}

// administer makes one request at the admin API.
func (o *others) administer(method, path, body, key, match string) (status int, text string) {
	headers := map[string][]string{"Host": {"mcp.example.com"}, "Authorization": {"Bearer " + o.token}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}}
	if match == "*" {
		headers["If-None-Match"] = []string{match}
	} else {
		headers["If-Match"] = []string{match}
	}
	event, err := json.Marshal(events.APIGatewayProxyRequest{HTTPMethod: method, Path: "/admin/v1" + path, Body: body, MultiValueHeaders: headers})
	must(o.tb, err)
	defer o.admin.revive()
	response, err := o.admin.f.Invoke(o.tb.Context(), event)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	all, _ := io.ReadAll(response.Body) // what there is
	o.seen("an answer of the admin API", append(all, fmt.Sprint(response.Header)...), o.canaries...)
	return response.StatusCode, string(all)
}

// change registers an agent and changes it, each with a key, again and again while
// AWS fails. However often, each is made once.
func (o *others) change(round int) {
	id := fmt.Sprintf("local:robot-%d", round)
	for version, body := range []string{`{"team":"platform","ceiling":"low","state":"active"}`, `{"team":"platform","ceiling":"medium","state":"active"}`} {
		match := "*"
		if version > 0 {
			match = fmt.Sprintf(`"v%d"`, version)
		}
		status, text := 0, ""
		for try := range 4 {
			o.admin.quiet()
			if try < 3 {
				o.admin.fail(o.r, 8, true)
			}
			status, text = o.administer(http.MethodPut, "/agents/"+id, body, fmt.Sprintf("made-up-key-%d-%d", round, version), match)
			if status == http.StatusOK && o.r.IntN(2) == 0 {
				break // else the client did not see it, and asks again
			}
			if status != 0 && status != http.StatusOK && status < 500 && status != http.StatusConflict && status != http.StatusTooManyRequests {
				o.tb.Errorf("a change was answered %d %s", status, text)
			}
		}
		a, err := o.DB.Agent(o.tb.Context(), environment, id)
		switch made := int64(version) + 1; {
		case status == http.StatusOK && (err != nil || a.Version != made):
			o.tb.Errorf("answered %s, and stored is %+v, %v", text, a, err)
		case err == nil && a.Version > made:
			o.tb.Errorf("one change was made twice: %+v", a)
		case err == nil && a.Version == made:
			o.changes++
		default:
			return // its key is another attempt's for a minute
		}
	}
}

// stopAndLift revokes somebody while AWS fails, and looks whether an
// acknowledgement is true.
func (o *others) stopAndLift() {
	subject := broker.PrincipalID(o.issuerAt, "user-"+person(leavers))
	client := revoke.Client{Invoke: o.revocation.invoke}
	order := revoke.Order{Kind: broker.PrincipalMarker, Subject: subject, By: "p-made-up", Reason: "made up for this run"}
	o.revocation.quiet()
	o.revocation.fail(o.r, 8, true)
	a, err := client.Revoke(o.tb.Context(), order)
	if err != nil || !a.Revoked {
		o.unsure++
		o.revocation.quiet()
		a, err = client.Revoke(o.tb.Context(), order)
		must(o.tb, err)
	}
	if s := o.call(); s.status != http.StatusForbidden {
		o.tb.Errorf("revoked by %s, and a call was answered %d %s %s, %v", a.Case, s.status, s.row, s.body, s.err)
	}
	o.acknowledged++
	o.revocation.quiet()
	o.revocation.fail(o.r, 8, true)
	lifting := revoke.Lifting{Case: a.Case, By: "p-made-up", Reason: "made up for this run"}
	if _, err := client.Lift(o.tb.Context(), lifting); err != nil {
		o.revocation.quiet()
		if _, err = client.Lift(o.tb.Context(), lifting); err != nil && !strings.Contains(err.Error(), "conflict") { // lifted already
			o.tb.Errorf("lift: %v", err)
		}
	}
	if s := o.call(); !s.worked() {
		o.tb.Errorf("lifted, and a call was answered %d %s %s, %v", s.status, s.row, s.body, s.err)
	}
}

// call calls while nothing fails.
func (o *others) call() (s said) {
	for range patience {
		s = ask(o.tb.Context(), o.proxy.f, asking{server: managed, method: http.MethodPost, revision: legacy, does: "tools/call", tool: plainly, id: o.next()}, o.callers)
		if !tooSlow(s) {
			break
		}
	}
	return s
}

func (o *others) next() int {
	o.calls++
	return o.calls
}

// endSessions revokes people who have sessions, and has what follows done while AWS
// fails, until all is ended.
func (o *others) endSessions() (n int) {
	o.tb.Helper()
	ctx := o.tb.Context()
	before := len(o.upstream.over)
	o.revocation.quiet()
	client := revoke.Client{Invoke: o.revocation.invoke}
	for i := range leavers {
		token := o.world.token(person(i))
		for range sessionsOfEach {
			if s := ask(ctx, o.proxy.f, asking{server: managed, method: http.MethodPost, revision: legacy, does: "initialize", id: o.next()}, token); s.session == "" {
				o.tb.Errorf("no session: %d %s, %v", s.status, s.body, s.err)
			}
		}
		_, err := client.Revoke(ctx, revoke.Order{Kind: broker.PrincipalMarker, Subject: broker.PrincipalID(o.issuerAt, "user-"+person(i)), By: "p-made-up", Reason: "made up for this run"})
		must(o.tb, err)
	}
	for try := range 12 {
		o.cleanup.quiet()
		if try < 8 {
			o.cleanup.fail(o.r, 8, true)
		}
		within, cancel := context.WithTimeout(ctx, scheduled)
		_, _ = o.cleanup.invoke(within, []byte(`{"task":"continue"}`))
		cancel()
		o.untried()
	}
	left, _, err := o.DB.ScanSessions(ctx, environment, "", broker.MaxScan)
	must(o.tb, err)
	if n = len(o.upstream.over) - before; n != leavers*sessionsOfEach || len(left) > 0 {
		o.tb.Errorf("%d sessions of %d were ended, %d are still known", n, leavers*sessionsOfEach, len(left))
	}
	return n
}

// untried has open cases be due again, as time would.
func (o *others) untried() {
	o.tb.Helper()
	open, err := o.DB.OpenRevocations(o.tb.Context(), environment, broker.MaxPage)
	must(o.tb, err)
	for _, c := range open {
		c.NextTry = time.Now().Add(-time.Second).UTC()
		must(o.tb, o.DB.PutRevocation(o.tb.Context(), c))
	}
}
