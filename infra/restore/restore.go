package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/revoke"
)

// restoration is one run.
type restoration struct {
	asked
	client       *dynamodb.Client
	live, copies *dynamo.DB
	out          io.Writer
}

// say writes a line. Names may be of anything; they end no line and move no cursor.
func (r *restoration) say(format string, args ...any) {
	line := strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return unicode.ReplacementChar
		}
		return c
	}, fmt.Sprintf(format, args...))
	fmt.Fprintln(r.out, line)
}

func (r *restoration) do(ctx context.Context) error {
	if err := r.stopped(ctx); err != nil {
		return err
	}
	copied, err := r.copied(ctx)
	if err != nil {
		return err
	}
	since := copied
	if r.since.IsZero() {
		since = copied.Add(-margin)
	}
	r.say("what happened after %s is taken from the audit records", since.UTC().Format(time.RFC3339))
	if slices.Contains(r.tables, "audit") {
		if err := r.refill(r.live.RefillAudit(ctx, r.copies, r.environment, r.write))("audit"); err != nil {
			return err
		}
	}
	h, err := r.history(ctx, since)
	switch {
	case err != nil:
		return err
	case h.first.IsZero() || h.first.After(copied):
		return errors.New("the audit records begin after the copies were made, so nobody knows what was stopped in between: refill the audit, too")
	}
	if slices.Contains(r.tables, "revocations") {
		if err := r.refill(r.live.RefillRevocations(ctx, r.copies, r.environment, r.write))("revocations"); err != nil {
			return err
		}
	}
	if err := r.stopAgain(ctx, h); err != nil {
		return err
	}
	if err := r.letGo(ctx, h); err != nil {
		return err
	}
	if slices.Contains(r.tables, "catalogue") {
		if err := r.refill(r.live.RefillCatalogue(ctx, r.copies, r.environment, h, r.write))("catalogue"); err != nil {
			return err
		}
	}
	if slices.Contains(r.tables, "grants") {
		if err := r.refill(r.live.RefillGrants(ctx, r.copies, r.environment, h, r.write))("grants"); err != nil {
			return err
		}
	}
	r.ends(h)
	return nil
}

// stopped refuses to write where calls are decided.
func (r *restoration) stopped(ctx context.Context) error {
	found, err := r.live.Markers(ctx, r.environment, []broker.MarkerKey{{Kind: broker.EnvironmentMarker, ID: r.environment}, {Kind: broker.EverythingMarker, ID: r.environment}})
	if err != nil {
		return fmt.Errorf("read whether the environment is stopped: %w", err)
	}
	switch {
	case slices.ContainsFunc(found, func(m broker.Marker) bool { return m.Revoked }):
		return nil
	case r.write:
		return errors.New("the environment is not stopped: revoke it first (kind environment), so that nothing is decided on tables that are half there")
	}
	r.say("the environment is not stopped: -write would refuse")
	return nil
}

// margin is how much earlier than its copy a change may have been recorded that is
// not in it: longer than a request takes.
const margin = time.Minute

// copied is the time of the oldest copy.
func (r *restoration) copied(ctx context.Context) (oldest time.Time, err error) {
	if r.since.After(time.Now()) {
		return oldest, errors.New("-since is in the future")
	}
	for _, name := range r.tables {
		out, err := r.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(r.from + name)})
		if err != nil {
			return oldest, fmt.Errorf("look at the copy of the table %s: %w", name, broker.ErrUnavailable)
		}
		summary := out.Table.RestoreSummary
		if summary == nil || summary.RestoreDateTime == nil {
			if !r.since.IsZero() {
				continue
			}
			return oldest, fmt.Errorf("the copy of the table %s was not restored by DynamoDB: say by -since of when it is", name)
		}
		if oldest.IsZero() || summary.RestoreDateTime.Before(oldest) {
			oldest = *summary.RestoreDateTime
		}
	}
	switch {
	case r.since.IsZero():
		return oldest, nil
	case !oldest.IsZero() && r.since.After(oldest):
		return oldest, errors.New("-since is later than a copy is of, so that what was stopped in between would come back")
	}
	return r.since, nil
}

