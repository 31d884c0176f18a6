package broker

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Parts are what a Broker is made of. All are required.
type Parts struct {
	Catalogue Catalogue
	Markers   MarkerReader
	Audit     AuditLog
	Sources   map[SourceKind]Source
	Rules     Rules // a set of policies that an environment names is unreadable without them
	Now       func() time.Time
	Nonce     func() string   // unpredictable, 128 bits or more, as printable ASCII
	Status    func(error) int // the HTTP status that the caller gets for a fault, for the record

	Quotas     Quotas
	Allowances Allowances
	StreamTime time.Duration // how long a lasting stream can hold its places
}

// Broker takes calls through the doors. It is safe for concurrent use and
// keeps nothing that another process would need.
type Broker struct {
	catalogue Catalogue
	markers   MarkerReader
	sources   map[SourceKind]Source
	rules     Rules
	now       func() time.Time
	journal   *Journal
	budget    *Budget
	status    func(error) int

	quotas     Quotas
	allowances Allowances
	streamTime time.Duration
	spent      spent
	unrecorded atomic.Int64
}

// New makes a Broker with a journal of its own.
func New(p Parts) *Broker {
	return &Broker{
		catalogue: p.Catalogue,
		markers:   p.Markers,
		sources:   p.Sources,
		rules:     p.Rules,
		now:       p.Now,
		journal:   NewJournal(p.Audit, p.Nonce),
		budget:    &Budget{},
		status:    p.Status,

		quotas:     p.Quotas,
		allowances: p.Allowances,
		streamTime: p.StreamTime,
	}
}

// ErrUnrecorded means the audit intent could not be stored, so the credential
// was not released.
var ErrUnrecorded = errors.New("the call could not be recorded")

// ErrUnsettled means that the outcome of a call without a credential could not be
// stored: its intent stands alone.
var ErrUnsettled = errors.New("the outcome could not be recorded")

// Decide judges a call. A *Refusal is already recorded (within the refusal
// budget of the principal) when Decide returns; a record that could not be
// stored changes nothing about the refusal.
func (b *Broker) Decide(ctx context.Context, c Call) (*Decision, error) {
	d, err := b.decide(ctx, c)
	if err == nil {
		err = b.overLimit(d)
	}
	if err != nil {
		b.recordRefusal(ctx, d, reasonOf(err), b.status(err))
		return nil, err
	}
	return d, nil
}

// Explain judges a call as Decide and Obtain would and records nothing: no
// secret is touched, no quota counted, nobody called. With a refusal the Decision
// says how far it got.
func (b *Broker) Explain(ctx context.Context, c Call) (*Decision, error) {
	d, err := b.decide(ctx, c)
	if err == nil {
		err = b.readHolds(ctx, d).released(nil)
	}
	return d, err
}

// Release is a credential that may be used for one call, because its intent is
// in the audit log. Settle must follow.
type Release struct {
	Decision   *Decision
	Credential Credential

	places []Place
}

// Obtain stores the intent, counts the call against its quotas, reads whether
// what the credential comes from is revoked, and fetches it, all side by side, and
// returns when all are done. Without a stored intent it fails with ErrUnrecorded
// and the credential is dropped; over a limit, with something revoked or without a
// credential the outcome is recorded and the fault returned, with ErrUnsettled
// where that could not be stored. If this took longer than DecisionLife the call is
// decided again, and anything but the very same permit is a refusal.
func (b *Broker) Obtain(ctx context.Context, d *Decision) (*Release, error) {
	recorded, holds := b.recordIntent(ctx, d), b.readHolds(ctx, d)
	release, claimed := &Release{Decision: d}, make(chan error, 1)
	if d.counts() {
		go func() {
			var err error
			release.places, err = b.claim(ctx, d)
			claimed <- err
		}()
	} else {
		claimed <- nil
	}
	credential, fault := b.obtain(ctx, d, recorded, holds)
	release.Credential.Access = credential.Access // recorded even where nothing is released
	if err := <-claimed; err != nil {
		fault = err
	}
	fault = holds.released(fault)
	<-recorded.done
	if err := recorded.err; err != nil {
		b.giveBack(ctx, release.places)
		// The intent may have been stored although we were told otherwise. An
		// outcome, if that can be stored, says that nothing was released.
		last := b.outcome(release, Result{Reason: IntentUnrecordable, Status: b.status(ErrUnrecorded)})
		return nil, errors.Join(ErrUnrecorded, err, b.store(ctx, lastWordTime, last))
	}
	if fault == nil && b.now().Sub(d.Began) > DecisionLife {
		fault = b.decideAgain(ctx, d)
	}
	if fault == nil {
		release.Credential = credential
		return release, nil
	}
	if err := b.Settle(ctx, release, Result{Reason: reasonOf(fault), Status: b.status(fault)}); err != nil {
		fault = errors.Join(fault, ErrUnsettled, err)
	}
	return nil, fault
}

