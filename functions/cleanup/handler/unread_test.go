package handler

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// holed is tables in which a row of the sessions and one of the grants does not
// decode.
type holed struct {
	broker.LiveSessions
	broker.GrantScanner
}

func (h holed) ScanSessions(ctx context.Context, environment, after string, limit int) ([]broker.LiveSession, string, error) {
	found, next, err := h.LiveSessions.ScanSessions(ctx, environment, after, limit)
	return found, next, errors.Join(err, &broker.PassedOver{Rows: 1, Err: errors.New("made-up: the row does not decode")})
}

func (h holed) ScanGrants(ctx context.Context, environment, after string, limit int) ([]broker.Grant, string, error) {
	found, next, err := h.GrantScanner.ScanGrants(ctx, environment, after, limit)
	return found, next, errors.Join(err, &broker.PassedOver{Rows: 2, Err: errors.New("made-up: the row does not decode")})
}

// TestARowThatDoesNotDecodeKeepsNothingElseFromBeingEnded, and the case open until
// it is seen to.
func TestARowThatDoesNotDecodeKeepsNothingElseFromBeingEnded(t *testing.T) {
	w := newWorld(t)
	w.session(1, "github")
	w.grant(1, "files")
	id := w.revoke(broker.EverythingMarker, "prod")
	h := w.handler()
	h.Sessions, h.Scanner = holed{h.Sessions, h.Scanner}, holed{h.Sessions, h.Scanner}
	if _, err := h.Handle(t.Context(), json.RawMessage(`{"task":"continue"}`)); err != nil {
		t.Fatal(err)
	}
	c := w.found(id)
	if len(w.upstream.asked) != 1 || len(w.provider.honours()) != 0 || c.Sessions.Ended != 1 || c.Grants.Ended != 1 {
		t.Errorf("not all was ended: %+v, asked %v", c, w.upstream.asked)
	}
	if c.Work != broker.WorkOpen || c.NextTry.IsZero() || !slices.Contains(w.facts(id), broker.RevocationIncomplete) ||
		!strings.Contains(w.log.String(), `"RowsUnreadable":2`) {
		t.Errorf("nobody is told: %+v\n%s", c, w.log)
	}
	w.pass(2 * time.Hour)
	if c := w.finish(id); c.Work != broker.WorkDone {
		t.Errorf("repaired, and still %+v", c)
	}
}

// TestARowOfTheRevokedPersonThatDoesNotDecodeKeepsNothingElseFromBeingEnded: what
// can be read of theirs is ended at once, and the case says how much could not be,
// and is not done before that could.
func TestARowOfTheRevokedPersonThatDoesNotDecodeKeepsNothingElseFromBeingEnded(t *testing.T) {
	w := newWorld(t)
	w.session(1, "github")
	w.grant(1, "files")
	honoured := len(w.provider.honours())
	w.spoilt(1)
	id := w.revoke(broker.PrincipalMarker, person(1))
	if _, err := w.handler().Handle(t.Context(), json.RawMessage(`{"task":"continue"}`)); err != nil {
		t.Fatal(err)
	}
	c := w.found(id)
	if len(w.upstream.asked) != 1 || len(w.provider.honours()) != honoured || c.Sessions.Ended != 1 || c.Grants.Ended != 1 {
		t.Errorf("not all was ended: %+v, asked %v", c, w.upstream.asked)
	}
	if c.Work != broker.WorkOpen || c.NextTry.IsZero() || !slices.Contains(w.facts(id), broker.RevocationIncomplete) ||
		strings.Count(strings.Join(c.Unknown, " "), "Rows of") != 2 || !strings.Contains(w.log.String(), `"RowsUnreadable":1`) {
		t.Errorf("nobody is told: %+v\n%s", c, w.log)
	}
	w.pass(30 * time.Minute)
	w.goOn()
	if c := w.found(id); c.Work == broker.WorkDone || c.Grants.Ended != 1 || c.Sessions.Ended != 1 {
		t.Errorf("called done, with rows that nobody could read: %+v", c)
	}
	w.tables.Mend()
	w.pass(2 * time.Hour)
	if c := w.finish(id); c.Work != broker.WorkDone || c.Grants.Ended != 2 || len(c.Unknown) > 0 {
		t.Errorf("repaired, and still %+v", c)
	}
}

// spoilt gives somebody a session and a grant that do not decode.
func (w *world) spoilt(who int) {
	w.Helper()
	s := broker.LiveSession{Environment: "prod", Digest: broker.Digest("session", "bad"), Server: "github", Origin: w.origin(), Principal: person(who),
		Binding: "dev", Wrapped: "b1.bad", Expires: w.time().Add(time.Hour)}
	w.must(w.tables.AddSession(w.Context(), s))
	w.server("other", broker.AuthorizationCode, "")
	w.grant(who, "other")
	w.must(w.tables.Spoil("prod", s))
	w.must(w.tables.Spoil("prod", broker.GrantKey{Environment: "prod", Principal: person(who), Server: "other", Origin: w.origin()}))
}

// TestACaseThatDoesNotDecodeHoldsUpNoOther: the open ones beside it are gone on
// with, and it is an alarm.
func TestACaseThatDoesNotDecodeHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	w.session(1, "github")
	bad := w.revoke(broker.AgentMarker, "corp:bot")
	id := w.revoke(broker.EverythingMarker, "prod")
	w.must(w.tables.Spoil("prod", broker.Revocation{ID: bad}))
	if report := w.goOn(); report.Worked != 1 || report.Failed != 0 {
		t.Errorf("%+v", report)
	}
	if c := w.found(id); len(w.upstream.asked) != 1 || c.Sessions.Ended != 1 {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(w.log.String(), `"RowsUnreadable":1`) {
		t.Error(w.log)
	}
}
