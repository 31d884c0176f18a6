package drift

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"bindery/shared/broker"
)

// Scanner goes through everything that cards rest on, in rounds: one run goes as
// far as its time lets it, and the next goes on. It is safe for concurrent use;
// of several at once one works.
type Scanner struct {
	Environment string
	Catalogue   broker.CatalogueReader
	Uses        broker.Uses
	Evidence    Evidence
	Grants      broker.GrantScanner
	Rotations   broker.Rotations
	Notices     broker.Notices
	Scans       broker.Scans
	Markers     interface {
		broker.Markers
		broker.MarkerReader
	}
	Source    broker.Source
	Inspector Inspector
	Journal   *broker.Journal
	Now       func() time.Time
	Receipt   func() string
}

// Evidence is what the audit index says of uses.
type Evidence interface {
	Ages
	Usages(ctx context.Context, environment string, of []broker.Binding) (map[string]broker.Usage, error)
}

// Report is what a run did.
type Report struct {
	Looked  int  `json:"looked"`           // references, cards and grants
	Changed int  `json:"changed"`          // notices that opened or closed
	Open    int  `json:"open"`             // notices that are open
	Done    bool `json:"done"`             // false: the next run goes on
	Busy    bool `json:"busy"`             // another run is at work
	Unread  int  `json:"unread,omitempty"` // parts with a row that cannot be read: nothing of them closes
}

// hold is how long a run that died keeps others out. No run takes longer.
const hold = 15 * time.Minute

// run is one run under way.
type run struct {
	*Scanner
	row    broker.Scan
	keeper *Keeper
	stores []broker.Store
	eye    *Eye
	reach  Reach
	looked int
	unread int

	reachOf string // the store that reach is of
}

// Run goes on with the round under way, or begins one.
func (s *Scanner) Run(ctx context.Context) (Report, error) {
	row, err := s.take(ctx)
	switch {
	case errors.Is(err, broker.ErrConflict):
		return Report{Busy: true}, nil
	case err != nil:
		return Report{}, err
	}
	r := &run{Scanner: s, row: row}
	now := func() time.Time { return later(s.Now(), r.row.Begun) }
	r.keeper = s.keeper(now)
	r.keeper.Told = row.Told
	done, err := r.through(ctx)
	if err != nil && ctx.Err() != nil {
		err = nil // its time was over: the next run goes on
	}
	done = done && err == nil
	err = errors.Join(err, settle(ctx, r.keeper.Finish), settle(ctx, func(ctx context.Context) error { return r.leave(ctx, done) }))
	return Report{r.looked, r.keeper.Changes, len(r.keeper.open), done && err == nil, false, r.unread}, err
}

// settle brings something to its end though the time of the run is over.
func settle(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	return do(ctx)
}

func (s *Scanner) keeper(now func() time.Time) *Keeper {
	return &Keeper{Notices: s.Notices, Journal: s.Journal, Environment: s.Environment, Now: now, Receipt: s.Receipt}
}

// take takes the round for this run, and begins one where none is under way. A
// round never begins before what the one before saw, though the clock went back.
func (s *Scanner) take(ctx context.Context) (broker.Scan, error) {
	row, err := s.Scans.Scan(ctx, s.Environment)
	if err != nil && !errors.Is(err, broker.ErrNotFound) {
		return row, err
	}
	now := s.Now().UTC()
	if row.Holder != "" && now.Before(row.HeldUntil) && row.HeldUntil.Sub(now) <= hold {
		return row, broker.ErrConflict
	}
	row.Environment, row.Holder, row.HeldUntil = s.Environment, s.Receipt(), now.Add(hold)
	if row.Phase == "" {
		row.Begun, row.Phase, row.After, row.Told, row.Unknown = later(now, row.Ended.Add(1)), firstPhase, "", 0, nil
	}
	if err := s.Scans.PutScan(ctx, row); err != nil {
		return row, err
	}
	row.Version++
	return row, nil
}

// leave stores where the next run goes on, and lets it.
func (r *run) leave(ctx context.Context, done bool) error {
	r.row.Holder, r.row.HeldUntil, r.row.Told = "", time.Time{}, r.keeper.Told
	if done {
		r.row.Phase, r.row.After, r.row.Ended = "", "", later(r.Now(), r.row.Begun)
	}
	return r.Scans.PutScan(ctx, r.row)
}

