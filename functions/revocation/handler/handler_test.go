package handler

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/revoke"
)

const alice = "p-aliceaaaaaaaaaaaaaaaaaaaaa"

func order() revoke.Order {
	return revoke.Order{Kind: broker.PrincipalMarker, Subject: alice, By: "p-admin", Reason: "left the company"}
}

// TestAPersonIsStoppedByWhatTheirIssuerSaysOfThem, as a token of theirs would be
// read.
func TestAPersonIsStoppedByWhatTheirIssuerSaysOfThem(t *testing.T) {
	f := newFixture()
	person := map[string]any{"issuer": "corp", "claims": []string{"alice"}}
	a, err := f.Handle(t.Context(), request(t, "1", map[string]any{"environment": "prod", "kind": "principal", "person": person, "reason": "left", "source_id": "leaver-1"}))
	want := broker.PrincipalID("https://login.example.com", "alice")
	if err != nil || a.Acknowledged.Subject != want || !f.marker(t, broker.PrincipalMarker, want).Revoked {
		t.Fatalf("%+v, %v", a, err)
	}
	if c := f.cases(t)[0]; c.By != "event/example.hr/leaver-1" || c.Via != broker.ViaEvent {
		t.Errorf("its case: %+v", c)
	}
}

// TestAnEventThatIsDeliveredTwiceIsOneRevocation, also after it was lifted.
func TestAnEventThatIsDeliveredTwiceIsOneRevocation(t *testing.T) {
	f := newFixture()
	event := request(t, "evt-1", map[string]any{"environment": "prod", "kind": "group", "subject": "team-a", "reason": "dissolved"})
	first, err := f.Handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.Handle(t.Context(), event)
	if err != nil || again.Acknowledged.Case != first.Acknowledged.Case || !again.Acknowledged.Already {
		t.Errorf("%+v, %v", again.Acknowledged, err)
	}
	if _, err := f.client().Lift(t.Context(), revoke.Lifting{Case: first.Acknowledged.Case, By: "p-root", Reason: "it is back"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Handle(t.Context(), event); err != nil || f.marker(t, broker.GroupMarker, "team-a").Revoked {
		t.Errorf("the old event stopped it again: %v", err)
	}
	if _, err := f.Handle(t.Context(), request(t, "evt-2", map[string]any{"environment": "prod", "kind": "group", "subject": "team-a", "reason": "again"})); err != nil || !f.marker(t, broker.GroupMarker, "team-a").Revoked {
		t.Errorf("a new one did not: %v", err)
	}
}

// TestHostileEventsStopNothingAndAreNotRepeated.
func TestHostileEventsStopNothingAndAreNotRepeated(t *testing.T) {
	const canary = "canary-not-to-be-repeated"
	fine := map[string]any{"environment": "prod", "kind": "group", "subject": "team-a", "reason": "x"}
	with := func(change map[string]any) map[string]any {
		d := maps.Clone(fine)
		maps.Copy(d, change)
		return d
	}
	person := map[string]any{"issuer": "corp", "claims": []string{canary}}
	for name, detail := range map[string]any{
		"no object":                   canary,
		"none at all":                 nil,
		"an unknown member":           with(map[string]any{"extra": canary}),
		"another environment":         with(map[string]any{"environment": canary}),
		"no environment":              with(map[string]any{"environment": ""}),
		"an unknown kind":             with(map[string]any{"kind": canary}),
		"a change":                    with(map[string]any{"kind": "change", "subject": "aws-sm:prod/x"}),
		"an environment":              with(map[string]any{"kind": "environment", "subject": "prod"}),
		"everything":                  with(map[string]any{"kind": "everything", "subject": "prod", "reason": "all keys are in the open"}),
		"an e-mail as a principal":    with(map[string]any{"kind": "principal", "subject": canary + "@example.com"}),
		"a person beside a subject":   with(map[string]any{"kind": "principal", "subject": alice, "person": person}),
		"a person as a group":         with(map[string]any{"subject": "", "person": person}),
		"a person of another issuer":  with(map[string]any{"kind": "principal", "subject": "", "person": map[string]any{"issuer": canary, "claims": []string{"x"}}}),
		"a person of too many claims": with(map[string]any{"kind": "principal", "subject": "", "person": map[string]any{"issuer": "corp", "claims": []string{"x", canary}}}),
		"an issuer nobody trusts":     with(map[string]any{"kind": "issuer", "subject": canary}),
		"a reference of no store":     with(map[string]any{"kind": "reference", "subject": canary}),
		"no reason":                   with(map[string]any{"reason": ""}),
		"a reason too long":           with(map[string]any{"reason": canary + strings.Repeat("x", revoke.MaxReason)}),
		"a subject too long":          with(map[string]any{"subject": canary + strings.Repeat("x", broker.MaxID)}),
		"a source id too long":        with(map[string]any{"source_id": canary + strings.Repeat("x", broker.MaxID)}),
		"an oversized detail":         with(map[string]any{"subject": canary + strings.Repeat("x", maxEvent)}),
	} {
		f := newFixture()
		_, err := f.Handle(t.Context(), request(t, "evt-1", detail))
		if err == nil || len(f.cases(t)) != 0 || f.tables.Calls(memory.PutMarker) != 0 {
			t.Errorf("%s: %v, %d cases", name, err, len(f.cases(t)))
		}
		if err != nil && strings.Contains(err.Error()+f.log.String(), canary) {
			t.Errorf("%s: repeated: %v %s", name, err, f.log)
		}
	}
	if f := newFixture(); true {
		if _, err := f.Handle(t.Context(), request(t, "evt-1", fine)); err != nil {
			t.Errorf("without what makes it hostile: %v", err)
		}
	}
}

// TestEnvelopesThatAreNone.
func TestEnvelopesThatAreNone(t *testing.T) {
	fine := string(request(t, "evt-1", map[string]any{"environment": "prod", "kind": "group", "subject": "team-a", "reason": "x"}))
	for name, event := range map[string]string{
		"no JSON":         "{",
		"a list":          "[]",
		"nothing":         "{}",
		"another type":    strings.Replace(fine, DetailType, "Employee Left", 1),
		"no id":           strings.Replace(fine, `"id":"evt-1"`, `"id":""`, 1),
		"no source":       strings.Replace(fine, `"source":"example.hr"`, `"source":""`, 1),
		"no time":         strings.Replace(fine, `"time":"2026-03-01T11:59:58Z",`, "", 1),
		"a time to come":  strings.Replace(fine, "2026-03-01", "2026-03-02", 1),
		"another request": `{"rotate":{}}`,
		"two requests":    `{"revoke":{},"lift":{}}`,
		"a null request":  `{"revoke":null}`,
		"too long":        `{"revoke":{"reason":"` + strings.Repeat("a", maxEvent) + `"}}`,
	} {
		f := newFixture()
		if a, err := f.Handle(t.Context(), json.RawMessage(event)); !errors.Is(err, errEvent) || len(f.cases(t)) != 0 {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// TestAnEventIsBroughtAgainUntilItIsRecorded: the stop stands at once.
func TestAnEventIsBroughtAgainUntilItIsRecorded(t *testing.T) {
	f := newFixture()
	event := request(t, "evt-1", map[string]any{"environment": "prod", "kind": "group", "subject": "team-a", "reason": "x"})
	for range 20 {
		f.tables.Inject(memory.Append, memory.Refuse())
	}
	if _, err := f.Handle(t.Context(), event); !errors.Is(err, errUnrecorded) || !f.marker(t, broker.GroupMarker, "team-a").Revoked {
		t.Errorf("with the audit down: %v", err)
	}
	f.tables.Clear()
	if a, err := f.Handle(t.Context(), event); err != nil || !a.Acknowledged.Recorded || len(f.cases(t)) != 1 {
		t.Errorf("brought again: %+v, %v", a.Acknowledged, err)
	}
}

// TestTheClientHearsWhatTheFunctionSays, faults too.
func TestTheClientHearsWhatTheFunctionSays(t *testing.T) {
	f := newFixture()
	c := f.client()
	a, err := c.Revoke(t.Context(), order())
	if err != nil || a.Epoch != 1 || !a.Recorded || a.At != noon {
		t.Fatalf("%+v, %v", a, err)
	}
	bad := order()
	bad.Subject = "alice@example.com"
	_, invalid := c.Revoke(t.Context(), bad)
	_, missing := c.Lift(t.Context(), revoke.Lifting{Case: "01KJMMA2G00000000000000009", By: "p-root", Reason: "x"})
	other := order()
	other.ID, other.Subject = a.Case, "p-bobbbbbbbbbbbbbbbbbbbbbbbb"
	_, conflict := c.Revoke(t.Context(), other)
	for range 20 {
		f.tables.Inject(memory.PutMarker, memory.Refuse())
	}
	other.ID = ""
	_, down := c.Revoke(t.Context(), other)
	for want, err := range map[error]error{broker.ErrInvalid: invalid, broker.ErrNotFound: missing, broker.ErrConflict: conflict, broker.ErrUnavailable: down} {
		if !errors.Is(err, want) || strings.Contains(err.Error(), "alice") {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

// TestNoStopWaitsForAReasonToBeCleaned.
func TestNoStopWaitsForAReasonToBeCleaned(t *testing.T) {
	f := newFixture()
	o := order()
	o.Reason = "leaked: password=made-up-3kT9wQzLmV7xBn2RcY5s" // gitleaks:allow
	if _, err := f.client().Revoke(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if c := f.cases(t)[0]; strings.Contains(c.Reason, "made-up") || !strings.HasPrefix(c.Reason, "withheld") {
		t.Errorf("kept: %s", c.Reason)
	}
}

// TestARequestWithoutIDGetsOneOfItsTime.
func TestARequestWithoutIDGetsOneOfItsTime(t *testing.T) {
	f := newFixture()
	a, err := f.client().Revoke(t.Context(), order())
	if err != nil {
		t.Fatal(err)
	}
	if at, err := broker.ReceiptTime(a.Case); err != nil || !at.Equal(noon.Truncate(time.Millisecond)) {
		t.Errorf("%s is of %s, %v", a.Case, at, err)
	}
}

type broken struct{}

func (broken) PrincipalOf(string, []string) (string, error) { panic("made-up-secret") }
func (broken) IssuerOf(string) (string, error)              { panic("made-up-secret") }
func (broken) CheckGroup(string) error                      { panic("made-up-secret") }

func TestAPanicSaysNothing(t *testing.T) {
	f := newFixture()
	f.people = broken{}
	o := order()
	o.Kind = broker.IssuerMarker
	if _, err := f.client().Revoke(t.Context(), o); err == nil || strings.Contains(err.Error()+f.log.String(), "made-up-secret") {
		t.Errorf("%v, %s", err, f.log)
	}
}

// TestAGroupThatNobodyCanHaveIsNotAcknowledged: its issuer's own word for it is
// none where the table has a name, and names are compared byte by byte.
func TestAGroupThatNobodyCanHaveIsNotAcknowledged(t *testing.T) {
	f := newFixture()
	for group, fine := range map[string]bool{"team-a": true, "corp:00g2": true, "corp:00g1": false, "00g1": false, "Team-A": false, "team-b": false, "other:00g2": false} {
		a, err := f.client().Revoke(t.Context(), revoke.Order{Kind: broker.GroupMarker, Subject: group, By: "p-admin", Reason: "dissolved"})
		if (err == nil) != fine || !fine && !errors.Is(err, broker.ErrInvalid) || f.marker(t, broker.GroupMarker, group).Revoked != fine {
			t.Errorf("%s: %+v, %v", group, a, err)
		}
		event := request(t, "evt-"+group, map[string]any{"environment": "prod", "kind": "group", "subject": group, "reason": "dissolved"})
		if _, err := f.Handle(t.Context(), event); (err == nil) != fine {
			t.Errorf("%s by event: %v", group, err)
		}
	}
}
