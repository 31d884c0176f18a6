package dynamo

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"

	"bindery/shared/broker"
)

// entryRow is stored once under each of an entry's leads. The time is in the
// receipt.
type entryRow struct {
	item
	Receipt        string   `dynamodbav:"receipt"`
	Phase          string   `dynamodbav:"phase"`
	Environment    string   `dynamodbav:"environment"`
	Server         string   `dynamodbav:"server,omitempty"`
	Principal      string   `dynamodbav:"principal,omitempty"`
	Kind           string   `dynamodbav:"kind,omitempty"`
	Agent          string   `dynamodbav:"agent,omitempty"`
	Method         string   `dynamodbav:"method,omitempty"`
	Action         string   `dynamodbav:"action,omitempty"`
	Target         string   `dynamodbav:"target,omitempty"`
	Binding        string   `dynamodbav:"binding,omitempty"`
	BindingVersion int64    `dynamodbav:"binding_version,omitempty"`
	References     []string `dynamodbav:"references,omitempty"`
	Policy         string   `dynamodbav:"policy,omitempty"`
	Policies       []string `dynamodbav:"policies,omitempty"`
	Shadow         string   `dynamodbav:"shadow,omitempty"`
	Reason         string   `dynamodbav:"reason,omitempty"`
	Status         int      `dynamodbav:"status,omitempty"`
	RequestID      string   `dynamodbav:"request_id,omitempty"`
	Object         string   `dynamodbav:"object,omitempty"`
}

func newEntryRow(e broker.Entry, l broker.Lead) entryRow {
	return entryRow{entryKey(e, l).item(), e.Receipt, string(e.Phase), e.Environment, e.Server, e.Principal, string(e.Kind), e.Agent,
		e.Method, string(e.Action), e.Target, e.Binding, e.BindingVersion, e.References, e.Policy, e.Policies,
		e.Shadow, string(e.Reason), e.Status, e.RequestID, e.Object}
}

func (r entryRow) value() (broker.Entry, error) {
	at, err := broker.ReceiptTime(r.Receipt)
	return broker.Entry{Receipt: r.Receipt, Phase: broker.Phase(r.Phase), At: at, Environment: r.Environment, Server: r.Server,
		Principal: r.Principal, Kind: broker.Kind(r.Kind), Agent: r.Agent, Method: r.Method, Action: broker.Action(r.Action),
		Target: r.Target, Binding: r.Binding, BindingVersion: r.BindingVersion, References: r.References,
		Policy: r.Policy, Policies: r.Policies, Shadow: r.Shadow, Reason: broker.Reason(r.Reason), Status: r.Status, RequestID: r.RequestID,
		Object: r.Object}, err
}

// decodeEntry reads what was found by a lead, and must be where the lead leads.
func decodeEntry(a attributes, l broker.Lead) (broker.Entry, error) {
	e, err := decode(a, entryRow.value, func(e broker.Entry) key { return entryKey(e, l) })
	if err == nil && !e.LedBy(l) {
		err = fmt.Errorf("%w: it belongs to another key", broker.ErrUndecodable)
	}
	return e, err
}

// seenRow is one use, under one of the names it is asked by. First and Last are
// stamps, which compare as text.
type seenRow struct {
	item
	Principal string `dynamodbav:"principal"`
	Agent     string `dynamodbav:"agent"`
	Server    string `dynamodbav:"server"`
	Binding   string `dynamodbav:"binding"`
	First     string `dynamodbav:"first"`
	Last      string `dynamodbav:"last"`
}

// usageRow keeps receipts: they tell the time, and which of two calls of one
// millisecond is the newer.
type usageRow struct {
	item
	Server   string `dynamodbav:"server"`
	Binding  string `dynamodbav:"binding"`
	Last     string `dynamodbav:"last"`
	Reason   string `dynamodbav:"reason"`
	LastGood string `dynamodbav:"last_good"`
}

type rotationRow struct {
	item
	Reference string `dynamodbav:"reference"`
	Version   string `dynamodbav:"version"`
	Since     string `dynamodbav:"since"`
}

type lagRow struct {
	item
	Newest  string `dynamodbav:"newest"`
	Indexed string `dynamodbav:"indexed"`
}

type lookedRow struct {
	item
	Until string `dynamodbav:"until"`
}

// row reads an item that stands for no value with rules of its own, and holds it
// to the key it must have.
func row[R interface{ begin() item }](a attributes, at func(R) key) (R, error) {
	var r, none R
	if err := attributevalue.UnmarshalMap(a, &r); err != nil {
		return none, fmt.Errorf("%w: an attribute has the wrong type", broker.ErrUndecodable)
	}
	switch i := r.begin(); {
	case i.Schema != schema:
		return none, fmt.Errorf("%w: schema %d is unknown", broker.ErrUndecodable, i.Schema)
	case at(r) != (key{i.PK, i.SK}):
		return none, fmt.Errorf("%w: it belongs to another key", broker.ErrUndecodable)
	}
	return r, nil
}

func decodeSeen(a attributes, environment string, kind broker.SeenKind, id string) (broker.Seen, error) {
	named := func(r seenRow) broker.Sighting {
		return broker.Sighting{Environment: environment, By: kind, ID: id,
			Seen: broker.Seen{Principal: r.Principal, Agent: r.Agent, Server: r.Server, Binding: r.Binding}}
	}
	r, err := row(a, func(r seenRow) key { return seenKey(named(r)) })
	if err != nil {
		return broker.Seen{}, err
	}
	s := named(r).Seen
	if s.First, err = stampOf(r.First); err != nil {
		return broker.Seen{}, err
	}
	s.Last, err = stampOf(r.Last)
	return s, err
}

func decodeUsage(a attributes, environment string) (broker.Usage, error) {
	r, err := row(a, func(r usageRow) key { return usageKey(environment, r.Server, r.Binding) })
	if err != nil {
		return broker.Usage{}, err
	}
	u := broker.Usage{Server: r.Server, Binding: r.Binding, Reason: broker.Reason(r.Reason)}
	if u.Last, err = broker.ReceiptTime(r.Last); err == nil && r.LastGood != "" {
		u.LastGood, err = broker.ReceiptTime(r.LastGood)
	}
	if err != nil {
		return broker.Usage{}, fmt.Errorf("%w: %w", broker.ErrUndecodable, err)
	}
	return u, nil
}

func decodeRotation(a attributes, environment string) (broker.SeenVersion, error) {
	named := func(r rotationRow) broker.SeenVersion {
		return broker.SeenVersion{Reference: r.Reference, Version: r.Version}
	}
	r, err := row(a, func(r rotationRow) key { return rotationKey(environment, named(r)) })
	if err != nil {
		return broker.SeenVersion{}, err
	}
	v := named(r)
	v.Since, err = stampOf(r.Since)
	return v, err
}

func decodeLag(a attributes, environment string) (broker.Lag, error) {
	r, err := row(a, func(lagRow) key { return lagKey(environment) })
	if err != nil {
		return broker.Lag{}, err
	}
	var l broker.Lag
	if l.Newest, err = stampOf(r.Newest); err != nil {
		return broker.Lag{}, err
	}
	l.Indexed, err = stampOf(r.Indexed)
	return l, err
}

// stampOf reads a time that must be there.
func stampOf(s string) (time.Time, error) {
	t, err := parseStamp(s)
	if err != nil || t.IsZero() {
		return time.Time{}, fmt.Errorf("%w: a time is missing", broker.ErrUndecodable)
	}
	return t, nil
}
