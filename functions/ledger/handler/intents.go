package handler

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
	"bindery/shared/telemetry"
)

// An intent says that a credential was about to be released. Its outcome says what
// became of that, and is there when the invocation is over: where it is not, nobody
// knows, and that is told.
//
// The look goes through the index by time, a step at once, and keeps how far it has
// come. What it finds it holds against the audit table itself, since the index may
// lag; tells as a fact, under a receipt that follows from the intent's, so that it is
// told once however often it is found; and adds to what the admin API lists. Where
// an intent reaches the index only after the look has passed its time, the place of
// the look is put back, and where it may be about to pass it, is marked, so that the
// look does not. Rows of the index that do not decode hold up none of this: they are
// counted, and looked at when they have been indexed anew.

// Evidence is what the look reads.
type Evidence interface {
	Receipt(ctx context.Context, receipt string) ([]broker.Record, error)
	Entries(ctx context.Context, f broker.AuditFilter, after string, limit int) (broker.AuditPage, error)
}

const (
	// firstLook is how far the first look goes back: as far as the stream, which is
	// what the index can be behind.
	firstLook = 24 * time.Hour
	// lookStep is what is looked at between two times that the place is stored.
	lookStep = time.Hour
	// skew is how far clocks may be apart.
	skew = 2 * time.Minute
	// moves bounds how often others may put the place back meanwhile.
	moves = 10
)

// Omission is the detail of the fact intent.without_outcome.
type Omission struct {
	Receipt   string        `json:"receipt"` // of the intent
	At        time.Time     `json:"at"`
	Principal string        `json:"principal,omitempty"`
	Agent     string        `json:"agent,omitempty"`
	Method    string        `json:"method"`
	Action    broker.Action `json:"action"`
	Target    string        `json:"target,omitempty"`
}

// looked is the answer to a look.
type looked struct {
	Until   time.Time `json:"until"`            // intents before it have been looked at
	Without int       `json:"without"`          // found to be without outcome, and not told before
	Unread  int       `json:"unread,omitempty"` // rows of the index that do not decode: intents among them are not looked at
	Done    bool      `json:"done"`             // false: the time was over, or the place was put back; the next look goes on
}

// look goes on from where the one before came to.
func (h *Handler) look(ctx context.Context) (any, error) {
	if end, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-min(spare, time.Until(end)/2)))
		defer cancel()
	}
	report, err := h.lookOn(ctx)
	if err != nil && ctx.Err() == nil {
		h.log.Error("intents could not be looked at", "until", report.Until, "without", report.Without, "cause", err.Error())
		return nil, err
	}
	runs := 0
	if report.Done {
		runs = 1
	}
	h.log.Info("intents looked at", "until", report.Until, "without", report.Without, "done", report.Done, string(telemetry.IntentRuns), runs)
	return report, nil
}

func (h *Handler) lookOn(ctx context.Context) (report looked, err error) {
	stored, err := h.intents.Looked(ctx, h.environment)
	if err != nil {
		return report, err
	}
	until := h.now().UTC().Add(-broker.IntentOverdue).Truncate(time.Millisecond)
	report.Until = stored
	if stored.IsZero() {
		report.Until = until.Add(-firstLook)
	}
	if marked(stored) {
		from := stored.Truncate(time.Millisecond)
		switch err := h.intents.MoveLooked(ctx, h.environment, stored, from); {
		case errors.Is(err, broker.ErrConflict):
			return report, nil
		case err != nil:
			return report, err
		}
		report.Until, stored = from, from
	}
	for report.Until.Before(until) {
		to := report.Until.Add(lookStep)
		if until.Before(to) {
			to = until
		}
		found, unread, err := h.lookAt(ctx, report.Until, to)
		report.Without, report.Unread = report.Without+found, report.Unread+unread
		if err == nil {
			err = h.intents.MoveLooked(ctx, h.environment, stored, to)
		}
		switch {
		case errors.Is(err, broker.ErrConflict):
			return report, nil
		case err != nil:
			return report, err
		}
		report.Until, stored = to, to
	}
	report.Done = true
	return report, nil
}

