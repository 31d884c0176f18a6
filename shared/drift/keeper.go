package drift

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bindery/shared/broker"
)

// Keeper opens and closes notices, and tells each change once. It is for one
// run, and not for concurrent use; many may be at work at once.
type Keeper struct {
	Notices     broker.Notices
	Journal     *broker.Journal
	Environment string
	Now         func() time.Time
	Receipt     func() string
	By          string // principal on whose word; empty: the schedule's
	Told        int    // facts told one by one so far, against MostTold

	open    map[string]broker.Notice // all that were open when it was loaded, by id; nil: not loaded
	untold  map[string]broker.Notice // beyond MostTold, by id
	Changes int                      // notices that opened or closed
}

// Finding is something that is so.
type Finding struct {
	Kind     broker.NoticeKind
	Subject  string
	Server   string
	Bindings []string // "server/binding"
	Due      time.Time
	// After is for how long it has to be found before the notice opens. Until then
	// the row is pending, and nobody is told.
	After time.Duration
}

// changes is how often a row that somebody else changed is tried.
const changes = 5

var errContended = errors.New("the notice keeps changing")

// Load reads all of them, so that what is not found costs nothing, and tells
// what closed when a run died before it could.
func (k *Keeper) Load(ctx context.Context) error {
	open := map[string]broker.Notice{}
	for after := ""; ; {
		found, next, err := k.Notices.NoticesOf(ctx, k.Environment, after, broker.MaxPage)
		if err != nil {
			return err
		}
		for _, n := range found {
			switch {
			case n.State.IsOpen():
				open[n.ID] = n
			case n.Telling != "":
				if _, err := k.tell(ctx, n); err != nil {
					return err
				}
			}
		}
		if after = next; after == "" {
			k.open = open
			return nil
		}
	}
}

// Found says that something is so.
func (k *Keeper) Found(ctx context.Context, f Finding) error {
	slices.Sort(f.Bindings)
	f.Bindings = named(slices.Compact(f.Bindings))
	return k.change(ctx, f.Kind, f.Subject, func(n *broker.Notice, now time.Time) bool {
		n.Server, n.Bindings, n.Due, n.Seen = f.Server, f.Bindings, f.Due, now
		if n.State.IsOpen() {
			return true
		}
		if f.After > 0 && n.State != broker.NoticePending {
			n.State, n.Since = broker.NoticePending, now
		}
		if f.After == 0 || now.Sub(n.Since) >= f.After {
			n.State, n.Since, n.Closed, n.By, n.Note = broker.NoticeOpen, now, time.Time{}, "", ""
			k.Changes++
		}
		return true
	})
}

// named are those cards, of all in their order, that a notice has room for: one of
// each server before a second of any, because who sees a notice, and who may say
// that it is known, follows from the servers.
func named(all []string) []string {
	if len(all) <= broker.MaxNoticeBindings {
		return all
	}
	var first, further []string
	last := ""
	for _, b := range all {
		server, _, _ := strings.Cut(b, "/")
		if server != last {
			first = append(first, b)
		} else {
			further = append(further, b)
		}
		last = server
	}
	chosen := append(first, further...)[:broker.MaxNoticeBindings]
	slices.Sort(chosen)
	return chosen
}

// Gone says that something is not, or no longer, so.
func (k *Keeper) Gone(ctx context.Context, kind broker.NoticeKind, subject string) error {
	if _, open := k.open[broker.NoticeID(kind, subject)]; k.open != nil && !open {
		return nil
	}
	return k.change(ctx, kind, subject, func(n *broker.Notice, now time.Time) bool {
		if !n.State.IsOpen() {
			return n.Told == broker.NoticeOpen // closed, and that was not told: a crash came between
		}
		n.State, n.Closed = broker.NoticeClosedState, now
		k.Changes++
		return true
	})
}

// Unknown says that it cannot be told whether something is so: what is open
// stays.
func (k *Keeper) Unknown(ctx context.Context, kind broker.NoticeKind, subject string) error {
	if _, open := k.open[broker.NoticeID(kind, subject)]; !open {
		return nil // nothing that a sweep could close
	}
	return k.change(ctx, kind, subject, func(n *broker.Notice, now time.Time) bool {
		n.Seen = now
		return n.State.IsOpen()
	})
}

// change edits a row by compare and swap. What the row still has to tell is told
// first, and nothing more happens to it where that is too much for this run.
func (k *Keeper) change(ctx context.Context, kind broker.NoticeKind, subject string, edit func(*broker.Notice, time.Time) bool) error {
	for try := range changes {
		n, err := k.row(ctx, kind, subject, try > 0)
		if err != nil {
			return err
		}
		if n.Telling != "" {
			told, err := k.tell(ctx, n)
			if err != nil || !told {
				return err
			}
			if n, err = k.row(ctx, kind, subject, true); err != nil {
				return err
			}
		}
		now := later(k.Now(), n.Seen)
		if !edit(&n, now) {
			return nil
		}
		if due(n, now) {
			n.Telling = k.Receipt()
		}
		err = k.Notices.PutNotice(ctx, n)
		if errors.Is(err, broker.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		n.Version++
		k.remember(n)
		if n.Telling != "" {
			_, err = k.tell(ctx, n)
		}
		return err
	}
	return fmt.Errorf("%w: %w", broker.ErrUnavailable, errContended)
}

// row is the notice as it is known, or read.
func (k *Keeper) row(ctx context.Context, kind broker.NoticeKind, subject string, anew bool) (broker.Notice, error) {
	id := broker.NoticeID(kind, subject)
	if n, known := k.open[id]; known && !anew {
		return n, nil
	}
	n, err := k.Notices.Notice(ctx, k.Environment, id)
	if errors.Is(err, broker.ErrNotFound) {
		return broker.Notice{Environment: k.Environment, ID: id, Kind: kind, Subject: subject, State: broker.NoticeClosedState, Since: k.Now().UTC()}, nil
	}
	return n, err
}

func (k *Keeper) remember(n broker.Notice) {
	if k.open == nil {
		return
	}
	if n.State.IsOpen() {
		k.open[n.ID] = n
	} else {
		delete(k.open, n.ID)
	}
}

// due reports whether the row says something else than what was told last. What
// opens again just after it was told that it closed waits: perhaps it flaps.
func due(n broker.Notice, now time.Time) bool {
	if !n.State.IsOpen() {
		return n.Told == broker.NoticeOpen
	}
	flaps := n.Told == broker.NoticeClosedState && now.Sub(n.ToldAt).Abs() < Hush
	return n.Told != broker.NoticeOpen && !flaps
}

// later is now, or what was seen before where the clock went back.
func later(now, seen time.Time) time.Time {
	if now = now.UTC(); now.Before(seen) {
		return seen
	}
	return now
}

// subjectOf splits "reference/aws-sm:x" into its sort and the rest.
func subjectOf(n broker.Notice) (sort, rest string) {
	sort, rest, _ = strings.Cut(n.Subject, "/")
	return sort, rest
}

// all gives the notices that are open, in order of their ids.
func (k *Keeper) all() []broker.Notice {
	list := slices.Collect(maps.Values(k.open))
	slices.SortFunc(list, func(a, b broker.Notice) int { return strings.Compare(a.ID, b.ID) })
	return list
}
