package dynamo

import (
	"fmt"

	"bindery/shared/broker"
)

// runRow is a run. The latest of its subject carries due and due_at while it
// has not ended, and is the only one with what is kept.
type runRow struct {
	item
	Environment string     `dynamodbav:"environment"`
	Subject     string     `dynamodbav:"subject"`
	ID          string     `dynamodbav:"id"`
	Previous    *string    `dynamodbav:"previous"` // its absence must not read as "none"
	Version     int64      `dynamodbav:"version"`
	Plan        string     `dynamodbav:"plan,omitempty"`
	By          string     `dynamodbav:"by,omitempty"`
	Step        string     `dynamodbav:"step"`
	Begun       *string    `dynamodbav:"begun"`
	Moved       *string    `dynamodbav:"moved"`
	Holder      string     `dynamodbav:"holder"`
	HeldUntil   *string    `dynamodbav:"held_until"`
	Next        *string    `dynamodbav:"next"`
	Until       *string    `dynamodbav:"until"`
	Tries       int        `dynamodbav:"tries"`
	From        string     `dynamodbav:"from,omitempty"`
	To          string     `dynamodbav:"to,omitempty"`
	Kept        []byte     `dynamodbav:"kept,omitempty"`
	Fields      []fieldRow `dynamodbav:"fields,omitempty"`
	Before      []fieldRow `dynamodbav:"before,omitempty"`
	Reason      string     `dynamodbav:"reason,omitempty"`
	Due         string     `dynamodbav:"due,omitempty"`
	DueAt       string     `dynamodbav:"due_at,omitempty"`
}

func newRunRow(r broker.Rotation, at key) runRow {
	begun, moved, held, next, until := stamp(r.Begun), stamp(r.Moved), stamp(r.HeldUntil), stamp(r.Next), stamp(r.Until)
	row := runRow{item: at.item(), Environment: r.Environment, Subject: r.Subject, ID: r.ID, Previous: &r.Previous, Version: r.Version,
		Plan: r.Plan, By: r.By, Step: string(r.Step), Begun: &begun, Moved: &moved, Holder: r.Holder, HeldUntil: &held, Next: &next, Until: &until,
		Tries: r.Tries, From: r.From, To: r.To, Fields: fieldRows(r.Fields), Before: fieldRows(r.Before), Reason: string(r.Reason)}
	if at == latestRunKey(r.Environment, r.Subject) {
		row.Kept = r.Kept
		if next != "" {
			row.Due, row.DueAt = dueRotationsPartition(r.Environment), next
		}
	}
	return row
}

func fieldRows(fields []broker.Field) (rows []fieldRow) {
	for _, f := range fields {
		rows = append(rows, fieldRow{f.Name, f.Reference.String()})
	}
	return rows
}

func parseFields(rows []fieldRow) (fields []broker.Field, err error) {
	for _, f := range rows {
		reference, err := broker.StoredReference(f.Reference)
		if err != nil {
			return nil, err
		}
		fields = append(fields, broker.Field{Name: f.Name, Reference: reference})
	}
	return fields, nil
}

func (r runRow) value() (broker.Rotation, error) {
	times, err := parseStamps(r.Begun, r.Moved, r.HeldUntil, r.Next, r.Until)
	if err != nil || r.Previous == nil {
		return broker.Rotation{}, fmt.Errorf("%w rotation: an attribute is missing", broker.ErrInvalid)
	}
	v := broker.Rotation{Environment: r.Environment, Subject: r.Subject, ID: r.ID, Previous: *r.Previous, Version: r.Version, Plan: r.Plan,
		By: r.By, Step: broker.RotationStep(r.Step), Begun: times[0], Moved: times[1], Holder: r.Holder, HeldUntil: times[2], Next: times[3], Until: times[4],
		Tries: r.Tries, From: r.From, To: r.To, Kept: r.Kept, Reason: broker.Reason(r.Reason)}
	if v.Fields, err = parseFields(r.Fields); err == nil {
		v.Before, err = parseFields(r.Before)
	}
	if err != nil {
		return v, err
	}
	return versioned(v, r.Version)
}

// decodeRun reads a run where at says that it is.
func decodeRun(at func(broker.Rotation) key) func(attributes) (broker.Rotation, error) {
	return func(a attributes) (broker.Rotation, error) { return decode(a, runRow.value, at) }
}

func latestOf(r broker.Rotation) key  { return latestRunKey(r.Environment, r.Subject) }
func ofSubject(r broker.Rotation) key { return runKey(r.Environment, r.Subject, r.ID) }
func ofAll(r broker.Rotation) key     { return runKey(r.Environment, "", r.ID) }