// lookAt looks at the intents of a time, and counts those it was first to tell, and
// the rows that do not decode.
func (h *Handler) lookAt(ctx context.Context, from, to time.Time) (told, unread int, err error) {
	f := broker.AuditFilter{Environment: h.environment, From: from, To: to}
	for after := ""; ; {
		page, err := h.evidence.Entries(ctx, f, after, broker.MaxPage)
		if rows := broker.Unread(err); rows > 0 {
			h.log.Error("rows of the audit index do not decode: intents among them are not looked at", "from", from, "to", to, string(telemetry.RowsUnreadable), rows)
			unread, err = unread+rows, nil
		}
		if err != nil {
			return told, unread, err
		}
		for _, e := range page.Entries {
			if e.Phase != broker.Intent {
				continue
			}
			first, err := h.without(ctx, e)
			if err != nil {
				return told, unread, err
			}
			if first {
				told++
			}
		}
		if after = page.Next; after == "" {
			return told, unread, nil
		}
	}
}

// without tells of an intent, unless the audit table has its outcome, and reports
// whether nobody had. Records that do not decode say nothing of an outcome.
func (h *Handler) without(ctx context.Context, e broker.Entry) (first bool, err error) {
	records, err := h.evidence.Receipt(ctx, e.Receipt)
	if errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil {
		return false, err
	}
	if slices.ContainsFunc(records, func(r broker.Record) bool { return r.Phase != broker.Intent }) {
		return false, nil
	}
	now := h.now().UTC()
	err = h.journal.Tell(ctx, omissionOf(e), now)
	if err != nil && !errors.Is(err, broker.ErrConflict) {
		return false, fmt.Errorf("tell of an intent: %w", err)
	}
	return err == nil, h.intents.AddWithoutOutcome(ctx, e)
}

func omissionOf(e broker.Entry) broker.Fact {
	return broker.Fact{Receipt: omissionReceipt(e), Kind: broker.IntentWithoutOutcome, Environment: e.Environment, Object: "receipt/" + e.Receipt,
		Server: e.Server, Binding: e.Binding,
		Detail: Omission{e.Receipt, e.At.UTC(), e.Principal, e.Agent, e.Method, e.Action, e.Target}}
}

// omissionReceipt is the one receipt under which an intent is told of. Its time is
// when the outcome was overdue.
func omissionReceipt(e broker.Entry) string {
	sum := sha256.Sum256([]byte(broker.Digest("without outcome", e.Environment, e.Receipt)))
	var id ulid.ULID
	copy(id[6:], sum[:])
	_ = id.SetTime(ulid.Timestamp(e.At.Add(broker.IntentOverdue))) // only a time after the year 10889 fails, and then so does the record
	return id.String()
}

// mark gives a place just before one, which no look has come to: receipts have whole
// milliseconds, and so have the places of looks. A look begins by taking the mark
// away. One that began before cannot store how far it came, and goes there again.
func mark(place time.Time) time.Time { return place.Truncate(time.Millisecond).Add(-1) }

func marked(place time.Time) bool { return !place.Equal(place.Truncate(time.Millisecond)) }

// lookAgain marks the place of the look where intents of a time that it may have
// passed, or be passing, have only now been indexed, and puts it back to them. It is
// asked afterwards: a look that begins after the mark sees them.
func (h *Handler) lookAgain(ctx context.Context, indexed []broker.Record) error {
	edge, oldest := h.now().Add(skew-broker.IntentOverdue), time.Time{}
	for _, r := range indexed {
		at, err := broker.ReceiptTime(r.Receipt)
		if err == nil && r.Phase == broker.Intent && r.Environment == h.environment && at.Before(edge) && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	if oldest.IsZero() {
		return nil
	}
	for range moves {
		stored, err := h.intents.Looked(ctx, h.environment)
		switch {
		case errors.Is(err, broker.ErrUndecodable): // no look goes on from it, and fails by itself; indexing does not end with it
			h.log.Error("how far intents were looked at does not decode", string(telemetry.RowsUnreadable), 1)
			return nil
		case err != nil:
			return err
		}
		ahead := !stored.IsZero() && !oldest.Before(stored)
		if ahead && marked(stored) {
			return nil
		}
		back := oldest.UTC()
		if first := h.now().UTC().Add(-firstLook); stored.IsZero() && first.Before(back) {
			back = first // the first look has not been, and would have begun there
		}
		if ahead {
			back = stored
		}
		if err := h.intents.MoveLooked(ctx, h.environment, stored, mark(back)); !errors.Is(err, broker.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("put the look back: %w: others keep moving it", broker.ErrUnavailable)
}
