package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/revoke"
)

func at(minute int) time.Time { return time.Date(2026, 3, 1, 12, minute, 0, 0, time.UTC) }

// told is a history of the environment prod since minute 10.
func told(records ...broker.Record) *history {
	h := newHistory("prod", at(10))
	for i, r := range records {
		if r.Environment == "" {
			r.Environment = "prod"
		}
		if r.Receipt == "" {
			r.Receipt = broker.ReceiptOf(r.At, r.Object, string(rune('a'+i)))
		}
		h.add(r)
	}
	return h
}

func intent(minute int, method, object, after string) broker.Record {
	return broker.Record{At: at(minute), Phase: broker.Intent, Action: broker.Administer, Method: method, Object: object, After: after}
}

func fact(minute int, kind broker.FactKind, object string, detail any) broker.Record {
	text, _ := json.Marshal(detail)
	return broker.Record{At: at(minute), Phase: broker.Outcome, Action: broker.ActOfItself, Method: string(kind), Object: object, After: string(text)}
}

func stopped(minute int, kind broker.MarkerKind, subject string, epoch int64) broker.Record {
	return fact(minute, broker.RevocationAcknowledged, string(kind)+"/"+subject, revoke.Stopped{Case: "01K", Kind: kind, Subject: subject, Epoch: epoch, By: "p-x", Reason: "r"})
}

func TestWhatWasChangedIsTakenFromVersionsNotFromClocks(t *testing.T) {
	h := told(
		intent(1, "put-binding", "binding/notes/a", `{"version":4}`), // before the copy, by a clock that is late
		intent(20, "put-binding", "binding/notes/b", `{"version":1}`),
		intent(21, "delete-binding", "binding/notes/b", ""),
		broker.Record{At: at(22), Phase: broker.Refused, Action: broker.Administer, Method: "put-binding", Object: "binding/notes/c", After: `{"version":9}`},
		broker.Record{Environment: "dev", At: at(22), Phase: broker.Intent, Action: broker.Administer, Method: "put-binding", Object: "binding/notes/c", After: `{"version":9}`})
	for object, want := range map[string]struct {
		version, latest int64
		deleted         bool
	}{"binding/notes/a": {4, 5, false}, "binding/notes/b": {1, 3, true}, "binding/notes/c": {7, 7, false}} {
		if latest, deleted := h.Changed(object, want.version); latest != want.latest || deleted != want.deleted {
			t.Errorf("%s came to version %d, deleted %v", object, latest, deleted)
		}
	}
	if latest, _ := h.Changed("binding/notes/a", 5); latest != 5 {
		t.Error("what is in the copy counts as changed since")
	}
}

func TestARecordInBothTablesCountsOnce(t *testing.T) {
	twice := intent(20, "put-value", "value/notes", "{}")
	twice.Receipt = broker.ReceiptOf(twice.At, "one")
	if times, deleted := told(twice, twice).ValueMoved("notes"); times != 1 || deleted {
		t.Errorf("counted %d times, deleted %v", times, deleted)
	}
}

func TestTheLatestDecisionOnAMarkerCounts(t *testing.T) {
	lifted := stopped(12, broker.AgentMarker, "corp:bot", 2)
	lifted.Method = string(broker.RevocationLifted)
	h := told(stopped(1, broker.PrincipalMarker, "p-alice", 3), stopped(0, broker.PrincipalMarker, "p-alice", 1), lifted,
		stopped(11, broker.AgentMarker, "corp:bot", 1), stopped(11, broker.EnvironmentMarker, "prod", 1))
	stops := h.stops()
	if len(stops) != 1 || stops[0].ID != "p-alice" || stops[0].Epoch != 3 || !stops[0].Revoked || stops[0].Revocation != "01K" {
		t.Errorf("stopped again: %+v", stops)
	}
	if l := h.lifted(); len(l) != 1 || l[0] != "agent/corp:bot" {
		t.Errorf("lifted: %v", l)
	}
}

