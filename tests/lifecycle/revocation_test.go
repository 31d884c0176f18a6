//go:build e2e && !nojava

// Package lifecycle shows that access can be stopped and that secrets can change
// while everybody calls: many processes of the compiled proxy function, tables
// on DynamoDB Local, secrets at moto, upstreams that remember whom they let in.
// It counts calls, and measures how long what is open stays open; it judges no
// time.
//
// Each revocation of every kind is one part of a round; each rotation is one
// iteration. Both are benchmarks, so that `make lifecycle ROUNDS=20 SECONDS=300`
// runs so many of them and `make test` none.
package lifecycle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/revoke"
)

const (
	processes = 20 // that call
	open      = 3  // that have a stream each
)

// subject is what is revoked, and where that stops calls.
type subject struct {
	kind   broker.MarkerKind
	id     string
	server string
	stops  bool
}

// subjects is one of each kind, and before them somebody who does not call: there
// calls go on, and must be counted.
func (v *revocations) subjects() []subject {
	of := func(kind broker.MarkerKind, id, server string) subject { return subject{kind, id, server, true} }
	return []subject{
		{broker.PrincipalMarker, broker.PrincipalID(v.issuer, "user-nobody"), shared, false},
		of(broker.PrincipalMarker, v.principal, shared),
		of(broker.AgentMarker, agent, shared),
		of(broker.SessionMarker, broker.Digest("session", v.sessions[shared]), shared),
		of(broker.GroupMarker, "staff", shared),
		of(broker.IssuerMarker, v.issuer, shared),
		of(broker.ServerMarker, shared, shared),
		of(broker.BindingMarker, shared+"/staff-"+shared, shared),
		of(broker.StoreMarker, "aws-sm", shared),
		of(broker.ReferenceMarker, "aws-sm:"+environment+"/"+shared, shared),
		of(broker.GrantMarker, v.principal+"/"+own, own),
		of(broker.EnvironmentMarker, environment, own),
		of(broker.EverythingMarker, environment, own),
	}
}

const (
	shared = "shared" // a server with one credential for everybody
	own    = "own"    // one where people are themselves
)

// revocations is a world under load, and what was seen so far.
type revocations struct {
	*world
	upstreams map[string]*upstream
	sessions  map[string]string
	callers   []*runtimeapi.Function
	listeners []*runtimeapi.Function
	revoker   revoke.Client

	revoked, admitted, streams int
	calls                      atomic.Int64
	longest                    time.Duration
}

func newRevocations(tb testing.TB) *revocations {
	v := &revocations{world: newWorld(tb), upstreams: map[string]*upstream{}, sessions: map[string]string{}}
	key := "made-up-key-of-everybody"
	must(tb, v.PutSecret(tb.Context(), environment+"/"+shared, key))
	u := newUpstream()
	u.accept(map[string]string{key: "none"})
	v.upstreams[shared] = u
	v.upstream(shared, u)
	v.static(shared, shared, func(*broker.Binding) {})
	theirs := newUpstream()
	theirs.accept(map[string]string{v.personal(own, v.upstream(own, theirs)): "none"})
	v.upstreams[own] = theirs
	revoker := v.start("revocation", 1)[0]
	v.revoker.Invoke = func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := revoker.Invoke(ctx, request)
		if err != nil {
			return nil, err
		}
		return response.Raw, nil
	}
	v.callers, v.listeners = v.start("proxy", processes), v.start("proxy", open)
	for server := range v.upstreams {
		v.sessions[server] = v.session(v.callers[0], server)
	}
	for _, s := range v.subjects() {
		v.works(s.server)
	}
	return v
}

// works makes sure that every process calls a server with success.
func (v *revocations) works(server string) {
	v.tb.Helper()
	event := v.event(toolCall(server, v.sessions[server], "anything"))
	var all sync.WaitGroup
	for _, f := range v.callers {
		all.Go(func() {
			if o, _, _ := v.patiently(f, event); o != worked {
				v.tb.Errorf("a call of %s that nothing forbids: %s", server, o)
			}
		})
	}
	all.Wait()
	if v.tb.Failed() {
		v.tb.FailNow()
	}
}

// revoke has a subject revoked, and says which case that is and when it was
// acknowledged.
func (v *revocations) revoke(s subject) (id string, acknowledged time.Time) {
	v.tb.Helper()
	a, err := v.revoker.Revoke(v.tb.Context(), revoke.Order{Kind: s.kind, Subject: s.id, By: "p-made-up", Reason: "made up for this run"})
	acknowledged = time.Now()
	must(v.tb, err)
	if a.Already || !a.Revoked {
		v.tb.Fatalf("%s: acknowledged as %+v", s.kind, a)
	}
	return a.Case, acknowledged
}

