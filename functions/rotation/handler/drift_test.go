package handler

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/drift"
	"bindery/shared/memory"
	"bindery/shared/revoke"
	"bindery/shared/stores/awssm"
)

var own = awssm.Account{ID: "111122223333", Region: "eu-central-1"}

// search is drift that is found or not, and remembers what it heard.
type search struct {
	report   drift.Report
	fault    error
	receipts []string
}

func (s *search) Run(context.Context) (drift.Report, error) { return s.report, s.fault }

func (s *search) Heard(_ context.Context, c drift.Change) (int, error) {
	if s.fault != nil {
		return 0, s.fault
	}
	n := 0
	for _, text := range []string{"aws-sm:prod/github", "aws-sm:prod/github?stage=AWSPREVIOUS", "aws-sm:prod/jira"} {
		if r, err := broker.ParseReference(text); err == nil && c.Concerns(r) {
			s.receipts = append(s.receipts, c.Receipt(r))
			n++
		}
	}
	return n, nil
}

func driftHandler(s *search) (*Handler, *strings.Builder) {
	h, log, _ := incidentHandler()
	h.drift = s
	return h, log
}

// incidentHandler finds no drift, and has tables of incidents and records.
func incidentHandler() (*Handler, *strings.Builder, *memory.DB) {
	h, log := newHandler(&due{})
	tables := memory.New(h.now)
	h.drift, h.account, h.incidents, h.journal = &search{}, own, tables, broker.NewJournal(tables, rand.Text)
	return h, log, tables
}

// leaked is the incident of a secret, opened at a time.
func leaked(t *testing.T, at time.Time) broker.Incident {
	t.Helper()
	reference, err := broker.ParseReference("aws-sm:prod/github")
	if err != nil {
		t.Fatal(err)
	}
	return broker.Incident{Environment: "prod", ID: broker.ReceiptOf(at, "incident"), State: broker.Active, Reference: reference, By: "p-root", Reason: "leaked", At: at}
}

func TestTheSearchForDriftSaysHowFarItCame(t *testing.T) {
	for _, want := range []drift.Report{{Looked: 7, Changed: 2, Open: 3, Done: true}, {Looked: 7}, {Busy: true}, {Looked: 7, Done: true, Unread: 2}} {
		h, log := driftHandler(&search{report: want})
		got, err := h.Handle(t.Context(), json.RawMessage(`{"task":"drift"}`))
		if err != nil || got != any(want) {
			t.Errorf("%+v, %v", got, err)
		}
		if wary := strings.Contains(log.String(), `"WARN"`); wary != (!want.Done && !want.Busy) {
			t.Errorf("%+v: %s", want, log)
		}
		if counted := strings.Contains(log.String(), `"NoticesOpen":`); counted != !want.Busy { // else nobody has counted them
			t.Errorf("%+v: %s", want, log)
		}
		if bad := strings.Contains(log.String(), `"parts":2`); bad != (want.Unread > 0) {
			t.Errorf("%+v: %s", want, log)
		}
	}
	h, log := driftHandler(&search{fault: fmt.Errorf("%w: made-up-text-of-another", broker.ErrUnavailable)})
	if got, err := h.Handle(t.Context(), json.RawMessage(`{"task":"drift"}`)); !errors.Is(err, broker.ErrUnavailable) || got != nil {
		t.Errorf("%+v, %v, %s", got, err, log)
	}
}

// TestAnIncidentIsToldOfWhateverDied, once: the request that opened it may have
// died before it told, or just after. One that may still be under way is left to it.
func TestAnIncidentIsToldOfWhateverDied(t *testing.T) {
	h, log, tables := incidentHandler()
	var opened []broker.Incident
	for n, age := range []time.Duration{2 * time.Hour, time.Hour, time.Minute} { // told, died, under way
		at := noon.Add(-age)
		i := leaked(t, at)
		if n == 0 {
			i.Revocation, i.NoRotation = i.ID, "No plan."
		}
		if err := tables.PutIncident(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		opened = append(opened, i)
	}
	if err := revoke.TellIncident(t.Context(), h.journal, opened[0]); err != nil {
		t.Fatal(err)
	}
	tables.Inject(memory.Append, memory.Refuse(), memory.Refuse(), memory.Refuse()) // a run that cannot tell
	for range 3 {
		if _, err := h.Handle(t.Context(), json.RawMessage(`{"task":"drift"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(log.String(), `"AuditFailures":1`) {
		t.Errorf("nobody hears that it could not be told: %s", log)
	}
	var told []string
	for _, r := range tables.Log() {
		var detail revoke.IncidentOpened
		if err := json.Unmarshal([]byte(r.After), &detail); err != nil || r.Method != string(broker.IncidentOpened) || detail.Revocation != detail.Incident {
			t.Errorf("%+v, %v", r, err)
		}
		told = append(told, detail.Incident)
	}
	if slices.Sort(told); !slices.Equal(told, []string{opened[0].ID, opened[1].ID}) {
		t.Errorf("told %v of %v", told, opened)
	}
}

// TestAnIncidentThatDoesNotDecodeKeepsNoOtherFromBeingToldOf, and it is an alarm.
func TestAnIncidentThatDoesNotDecodeKeepsNoOtherFromBeingToldOf(t *testing.T) {
	h, log, tables := incidentHandler()
	for hours := 3; hours > 0; hours-- { // oldest first
		at := noon.Add(-time.Duration(hours) * time.Hour)
		i := leaked(t, at)
		if err := tables.PutIncident(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if hours == 3 {
			if err := tables.Spoil("prod", i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := h.Handle(t.Context(), json.RawMessage(`{"task":"drift"}`)); err != nil {
		t.Fatal(err)
	}
	if told := tables.Log(); len(told) != 2 {
		t.Errorf("told %+v", told)
	}
	if !strings.Contains(log.String(), `"RowsUnreadable":1`) {
		t.Errorf("no alarm: %s", log)
	}
}

// TestAnEventThatComesTwiceHasTheSameReceipts, of each reference its own.
func TestAnEventThatComesTwiceHasTheSameReceipts(t *testing.T) {
	text, err := os.ReadFile(eventFolder + "/put-secret-value.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &search{}
	h, _ := driftHandler(s)
	for range 2 {
		if _, err := h.Handle(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	r := s.receipts
	if len(r) != 4 || r[0] != r[2] || r[1] != r[3] || r[0] == r[1] {
		t.Errorf("receipts %v", r)
	}
	if at, err := broker.ReceiptTime(r[0]); err != nil || at.Format("15:04:05") != "11:59:48" {
		t.Errorf("%v, %v", at, err)
	}
	s.fault = broker.ErrUnavailable
	if _, err := h.Handle(t.Context(), text); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("an event that was not heeded counts as done: %v", err)
	}
}

func TestWhoseEventsAreHeeded(t *testing.T) {
	for key, want := range map[string]awssm.Account{
		"arn:aws:kms:eu-central-1:111122223333:alias/bindery-values": own,
		"arn:aws:kms:eu-central-1:111122223333:key/0a1b":             own,
		"alias/values": {}, "": {},
	} {
		if got := accountOf(key); got != want {
			t.Errorf("%s: %+v", key, got)
		}
	}
}
