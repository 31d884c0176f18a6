package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const upstreamURL = "https://api.example.com/mcp"

// world is a catalogue of one decision, an audit log and a source, all in
// hand's reach of a test.
type world struct {
	snapshot broker.Snapshot
	readErr  error
	reads    int

	mu       sync.Mutex
	records  []broker.Record
	auditErr func(broker.Record) error

	rules broker.Rules // nil: none are joined

	obtain    func() (broker.Credential, error)
	attachErr error
	now       time.Time
	nonces    int

	markers       []broker.Marker
	markerErr     error
	marked        []broker.MarkerKey // that were asked for
	beforeMarkers func()

	lookup     broker.Lookup // of the last read
	allowances broker.Allowances
	counted    []string // subjects
	spent      string   // a subject that is over its limit
	quotaErr   error
	freed      []string
}

func (w *world) Snapshot(_ context.Context, l broker.Lookup) (broker.Snapshot, error) {
	w.reads++
	w.lookup = l
	return w.snapshot, w.readErr
}

func (w *world) Markers(_ context.Context, _ string, keys []broker.MarkerKey) (found []broker.Marker, _ error) {
	if w.beforeMarkers != nil {
		w.beforeMarkers()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marked = append(w.marked, keys...)
	for _, m := range w.markers {
		if slices.Contains(keys, m.Key()) {
			found = append(found, m)
		}
	}
	return found, w.markerErr
}

func (w *world) Append(_ context.Context, r broker.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.auditErr != nil {
		if err := w.auditErr(r); err != nil {
			return err
		}
	}
	w.records = append(w.records, r)
	return nil
}

func (w *world) Obtain(context.Context, broker.Ask) (broker.Credential, error) { return w.obtain() }

func (w *world) CountCall(_ context.Context, q broker.Quota, _ time.Time) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted = append(w.counted, q.Subject)
	return q.Subject != w.spent, w.quotaErr
}

func (w *world) TakePlace(ctx context.Context, q broker.Quota, holder string, now, _ time.Time) (broker.Place, bool, error) {
	free, err := w.CountCall(ctx, q, now)
	return broker.Place{Quota: q, Holder: holder}, free, err
}

func (w *world) FreePlace(_ context.Context, p broker.Place) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.freed = append(w.freed, p.Quota.Subject)
	return nil
}

func (w *world) broker() *broker.Broker {
	return broker.New(broker.Parts{
		Catalogue: w, Markers: w, Audit: w, Sources: map[broker.SourceKind]broker.Source{broker.Static: w},
		Rules: w.rules, Now: func() time.Time { return w.now },
		Status: func(error) int { return 499 }, Quotas: w, Allowances: w.allowances, StreamTime: time.Minute,
		Nonce: func() string { w.nonces++; return fmt.Sprintf("nonce-%d", w.nonces) },
	})
}

// phases lists what was recorded, as "phase:reason".
func (w *world) phases() string {
	text := ""
	for _, r := range w.records {
		text += fmt.Sprintf("%s:%s ", r.Phase, r.Reason)
	}
	return text
}

func newWorld() *world {
	return &world{
		now: start,
		snapshot: broker.Snapshot{
			Environment: &broker.Environment{Name: "prod", State: broker.Active},
			Stores:      []broker.Store{{Environment: "prod", Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active}},
			Server: &broker.Server{Environment: "prod", Name: "github", Version: 3, State: broker.Active, Owner: "platform", URL: upstreamURL,
				Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}},
		},
		obtain: func() (broker.Credential, error) {
			return broker.Credential{Fields: map[string]secret.Value{"token": secret.New("canary-value-0123456789")},
				Access: []broker.Access{{Reference: "aws-sm:prod/github", Version: "v7", RequestID: "req-1"}}}, nil
		},
	}
}

func origin(t testing.TB, url string) string {
	t.Helper()
	digest, err := broker.OriginDigest(url)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func reference(t testing.TB, s string) broker.Reference {
	t.Helper()
	r, err := broker.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// card makes an active binding of the fixture's server for an actor.
func card(t testing.TB, name string, actor broker.Actor, change ...func(*broker.Binding)) broker.Binding {
	t.Helper()
	b := broker.Binding{
		Environment: "prod", Server: "github", Name: name, Version: 1, State: broker.Active, Actor: actor,
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static,
		Fields: []broker.Field{{Name: "token", Reference: reference(t, "aws-sm:prod/github#token")}},
		Owner:  "platform", Origin: origin(t, upstreamURL),
	}
	for _, f := range change {
		f(&b)
	}
	return b
}

var alice = broker.Principal{ID: "p-alice", Kind: broker.User, Email: "alice@example.com", Groups: []string{"dev", "ops"}}

// viaAgent is a principal whose call comes through an agent.
func viaAgent(p broker.Principal, agent string, only bool) broker.Principal {
	p.Agent, p.AgentOnly = agent, only
	return p
}

func call(p broker.Principal) broker.Call {
	return broker.Call{Receipt: "01RECEIPT", Route: broker.Route{Environment: "prod", Server: "github"}, Principal: p,
		Action: broker.CallTool, Method: "tools/call", Target: "create_issue"}
}

// wantReason requires a refusal with exactly this reason.
func wantReason(t *testing.T, err error, want broker.Reason) {
	t.Helper()
	var refusal *broker.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Errorf("got %v, want refusal %s", err, want)
	}
}