// lift takes a case back.
func (v *revocations) lift(id string) {
	v.tb.Helper()
	_, err := v.revoker.Lift(v.tb.Context(), revoke.Lifting{Case: id, By: "p-made-up", Reason: "made up for this run"})
	must(v.tb, err)
}

func BenchmarkRevocation(b *testing.B) {
	v := newRevocations(b)
	for b.Loop() {
		for _, s := range v.subjects() {
			v.round(s)
		}
	}
	fmt.Printf("lifecycle: %d calls admitted after an acknowledged revocation (%d revocations, %d calls of %d processes)\n",
		v.admitted, v.revoked, v.calls.Load(), processes)
	fmt.Printf("lifecycle: %.1f s at most from an acknowledged revocation to the end of an open stream (%d streams)\n", v.longest.Seconds(), v.streams)
}

// round revokes a subject at a random moment while everybody calls, and looks for
// calls that got through although they were decided afterwards. Then the
// revocation is lifted.
func (v *revocations) round(s subject) {
	v.tb.Helper()
	streams := v.open(s)
	d := v.load(s.server)
	time.Sleep(300*time.Millisecond + rand.N(3*time.Second)) // longer than the time between two looks at what is open
	d.shown(&d.worked, time.Time{})
	id, acknowledged := v.revoke(s)
	longest := v.await(s, streams, acknowledged)
	time.Sleep(time.Until(acknowledged.Add(time.Second)))
	if s.stops {
		d.shown(&d.refused, acknowledged)
	} else {
		d.shown(&d.worked, acknowledged)
	}
	close(d.stop)
	d.calls.Wait()
	admitted := max(v.admittedAfter(s, acknowledged), after(d.worked, acknowledged))
	before, refused := len(d.worked)-after(d.worked, acknowledged), after(d.refused, acknowledged)
	switch {
	case len(d.wrong) > 1 || len(d.wrong) == 1 && d.wrong[slow] == 0:
		v.tb.Errorf("%s: calls came to %v", s.kind, d.wrong)
	case s.stops && (before == 0 || refused == 0):
		v.tb.Errorf("%s: %d calls worked before it was revoked, %d were refused afterwards: nothing is shown", s.kind, before, refused)
	case !s.stops && admitted == 0:
		v.tb.Error("calls that nobody forbade were not counted: nothing is shown")
	case s.stops && admitted > 0:
		v.tb.Errorf("%s: %d calls were admitted after its revocation was acknowledged", s.kind, admitted)
	}
	v.lift(id)
	v.works(s.server)
	what := string(s.kind)
	if s.stops {
		v.revoked, v.admitted, v.longest, v.streams = v.revoked+1, v.admitted+admitted, max(v.longest, longest), v.streams+len(streams)
	} else {
		what = "somebody else's " + what + ", to see that calls are counted"
	}
	progress("%s: %d calls worked before, %d were refused afterwards, %d admitted; %.1f s to the end of %d streams",
		what, before, refused, admitted, longest.Seconds(), len(streams))
}

// admittedAfter counts what the upstream let in since, and whose decision had
// begun since as well, by the call's own record.
func (v *revocations) admittedAfter(s subject, acknowledged time.Time) (n int) {
	v.tb.Helper()
	for _, receipt := range v.upstreams[s.server].since(acknowledged) {
		records, err := v.Audit(v.tb.Context(), receipt)
		must(v.tb, err)
		if len(records) == 0 {
			v.tb.Errorf("%s: the upstream let in a call without a record", s.kind)
			continue
		}
		decided, err := time.Parse(time.RFC3339Nano, records[0].DecidedAt)
		must(v.tb, err)
		if decided.After(acknowledged) {
			n++
		}
	}
	return n
}

// open opens one stream of each sort that the subject stops.
func (v *revocations) open(s subject) (streams []stream) {
	session := v.sessions[s.server]
	all := []asking{listening(s.server, session), toolCall(s.server, session, "wait"), subscription(s.server)}
	switch {
	case !s.stops:
		all = nil
	case s.kind == broker.SessionMarker:
		all = all[:2] // the third belongs to none
	}
	for i, a := range all {
		streams = append(streams, v.listen(v.listeners[i], a))
	}
	return streams
}

// await waits for the end of every stream, and gives the longest time that one
// took.
func (v *revocations) await(s subject, streams []stream, acknowledged time.Time) (longest time.Duration) {
	v.tb.Helper()
	limit := time.After(time.Minute)
	for _, one := range streams {
		select {
		case ended := <-one.ended:
			longest = max(longest, ended.Sub(acknowledged))
		case <-limit:
			v.tb.Fatalf("%s was revoked a minute ago, and %s is still open", s.kind, one.what)
		}
	}
	return longest
}