// refill tells what became of a table.
func (r *restoration) refill(done dynamo.Refilled, err error) func(table string) error {
	return func(table string) error {
		if err != nil {
			return err
		}
		r.say("%-12s %d rows in the copy: %d missing%s, %d there, %d left out, %d of another environment", table,
			done.Read, done.Put, map[bool]string{true: " and put"}[r.write], done.There, done.Out, done.Foreign)
		for _, line := range done.Closed {
			r.say("  closed     %s", line)
		}
		for _, line := range done.LeftOut {
			r.say("  left out   %s", line)
		}
		switch {
		case done.Unknown == 0:
		case r.write:
			return fmt.Errorf("%d rows in the copy of the table %s are of another release, and what they stop would not be stopped: take the release that knows them", done.Unknown, table)
		default:
			r.say("  unknown    %d rows are of another release: -write would refuse", done.Unknown)
		}
		return nil
	}
}

// stopAgain puts back every marker whose record is there, with its case, so that
// cleanup ends once more what has come back.
func (r *restoration) stopAgain(ctx context.Context, h *history) error {
	journal := broker.NewJournal(r.live, rand.Text)
	for _, m := range h.stops() {
		missing, err := r.live.RestoreMarker(ctx, m, r.write)
		if err != nil {
			return err
		}
		if !missing {
			continue
		}
		r.say("  revoked    %s/%s again, by its case %s", m.Kind, m.ID, m.Revocation)
		if !r.write {
			continue
		}
		c := revoke.CaseOf(m)
		if err := r.live.AddRevocation(ctx, c); err != nil && !errors.Is(err, broker.ErrConflict) {
			return fmt.Errorf("add the case: %w", err)
		}
		if err := revoke.Tell(ctx, journal, c); err != nil {
			return err
		}
	}
	return nil
}

// letGo puts markers back that were let go, where nothing is, so that their epochs
// go on and no later decision has one that there was.
func (r *restoration) letGo(ctx context.Context, h *history) error {
	n := 0
	for _, m := range h.those(false) {
		missing, err := r.live.RestoreMarker(ctx, m, r.write)
		if err != nil {
			return err
		}
		if missing {
			n++
		}
	}
	if n > 0 {
		r.say("  let go     %d markers that were lifted are missing; they go on from the epochs that they had", n)
	}
	return nil
}

// ends says what is left to people.
func (r *restoration) ends(h *history) {
	for _, line := range h.lifted() {
		r.say("  lifted     %s since; where it is revoked again, lift it again", line)
	}
	r.sayUnreadable(h)
	if !r.write {
		r.say("nothing was written: -write does it")
		return
	}
	r.say("done. Look at what is closed, have the ledger fill its index anew, and lift the environment's revocation when calls may go on.")
}

// How many keys of rows that are no records are named, and how much of each: a key
// may be anything, as long as a key can be.
const (
	namedKeys = 20
	namedKey  = 80
)

// sayUnreadable names rows whose word is not known here, by their keys and nothing
// of what they hold, so that somebody can look at them.
func (r *restoration) sayUnreadable(h *history) {
	if len(h.unreadable) == 0 {
		return
	}
	r.say("%d rows of the audit table are no records: what they said is not known here", len(h.unreadable))
	keys := slices.SortedFunc(maps.Keys(h.unreadable), func(a, b dynamo.ScanPlace) int {
		return cmp.Or(cmp.Compare(a.Receipt, b.Receipt), cmp.Compare(a.Phase, b.Phase))
	})
	for _, at := range keys[:min(len(keys), namedKeys)] {
		r.say("  no record  pk=%.*q sk=%.*q", namedKey, at.Receipt, namedKey, string(at.Phase))
	}
	if more := len(keys) - namedKeys; more > 0 {
		r.say("  no record  %d more", more)
	}
}