// came stores how far the run has come: one that dies is gone on with there.
func (r *run) came(ctx context.Context, phase, after string) error {
	r.row.Phase, r.row.After, r.row.Told = phase, after, r.keeper.Told
	if err := r.Scans.PutScan(ctx, r.row); err != nil {
		return err
	}
	r.row.Version++
	return nil
}

// The phases of a round, in their order. That of references is one per store.
const (
	referencePhase = "references"
	firstPhase     = referencePhase
	cardPhase      = "cards"
	grantPhase     = "grants"
	rotationPhase  = "rotations"
	sweepPhase     = "sweep"
)

// through goes through the phases until the round is done or the time is over.
func (r *run) through(ctx context.Context) (done bool, err error) {
	if err := r.keeper.Load(ctx); err != nil {
		return false, err
	}
	if r.stores, err = r.liveStores(ctx); err != nil {
		return false, err
	}
	r.eye = &Eye{Cards: r.Catalogue, Source: r.Source, Inspector: r.Inspector, Stores: r.stores, Now: r.keeper.Now}
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		var next, after string
		phase, store, _ := strings.Cut(r.row.Phase, "/")
		switch phase {
		case referencePhase:
			next, after, err = r.references(ctx, store)
		case cardPhase:
			next, after, err = r.cards(ctx)
		case grantPhase:
			next, after, err = r.grants(ctx)
		case rotationPhase:
			next, err = sweepPhase, r.rotations(ctx)
		default:
			return true, r.sweep(ctx)
		}
		if unreadable(ctx, err) && phase != sweepPhase {
			next, after, err = r.passOver(phase, store), "", nil
		}
		if err == nil {
			err = r.came(ctx, next, after)
		}
		if err != nil {
			return false, err
		}
	}
}

// unreadable reports whether trying again finds the same: a row that does not
// decode, or that Bindery may not read. No such thing may keep the search from all
// that comes after it, each time anew.
func unreadable(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrConflict)
}

// passOver leaves a phase that cannot be gone through, closes nothing of it, and
// says what comes next.
func (r *run) passOver(phase, store string) (next string) {
	r.unread++
	switch phase {
	case referencePhase:
		i := slices.IndexFunc(r.stores, func(s broker.Store) bool { return s.Name >= store })
		r.unknown("store/" + r.stores[i].Name)
		if i+1 < len(r.stores) {
			return referencePhase + "/" + r.stores[i+1].Name
		}
		return cardPhase
	case cardPhase:
		r.unknown(string(broker.NoticeExpired), string(broker.NoticeExpiring), string(broker.NoticeUnused))
		return grantPhase
	case grantPhase:
		r.unknown(string(broker.NoticeDying))
		return rotationPhase
	default:
		r.unknown(string(broker.NoticeRotation))
		return sweepPhase
	}
}

// unknown notes what this round could not look at.
func (r *run) unknown(parts ...string) {
	for _, part := range parts {
		if !slices.Contains(r.row.Unknown, part) {
			r.row.Unknown = append(r.row.Unknown, part)
		}
	}
}

func (s *Scanner) liveStores(ctx context.Context) (live []broker.Store, err error) {
	all, err := broker.AllStores(ctx, s.Catalogue, s.Environment)
	live = slices.DeleteFunc(all, func(v broker.Store) bool { return v.State != broker.Active })
	slices.SortFunc(live, func(a, b broker.Store) int { return strings.Compare(a.Name, b.Name) })
	return live, err
}

// sweep closes what this round did not find, unless it could not look.
func (r *run) sweep(ctx context.Context) error {
	for _, n := range r.keeper.all() {
		if !n.Seen.Before(r.row.Begun) || slices.ContainsFunc(r.row.Unknown, func(part string) bool { return isPart(n, part) }) {
			continue
		}
		if err := r.keeper.Gone(ctx, n.Kind, n.Subject); err != nil {
			return err
		}
	}
	return nil
}

// isPart reports whether a notice belongs to what could not be looked at.
func isPart(n broker.Notice, part string) bool {
	if store, ok := strings.CutPrefix(part, "store/"); ok {
		return ofStore(n, store)
	}
	return part == string(n.Kind)
}