// decideAgain repeats the reads of an outdated decision and holds the result
// against it.
func (b *Broker) decideAgain(ctx context.Context, d *Decision) error {
	began := b.now()
	if err := b.Recheck(ctx, d); err != nil {
		return err
	}
	if b.now().Sub(began) > DecisionLife {
		return refuse(DecisionOutdated)
	}
	return nil
}

// Recheck decides a call that is under way once more. Anything but the very
// same permit is a *Refusal; one whose reason is CatalogueUnread says only that
// nothing could be read.
func (b *Broker) Recheck(ctx context.Context, d *Decision) error {
	call := d.Call
	call.Lists = false // what a list may show is not asked again
	again, err := b.decide(ctx, call)
	if err != nil {
		return err
	}
	if again.Binding.Name != d.Binding.Name || again.Binding.Version != d.Binding.Version || again.Server.Version != d.Server.Version {
		return refuse(DecisionOutdated)
	}
	return b.readHolds(ctx, again).released(nil)
}

// Result is how a call ended.
type Result struct {
	Reason   Reason // empty: the upstream's answer was relayed
	Status   int    // HTTP status the caller got
	Upstream int    // HTTP status of the upstream, 0 if it never answered
	Masked   int    // occurrences of secrets taken out of the answer
	Session  string // digest of the legacy session that the answer began, or empty
}

// SettleTime bounds the write of a record. Records are written to the end even
// when the caller is gone: no write ends with the caller's context.
const SettleTime = 5 * time.Second

// lastWordTime bounds the attempt to close an intent of unknown fate.
const lastWordTime = time.Second

// Settle stores the outcome. It is called once for each Release, also when the
// caller is gone: its write does not end with the caller's context.
func (b *Broker) Settle(ctx context.Context, r *Release, result Result) error {
	if len(r.places) > 0 {
		var freed sync.WaitGroup
		freed.Go(func() { b.giveBack(ctx, r.places) })
		defer freed.Wait()
	}
	return b.store(ctx, SettleTime, b.outcome(r, result))
}

func (b *Broker) outcome(r *Release, result Result) Record {
	record := b.record(r.Decision, Outcome)
	record.Reason, record.Status, record.Upstream, record.Masked = result.Reason, result.Status, result.Upstream, result.Masked
	record.Accesses = r.Credential.Access
	if result.Session != "" {
		record.Session = result.Session
	}
	record.LatencyMS = b.now().Sub(r.Decision.Began).Milliseconds()
	return record
}

// store appends a record within a time of its own.
func (b *Broker) store(ctx context.Context, within time.Duration, r Record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	return b.journal.Append(ctx, r)
}

// record fills what intent, outcome and refusal have in common. Nothing a
// caller sends can make it too large to be stored.
func (b *Broker) record(d *Decision, phase Phase) Record {
	c, card := &d.Call, &d.Binding
	target := c.Target
	if c.Action == ReadResource && target != "" || len(target) > MaxID {
		target = Digest("target", target)
	}
	candidates := d.Candidates[:min(len(d.Candidates), maxCandidates)]
	r := Record{
		Schema: RecordSchema, Receipt: c.Receipt, Phase: phase, At: b.now().UTC(), RequestID: c.RequestID,
		Environment: c.Route.Environment, Server: c.Route.Server, Origin: card.Origin, Issuers: c.Issuers,
		Principal: c.Principal.ID, Kind: c.Principal.Kind, Agent: c.Principal.Agent, Session: c.Session,
		Era: c.Era, Method: c.Method, Action: c.Action, Target: target, MessageID: c.MessageID,
		Binding: card.Name, BindingVersion: card.Version, Mode: card.Mode, Source: card.Source,
		Named: c.BindingName, Candidates: candidates, DecidedAt: d.Began.UTC().Format(time.RFC3339Nano),
		Policy: cmp.Or(d.Policy, noPolicies), Policies: deciding(d.Policies), Shadow: d.Shadow.recorded(),
	}
	for _, f := range card.Fields {
		r.References = append(r.References, f.Name+"="+f.Reference.String())
	}
	return r
}

// maxCandidates is how many candidates a record names, best first.
const maxCandidates = 32

// Refuse records a call of an authenticated principal that was turned away
// outside of Decide, because it is no call or its session is not the caller's.
// It obeys the refusal budget. status is what the caller gets.
func (b *Broker) Refuse(ctx context.Context, c Call, reason Reason, status int) {
	b.recordRefusal(ctx, &Decision{Call: c, Began: b.now()}, reason, status)
}

func (b *Broker) recordRefusal(ctx context.Context, d *Decision, reason Reason, status int) {
	suppressed, ok := b.budget.Take(d.Call.Principal.ID, b.now())
	if !ok {
		return
	}
	record := b.record(d, Refused)
	record.Reason, record.Suppressed, record.Status = reason, suppressed, status
	if err := b.store(ctx, SettleTime, record); err != nil {
		b.budget.GiveBack(d.Call.Principal.ID, suppressed)
		b.unrecorded.Add(1)
	}
}

// Unrecorded is how many refusals could not be recorded since it was asked last.
// It changes nothing for whoever was refused, and somebody has to hear of it.
func (b *Broker) Unrecorded() int { return int(b.unrecorded.Swap(0)) }