// TestADecisionUnderACounterThatBeganAnewCounts: markers were lost once before, and
// with them how far their epochs had come.
func TestADecisionUnderACounterThatBeganAnewCounts(t *testing.T) {
	lifted := func(minute int, epoch int64) broker.Record {
		r := stopped(minute, broker.AgentMarker, "corp:bot", epoch)
		r.Method = string(broker.RevocationLifted)
		return r
	}
	records := []broker.Record{stopped(1, broker.AgentMarker, "corp:bot", 3), lifted(2, 4), stopped(12, broker.AgentMarker, "corp:bot", 1)}
	for range 2 { // in whatever order the table gives them
		stops := told(records...).stops()
		if len(stops) != 1 || !stops[0].Revoked || !stops[0].At.Equal(at(12)) || stops[0].Epoch <= 4 || stops[0].Revocation == "01K" {
			t.Fatalf("stopped again: %+v", stops)
		}
		again := stopped(12, broker.AgentMarker, "corp:bot", stops[0].Epoch) // what is told of it
		again.After = strings.Replace(again.After, "01K", stops[0].Revocation, 1)
		if after := told(append(records, again)...).stops(); len(after) != 1 || after[0] != stops[0] {
			t.Errorf("the second time: %+v", after)
		}
		slices.Reverse(records)
	}
	if stops := told(append(records, lifted(13, 2))...).stops(); len(stops) != 0 {
		t.Errorf("it was lifted last: %+v", stops)
	}
}

// TestWhatCleanupEndedSinceDoesNotComeBack: the revocation is older than the copies,
// and what it ended is in them.
func TestWhatCleanupEndedSinceDoesNotComeBack(t *testing.T) {
	for _, kind := range []broker.FactKind{broker.RevocationCompleted, broker.RevocationIncomplete} {
		h := told(stopped(1, broker.PrincipalMarker, "p-alice", 1), fact(11, kind, "principal/p-alice", nil),
			stopped(1, broker.ReferenceMarker, "sealed:leaked", 1), fact(11, kind, "reference/sealed:leaked", nil),
			stopped(1, broker.ServerMarker, "drive", 1))
		if !h.GrantMoved("p-alice", "any") || h.GrantMoved("p-bob", "drive") {
			t.Errorf("%s: grants", kind)
		}
		if times, deleted := h.ValueMoved("leaked"); times == 0 || !deleted {
			t.Errorf("%s: the value would come back", kind)
		}
	}
}

func TestACardThatARotationChangedSinceComesBackClosed(t *testing.T) {
	versions := func(from, to string) any { return map[string]string{"from": from, "to": to} }
	h := told(fact(11, broker.RotationPromoted, "binding/notes/a", versions("3", "4")),
		fact(11, broker.RotationPromoted, "binding/notes/b", versions("3", "4")), fact(12, broker.RotationRolledBack, "binding/notes/b", versions("3", "4")),
		fact(11, broker.RotationRolledBack, "binding/notes/c", versions("3", "")))
	for name, want := range map[string]int64{"a": 4, "b": 5, "c": 3} {
		if latest, deleted := h.Changed("binding/notes/"+name, 3); latest != want || deleted {
			t.Errorf("%s came to version %d, deleted %v", name, latest, deleted)
		}
	}
}

func TestRowsOfAnotherReleaseAreNotWrittenPast(t *testing.T) {
	for write, refused := range map[bool]bool{false: false, true: true} {
		var out strings.Builder
		r := &restoration{asked: asked{write: write}, out: &out}
		if err := r.refill(dynamo.Refilled{Read: 3, Put: 2, Unknown: 1}, nil)("revocations"); (err != nil) != refused || !refused && !strings.Contains(out.String(), "-write would refuse") {
			t.Errorf("write %v: %v\n%s", write, err, out.String())
		}
	}
}

func TestNothingThatIsNamedPutsWordsIntoTheMouthOfTheProgram(t *testing.T) {
	var out strings.Builder
	(&restoration{out: &out}).say("  closed     %s", "agent/x\n  revoked    everything\x1b[2J")
	if got := out.String(); strings.Count(got, "\n") != 1 || strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}

