package drift

import (
	"context"
	"errors"
	"strings"
	"time"

	"bindery/shared/broker"
)

// mostSummed is how many notices one sum is of: so many are noted within SettleTime.
const mostSummed = 500

// tell tells what the row says, under the receipt that the row has for it, and
// notes that it was told. A receipt that has its record already was told by
// whoever died, or was faster. Beyond MostTold it is left for the sum.
func (k *Keeper) tell(ctx context.Context, n broker.Notice) (told bool, err error) {
	if k.Told >= MostTold {
		if k.untold == nil {
			k.untold = map[string]broker.Notice{}
		}
		k.untold[n.ID] = n
		if len(k.untold) >= mostSummed {
			return false, settle(ctx, k.Finish)
		}
		return false, nil
	}
	now := k.Now().UTC()
	if err := k.record(ctx, k.fact(n), now); err != nil {
		return false, err
	}
	k.Told++
	return true, k.noted(ctx, n, now)
}

// noted stores that the row was told, unless somebody else did.
func (k *Keeper) noted(ctx context.Context, n broker.Notice, now time.Time) error {
	receipt := n.Telling
	for range changes {
		n.Told, n.ToldAt, n.Telling = said(n), now, ""
		err := k.Notices.PutNotice(ctx, n)
		if err == nil {
			n.Version++
			k.remember(n)
			return nil
		}
		if !errors.Is(err, broker.ErrConflict) {
			return err
		}
		if n, err = k.Notices.Notice(ctx, k.Environment, n.ID); err != nil {
			return err
		}
		if n.Telling != receipt {
			k.remember(n)
			return nil
		}
	}
	return nil // it is told once more under the same receipt, which is not told twice
}

// Finish sums up what was too much to tell one by one: one fact for what opened,
// one for what closed. Whoever dies in here may leave some for another sum.
func (k *Keeper) Finish(ctx context.Context) error {
	now := k.Now().UTC()
	sums := map[broker.NoticeState]map[broker.NoticeKind]int{}
	for _, n := range k.untold {
		if sums[said(n)] == nil {
			sums[said(n)] = map[broker.NoticeKind]int{}
		}
		sums[said(n)][n.Kind]++
	}
	for state, kinds := range sums {
		f := broker.Fact{Receipt: k.Receipt(), Kind: factOf(state), Environment: k.Environment, By: k.By, Object: "notices", Detail: Detail{Further: kinds}}
		if err := k.record(ctx, f, now); err != nil {
			return err
		}
	}
	for id, n := range k.untold {
		if err := k.noted(ctx, n, now); err != nil {
			return err
		}
		delete(k.untold, id)
	}
	return nil
}

// record records a fact once: the receipt has one record.
func (k *Keeper) record(ctx context.Context, f broker.Fact, at time.Time) error {
	return once(k.Journal.Tell(ctx, f, at))
}

func once(err error) error {
	if errors.Is(err, broker.ErrConflict) {
		return nil
	}
	return err
}

// said is what a fact of the row says: that it is open, or that it is not.
func said(n broker.Notice) broker.NoticeState {
	if n.State.IsOpen() {
		return broker.NoticeOpen
	}
	return broker.NoticeClosedState
}

func factOf(state broker.NoticeState) broker.FactKind {
	if state == broker.NoticeOpen {
		return broker.NoticeOpened
	}
	return broker.NoticeClosed
}

func (k *Keeper) fact(n broker.Notice) broker.Fact {
	since := n.Since
	d := Detail{Notice: n.ID, Kind: n.Kind, Subject: n.Subject, Server: n.Server, Bindings: n.Bindings, Since: &since}
	if !n.Due.IsZero() {
		due := n.Due
		d.Due = &due
	}
	f := broker.Fact{Receipt: n.Telling, Kind: factOf(said(n)), Environment: k.Environment, By: k.By, Object: n.Subject, Server: n.Server, Detail: d}
	switch sort, rest := subjectOf(n); sort {
	case "reference":
		if r, err := broker.StoredReference(rest); err == nil {
			f.References = []broker.Reference{r}
		}
	case "binding":
		_, f.Binding, _ = strings.Cut(rest, "/")
	}
	return f
}
