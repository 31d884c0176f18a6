package rotate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

// crash is what happens to the effect with the wanted number.
type crash int

const (
	never  crash = iota
	before       // the process dies, and the effect did not happen
	after        // it happened, and the process dies
	lost         // it happened, and the answer was lost; the process lives
)

// world is everything that an engine works with, and counts its effects.
type world struct {
	*testing.T
	db  *memory.DB
	now time.Time

	mu     sync.Mutex
	count  int // effects so far
	at     int // the one to crash at
	how    crash
	dead   bool
	faults map[string]error  // that an effect always meets
	then   map[string]func() // what somebody else does after an effect, once

	accepted map[string]bool // values that the upstream takes
	shelf    shelf
	probes   []string // values that were shown to the upstream
	refuses  broker.Reason
	facts    []broker.Record
	reported []error
}

// shelf is one secret in a store that can stage.
type shelf struct {
	current, previous string
	staged            map[string]string
	promoted          string
}

const environment = "prod"

var (
	token    = mustParse("aws-sm:prod/github#token")
	newToken = mustParse("aws-sm:prod/other#token")
	route    = broker.Route{Environment: environment, Server: "github"}
	errDead  = fmt.Errorf("the process is dead: %w", broker.ErrUnavailable)
)

func mustParse(s string) broker.Reference {
	r, err := broker.ParseReference(s)
	if err != nil {
		panic(err)
	}
	return r
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), faults: map[string]error{}, then: map[string]func(){},
		accepted: map[string]bool{"made-up-first": true, "made-up-other": true}, shelf: shelf{current: "made-up-first", staged: map[string]string{}}}
	w.db = memory.New(func() time.Time { return w.now })
	origin, err := broker.OriginDigest("https://mcp.example.com/mcp")
	w.must(err)
	w.must(w.db.PutEnvironment(t.Context(), broker.Environment{Name: environment, State: broker.Active}))
	w.must(w.db.PutStore(t.Context(), broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active}))
	w.must(w.db.PutServer(t.Context(), broker.Server{Environment: environment, Name: "github", State: broker.Active, Owner: "git",
		URL: "https://mcp.example.com/mcp", Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}))
	w.must(w.db.PutBinding(t.Context(), broker.Binding{Environment: environment, Server: "github", Name: "dev", State: broker.Active, Owner: "git",
		Actor: broker.Actor{Anyone: true}, Mode: broker.ServiceAccount, Source: broker.Static, Origin: origin,
		Fields: []broker.Field{{Name: "token", Reference: token}}}))
	w.must(w.db.PutProvider(t.Context(), broker.Provider{Environment: environment, Name: "idp", State: broker.Active, Issuer: "https://idp.example.com",
		Registration: broker.Preregistered, ClientID: "bindery", ClientSecret: token, ClientAuth: broker.ClientSecretBasic}))
	w.must(w.db.PutRotationPlan(t.Context(), broker.RotationPlan{Environment: environment, Name: "plan", State: broker.Active, Owner: "git", Reference: token,
		Maker: broker.MakeByRecipe, Every: 24 * time.Hour, Grace: time.Hour, Server: "github", Binding: "dev", Origin: origin,
		Recipe: broker.Recipe{Value: "/v", Keep: "/k", Issue: broker.RecipeCall{Method: "POST", URL: "https://mcp.example.com/keys"}}}))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// engine is a new process.
func (w *world) engine() *Engine {
	tables := tables{w.db, w}
	return &Engine{Parts{Environment: environment, Runs: tables, Plans: tables, Catalogue: tables, Cards: tables, Providers: w.db, Markers: tables,
		Source: source{w}, Stores: map[string]broker.StagingStore{"aws-sm": store{w}},
		Makers: map[broker.MakerKind]broker.ValueMaker{broker.MakeByRecipe: maker{w}, broker.MakeClientSecret: maker{w}}, Prober: prober{w}, Sealer: sealer{w},
		Journal: broker.NewJournal(tables, rand.Text),
		SignIn:  func(broker.Store, []broker.Store) func(context.Context) (secret.Value, error) { return nil },
		Check:   func(secret.Value) error { return nil }, Now: w.clock, Holder: rand.Text,
		ID:     func(at time.Time) string { return ulid.MustNew(ulid.Timestamp(at), rand.Reader).String() },
		Report: func(_ broker.Rotation, err error) { w.mu.Lock(); w.reported = append(w.reported, err); w.mu.Unlock() }}}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// effect is one change of something outside of the engine.
func (w *world) effect(what string, apply func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errDead
	}
	w.count++
	now := w.count == w.at
	if now && w.how == before {
		w.dead = true
		return errDead
	}
	err := w.faults[what]
	if err == nil {
		err = apply()
	}
	if !w.accepted[w.shelf.current] {
		w.Errorf("after effect %d (%s) calls get a value that the upstream does not take", w.count, what)
	}
	if do := w.then[what]; do != nil && err == nil {
		delete(w.then, what)
		do()
	}
	switch {
	case now && w.how == after:
		w.dead = true
		return errDead
	case now && w.how == lost:
		return fmt.Errorf("the answer was lost: %w", broker.ErrUnavailable)
	}
	return err
}

