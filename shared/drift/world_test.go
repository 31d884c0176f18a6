package drift

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

const prod = "prod"

// vault is a store of secrets, each of which has a fault or none.
type vault struct {
	mu       sync.Mutex
	faults   map[string]error // by path; nil: there is a value
	fault    error            // of all of them
	deleting map[string]time.Time
	changed  map[string]time.Time
	fetched  int
	before   func()
}

func (v *vault) set(path string, fault error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults[path] = fault
}

func (v *vault) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fetched++
	if v.before != nil {
		v.before()
	}
	if err := ctx.Err(); err != nil {
		return broker.Secret{}, fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	if v.fault != nil {
		return broker.Secret{}, v.fault
	}
	switch err, there := v.faults[w.Reference.Path()]; {
	case err != nil:
		return broker.Secret{}, err
	case !there:
		return broker.Secret{}, broker.ErrSecretMissing
	}
	values := map[string]secret.Value{}
	for _, key := range w.Keys {
		values[key] = secret.New("made-up-value-of-a-secret")
	}
	return broker.Secret{Values: values, Version: "v1"}, nil
}

func (v *vault) Inspect(_ context.Context, w broker.Want) (broker.Inspection, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault != nil {
		return broker.Inspection{}, v.fault
	}
	return broker.Inspection{Deleting: v.deleting[w.Reference.Path()], Changed: v.changed[w.Reference.Path()]}, nil
}

// world is an environment with a store and a server, a clock, and a log of facts.
type world struct {
	*testing.T
	db    *memory.DB
	vault *vault
	log   *facts
	clock time.Time
	ids   int
	mu    sync.Mutex
}

// facts is the audit, which can fail.
type facts struct {
	*memory.DB
	mu      sync.Mutex
	records []broker.Record
	fail    func(broker.Record) error // before it is stored
	lose    func(broker.Record) error // after it was
}

func (f *facts) Append(ctx context.Context, r broker.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		if err := f.fail(r); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(f.records, func(o broker.Record) bool { return o.Receipt == r.Receipt && o.Nonce != r.Nonce }) {
		return broker.ErrConflict
	}
	if !slices.ContainsFunc(f.records, func(o broker.Record) bool { return o.Receipt == r.Receipt }) {
		f.records = append(f.records, r)
	}
	if f.lose != nil {
		return f.lose(r)
	}
	return nil
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), vault: &vault{faults: map[string]error{}, deleting: map[string]time.Time{}, changed: map[string]time.Time{}}}
	w.db = memory.New(w.now)
	w.log = &facts{DB: w.db}
	w.must(w.db.PutStore(t.Context(), broker.Store{Environment: prod, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active}))
	w.server("github")
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) id() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	return fmt.Sprintf("01KJMMA2G%017d", w.ids)
}

func (w *world) server(name string) {
	w.Helper()
	w.must(w.db.PutServer(w.Context(), broker.Server{Environment: prod, Name: name, State: broker.Active, Owner: "git-team", URL: "https://" + name + ".example.com/mcp"}))
}

// card makes a card whose secret is there and that was used just now.
func (w *world) card(server, name, path string) broker.Binding {
	w.Helper()
	origin, err := broker.OriginDigest("https://" + server + ".example.com/mcp")
	w.must(err)
	b := broker.Binding{Environment: prod, Server: server, Name: name, State: broker.Active, Actor: broker.Actor{Anyone: true}, Mode: broker.ServiceAccount,
		Source: broker.Static, Owner: "git-team", Origin: origin}
	if path != "" {
		r, err := broker.ParseReference("aws-sm:" + path)
		w.must(err)
		b.Fields = []broker.Field{{Name: "token", Reference: r}}
		if _, there := w.vault.faults[r.Path()]; !there {
			w.vault.set(r.Path(), nil)
		}
	}
	w.must(w.db.PutBinding(w.Context(), b))
	b.Version++
	w.used(b, "v1")
	return b
}

// used records a call of a card in the index, with the version of its secret.
func (w *world) used(b broker.Binding, version string) {
	w.Helper()
	receipt := broker.FirstReceipt(w.now())[:10] + w.id()[10:]
	w.must(w.db.IndexRecords(w.Context(), []broker.Record{{Schema: broker.RecordSchema, Receipt: receipt, Phase: broker.Outcome, Nonce: w.id(), At: w.now(),
		Environment: prod, Server: b.Server, Binding: b.Name, Principal: "p-alice", Action: broker.CallTool, Accesses: []broker.Access{{Reference: "aws-sm:prod/" + b.Name, Version: version}}}}))
}

func (w *world) scanner() *Scanner {
	stores := credential.NewStatic(map[string]broker.SecretStore{"aws-sm": w.vault}, func(secret.Value) error { return nil })
	return &Scanner{Environment: prod, Catalogue: w.db, Uses: w.db, Evidence: w.db, Grants: w.db, Rotations: w.db, Notices: w.db, Scans: w.db,
		Markers: w.db, Source: stores, Inspector: stores, Journal: broker.NewJournal(w.log, w.id), Now: w.now, Receipt: w.id}
}

// scan runs one whole round.
func (w *world) scan() Report {
	w.Helper()
	r, err := w.scanner().Run(w.Context())
	w.must(err)
	if !r.Done {
		w.Fatalf("not done: %+v", r)
	}
	return r
}

// told gives the facts since the last call, as "notice.opened kind subject".
func (w *world) told() []string {
	w.Helper()
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	list := []string{}
	for _, r := range w.log.records {
		var d struct {
			Detail
			What string
		}
		w.must(json.Unmarshal([]byte(r.After), &d))
		line := strings.TrimPrefix(r.Method, "notice.") + " " + string(d.Kind) + d.What + " " + r.Object
		if d.Further != nil {
			line = fmt.Sprintf("%s %v", line, d.Further)
		}
		list = append(list, line)
	}
	w.log.records = nil
	slices.Sort(list)
	return list
}

// open gives the notices that are open, as "kind subject".
func (w *world) open() []string {
	w.Helper()
	list := []string{}
	for after := ""; ; {
		found, next, err := w.db.NoticesOf(w.Context(), prod, after, broker.MaxPage)
		w.must(err)
		for _, n := range found {
			if n.State.IsOpen() {
				list = append(list, string(n.Kind)+" "+n.Subject)
			}
		}
		if after = next; after == "" {
			slices.Sort(list)
			return list
		}
	}
}

func (blind) Usages(context.Context, string, []broker.Binding) (map[string]broker.Usage, error) {
	return nil, errBlind
}
