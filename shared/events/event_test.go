package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("elsewhere", 3600))

func fact(kind broker.FactKind, detail string) broker.Record {
	return broker.Record{Receipt: "01KJMMA2G00000000000000001", Phase: broker.Outcome, At: noon, Environment: "prod", Principal: "p-alice",
		Method: string(kind), Action: broker.ActOfItself, Object: "reference/aws-sm:prod/github", After: detail,
		References: []string{"=aws-sm:prod/github", "token=vault:a=b#c"}}
}

func TestAnEventSaysWhatItsRecordSays(t *testing.T) {
	e, ok, err := Of(fact(broker.RotationPromoted, `{"to": "<v2>"}`))
	if !ok || err != nil || e.Type != "bindery.rotation.promoted.v1" || !e.Time.Equal(noon) {
		t.Fatalf("%+v, %t, %v", e, ok, err)
	}
	want := `{"id":"01KJMMA2G00000000000000001","type":"bindery.rotation.promoted.v1","time":"2026-03-01T11:00:00Z","environment":"prod","by":"p-alice",` +
		`"object":"reference/aws-sm:prod/github","references":["aws-sm:prod/github","vault:a=b#c"],"detail":{"to":"<v2>"}}`
	if diff := cmp.Diff(want, string(e.Detail)); diff != "" {
		t.Error(diff)
	}
	again, _, _ := Of(fact(broker.RotationPromoted, `{"to": "<v2>"}`))
	if diff := cmp.Diff(e, again); diff != "" {
		t.Errorf("the same record again: %s", diff)
	}
}

// TestWhatChangedNothingIsNotTold: questions, tries, repetitions, failures, and
// what a change would be before it is made.
func TestWhatChangedNothingIsNotTold(t *testing.T) {
	put := broker.Record{Action: broker.Administer, Method: "put-binding", Phase: broker.Outcome}
	if e, ok, err := Of(put); !ok || err != nil || e.Type != "bindery.binding.put.v1" {
		t.Fatalf("%+v, %t, %v", e, ok, err)
	}
	for name, change := range map[string]func(*broker.Record){
		"a call":       func(r *broker.Record) { r.Action = broker.CallTool },
		"a question":   func(r *broker.Record) { r.Method = "get-binding" },
		"no method":    func(r *broker.Record) { r.Method = "" },
		"an intent":    func(r *broker.Record) { r.Phase = broker.Intent },
		"a dry run":    func(r *broker.Record) { r.Reason = broker.DryRun },
		"a repetition": func(r *broker.Record) { r.Reason = broker.Replayed },
		"a lost race":  func(r *broker.Record) { r.Reason = broker.ChangeLost },
		"a bad body":   func(r *broker.Record) { r.Phase, r.Reason = broker.Refused, broker.ChangeInvalid },
	} {
		r := put
		change(&r)
		if e, ok, err := Of(r); ok || err != nil {
			t.Errorf("%s: %+v, %t, %v", name, e, ok, err)
		}
	}
}

// TestAdministratorsWhoWereNotPermittedAreTold with what they asked for.
func TestAdministratorsWhoWereNotPermittedAreTold(t *testing.T) {
	e, ok, err := Of(broker.Record{Action: broker.Administer, Method: "put-server", Phase: broker.Refused, Reason: broker.NotPermitted})
	if !ok || err != nil || e.Type != RefusedType || !strings.Contains(string(e.Detail), `"operation":"put-server"`) {
		t.Errorf("%+v, %t, %v", e, ok, err)
	}
}

func TestFactsThatNobodyCouldReadAreErrors(t *testing.T) {
	for name, r := range map[string]broker.Record{"unknown": fact("moon.landed", ""), "of nothing": fact("", ""), "text": fact(broker.GrantDied, "text"),
		"list": fact(broker.GrantDied, "[]"), "null": fact(broker.GrantDied, "null"), "half": fact(broker.GrantDied, `{"a":`)} {
		if e, ok, err := Of(r); ok || !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %+v, %t, %v", name, e, ok, err)
		}
	}
}

// TestNoRecordIsTooLongForAnEvent: what takes most room when it is written as
// JSON is left to the record.
func TestNoRecordIsTooLongForAnEvent(t *testing.T) {
	r := fact(broker.NoticeOpened, `{"text":"`+strings.Repeat("x", 60<<10)+`"}`)
	r.References = nil
	e, ok, err := Of(r)
	if !ok || err != nil || strings.Contains(string(e.Detail), "shortened") {
		t.Fatalf("%t, %v", ok, err)
	}
	for range 30 {
		r.References = append(r.References, "="+strings.Repeat("\x01", 2000))
	}
	e, ok, err = Of(r)
	var d Detail
	if !ok || err != nil || e.Size() > MaxDetail || json.Unmarshal(e.Detail, &d) != nil || !d.Shortened || d.Detail != nil || d.Object == "" {
		t.Errorf("%d bytes, %+v, %t, %v", e.Size(), d, ok, err)
	}
}

func TestEachTypeHasOneSource(t *testing.T) {
	var types []string
	for _, k := range Kinds() {
		noun, verb, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(k.Type, "bindery."), ".v1"), ".")
		if k.Type != fmt.Sprintf("bindery.%s.%s.v1", noun, verb) || noun == "" || verb == "" || strings.ContainsAny(noun+verb, ".-") {
			t.Errorf("%s is no type", k.Type)
		}
		if k.Fact != "" && k.Operation != "" || slices.Contains(types, k.Type) {
			t.Errorf("%+v", k)
		}
		types = append(types, k.Type)
	}
}