// TestRowsThatAreNoRecordsAreNamedByTheirKeys, each once though it is in both
// tables, nothing of what they hold, and no more than somebody reads.
func TestRowsThatAreNoRecordsAreNamedByTheirKeys(t *testing.T) {
	said := func(h *history) []string {
		var out strings.Builder
		(&restoration{out: &out}).sayUnreadable(h)
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
	if got := said(told()); !slices.Equal(got, []string{""}) {
		t.Errorf("nothing is wrong, and it says %q", got)
	}
	garbled := stopped(12, broker.AgentMarker, "corp:bot", 0)
	garbled.Receipt = "01KGARBLED"
	h := told(garbled)
	for range 2 {
		h.unreadable[dynamo.ScanPlace{Receipt: "x\n  revoked    everything" + strings.Repeat("y", 2000), Phase: "intent"}] = true
	}
	want := []string{"2 rows of the audit table are no records: what they said is not known here",
		`  no record  pk="01KGARBLED" sk="outcome"`, `  no record  pk="x\n  revoked    everything` + strings.Repeat("y", namedKey-len("x\n  revoked    everything")) + `" sk="intent"`}
	if got := said(h); !slices.Equal(got, want) {
		t.Errorf("it says %q", got)
	}
	for i := range 50 {
		h.unreadable[dynamo.ScanPlace{Receipt: strings.Repeat("z", i+1), Phase: "intent"}] = true
	}
	if got := said(h); len(got) != 1+namedKeys+1 || !strings.HasSuffix(got[len(got)-1], "32 more") {
		t.Errorf("it says %q", got)
	}
}

func TestGrantsAndValuesThatEndedSinceAreKnown(t *testing.T) {
	h := told(stopped(11, broker.PrincipalMarker, "p-alice", 1), stopped(11, broker.ServerMarker, "drive", 1), stopped(11, broker.ReferenceMarker, "sealed:leaked", 1),
		intent(11, "end-connection", "grant/notes/p-bob", ""), fact(11, broker.GrantDied, "grant/p-carol/notes", nil),
		stopped(1, broker.PrincipalMarker, "p-dora", 1))
	for _, ended := range [][2]string{{"p-alice", "any"}, {"p-dora", "drive"}, {"p-bob", "notes"}, {"p-carol", "notes"}} {
		if !h.GrantMoved(ended[0], ended[1]) {
			t.Errorf("the grant of %s at %s would come back", ended[0], ended[1])
		}
	}
	if h.GrantMoved("p-bob", "other") || h.GrantMoved("p-dora", "notes") {
		t.Error("a grant that nobody touched would not come back")
	}
	if times, deleted := h.ValueMoved("leaked"); times != 1 || !deleted {
		t.Error("a value whose reference was revoked would come back")
	}
	if !told(stopped(11, broker.EverythingMarker, "prod", 1)).GrantMoved("p-x", "y") {
		t.Error("a grant would come back after everything was revoked")
	}
	if _, deleted := told(stopped(11, broker.StoreMarker, "sealed", 1)).ValueMoved("x"); !deleted {
		t.Error("a value would come back after its store was revoked")
	}
}

func TestCommandLinesThatCouldDoHarmAreRefused(t *testing.T) {
	good := []string{"-environment", "prod", "-to", "bindery-prod-", "-from", "copy-bindery-prod-"}
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string][]string{"a table that starts empty": {"-tables", "transient"}, "the index": {"-tables", "grants,audit-index"},
		"onto itself": {"-from", "bindery-prod-"}, "no environment": {"-environment", ""}, "a word more": {"now"}, "no time": {"-since", "yesterday"}} {
		if _, err := parse(append(good[:len(good):len(good)], more...)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// TestTheCommandOfTheDocumentIsOneThatIsTaken, with and without -write.
func TestTheCommandOfTheDocumentIsOneThatIsTaken(t *testing.T) {
	page, err := os.ReadFile("../../docs/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(page), "\ngo run ./infra/restore ")
	line, _, _ = strings.Cut(line, "\n")
	a, err := parse(strings.Fields(strings.NewReplacer("$STACK", "bindery-prod", "$ENVIRONMENT", "prod").Replace(line)))
	if !found || err != nil || a.to != "bindery-prod-" || a.from != "copy-bindery-prod-" || a.environment != "prod" || len(a.tables) != 4 || a.write {
		t.Errorf("%+v, %v", a, err)
	}
}