// alive fails where the process is dead.
func (w *world) alive() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errDead
	}
	return nil
}

// tables are the rows, reached by a process that may die.
type tables struct {
	*memory.DB
	w *world
}

func (s tables) BeginRotation(ctx context.Context, r broker.Rotation) error {
	return s.w.effect("begin", func() error { return s.DB.BeginRotation(ctx, r) })
}

func (s tables) PutRotation(ctx context.Context, r broker.Rotation) error {
	return s.w.effect("put", func() error { return s.DB.PutRotation(ctx, r) })
}

func (s tables) PutMarker(ctx context.Context, m broker.Marker) error {
	return s.w.effect("marker", func() error { return s.DB.PutMarker(ctx, m) })
}

func (s tables) PutBinding(ctx context.Context, b broker.Binding) error {
	return s.w.effect("card", func() error { return s.DB.PutBinding(ctx, b) })
}

func (s tables) Append(ctx context.Context, r broker.Record) error {
	return s.w.effect("tell", func() error {
		err := s.DB.Append(ctx, r)
		known := slices.ContainsFunc(s.w.facts, func(f broker.Record) bool { return f.Receipt == r.Receipt })
		if err == nil && !known {
			s.w.facts = append(s.w.facts, r)
		}
		return err
	})
}

func (s tables) Rotation(ctx context.Context, environment, subject string) (broker.Rotation, error) {
	if err := s.w.alive(); err != nil {
		return broker.Rotation{}, err
	}
	return s.DB.Rotation(ctx, environment, subject)
}

func (s tables) RotationPlan(ctx context.Context, environment, name string) (broker.RotationPlan, error) {
	if err := s.w.alive(); err != nil {
		return broker.RotationPlan{}, err
	}
	return s.DB.RotationPlan(ctx, environment, name)
}

func (s tables) Snapshot(ctx context.Context, l broker.Lookup) (broker.Snapshot, error) {
	if err := s.w.alive(); err != nil {
		return broker.Snapshot{}, err
	}
	return s.DB.Snapshot(ctx, l)
}

func (s tables) Binding(ctx context.Context, r broker.Route, name string) (broker.Binding, error) {
	if err := s.w.alive(); err != nil {
		return broker.Binding{}, err
	}
	return s.DB.Binding(ctx, r, name)
}

// latest is the subject's latest run.
func (w *world) latest(subject string) broker.Rotation {
	w.Helper()
	r, err := w.db.Rotation(w.Context(), environment, subject)
	if err != nil && !errors.Is(err, broker.ErrNotFound) {
		w.Fatal(err)
	}
	return r
}

// live lets one process after the other go on, as the schedule starts them,
// until a run of the subject after this one has ended.
func (w *world) live(subject, previous string) broker.Rotation {
	w.Helper()
	for range 200 {
		_, err := w.engine().Run(w.Context())
		w.mu.Lock()
		died := w.dead
		w.dead = false
		w.mu.Unlock()
		if err != nil && !died && !errors.Is(err, broker.ErrUnavailable) {
			w.Fatal(err)
		}
		if r := w.latest(subject); r.Step.Ended() && r.ID != previous {
			return r
		}
		w.wait(6 * time.Minute)
	}
	w.Fatalf("the run hangs: %+v", w.latest(subject))
	return broker.Rotation{}
}

// story is what was told of a run, in order.
func (w *world) story(id string) (told []string) {
	for _, f := range w.facts {
		if strings.Contains(f.After, id) {
			told = append(told, f.Method)
		}
	}
	return told
}
