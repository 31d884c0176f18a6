package dynamo

import (
	"fmt"
	"strings"
	"time"

	"bindery/shared/broker"
)

type revocationRow struct {
	item
	Environment string         `dynamodbav:"environment"`
	ID          string         `dynamodbav:"id"`
	Version     int64          `dynamodbav:"version"`
	Kind        string         `dynamodbav:"kind"`
	Subject     string         `dynamodbav:"subject"`
	Epoch       int64          `dynamodbav:"epoch"`
	Lifts       *bool          `dynamodbav:"lifts"` // its absence must not read as either
	By          string         `dynamodbav:"by,omitempty"`
	Via         string         `dynamodbav:"via"`
	Reason      string         `dynamodbav:"reason,omitempty"`
	At          string         `dynamodbav:"at"`
	Work        string         `dynamodbav:"work"`
	NextTry     string         `dynamodbav:"next_try,omitempty"`
	Tries       int            `dynamodbav:"tries,omitempty"`
	Done        string         `dynamodbav:"done,omitempty"`
	Sessions    tallyRow       `dynamodbav:"sessions"`
	Grants      tallyRow       `dynamodbav:"grants"`
	Values      tallyRow       `dynamodbav:"values"`
	Accepted    string         `dynamodbav:"accepted,omitempty"`
	Unreached   []unreachedRow `dynamodbav:"unreached,omitempty"`
	Unknown     []string       `dynamodbav:"unknown,omitempty"`
	Counted     []string       `dynamodbav:"counted,omitempty"`
}

type tallyRow struct {
	Found   int `dynamodbav:"found"`
	Ended   int `dynamodbav:"ended"`
	GivenUp int `dynamodbav:"given_up"`
}

type unreachedRow struct {
	What     string `dynamodbav:"what"`
	ID       string `dynamodbav:"id"`
	Server   string `dynamodbav:"server,omitempty"`
	Provider string `dynamodbav:"provider,omitempty"`
	Fault    string `dynamodbav:"fault,omitempty"`
	Until    string `dynamodbav:"until,omitempty"`
	GivenUp  bool   `dynamodbav:"given_up,omitempty"`
}

func newRevocationRow(r broker.Revocation) revocationRow {
	row := revocationRow{revocationKey(r.Environment, r.ID).item(), r.Environment, r.ID, r.Version, string(r.Kind), r.Subject, r.Epoch, &r.Lifts,
		r.By, r.Via, r.Reason, stamp(r.At), string(r.Work), stamp(r.NextTry), r.Tries, stamp(r.Done),
		tallyRow(r.Sessions), tallyRow(r.Grants), tallyRow(r.Values), stamp(r.Accepted), nil, r.Unknown, r.Counted}
	for _, u := range r.Unreached {
		row.Unreached = append(row.Unreached, unreachedRow{u.What, u.ID, u.Server, u.Provider, u.Fault, stamp(u.Until), u.GivenUp})
	}
	return row
}

func (r revocationRow) value() (broker.Revocation, error) {
	v := broker.Revocation{Environment: r.Environment, ID: r.ID, Version: r.Version, Kind: broker.MarkerKind(r.Kind), Subject: r.Subject,
		Epoch: r.Epoch, By: r.By, Via: r.Via, Reason: r.Reason, Work: broker.WorkState(r.Work), Tries: r.Tries,
		Sessions: broker.Tally(r.Sessions), Grants: broker.Tally(r.Grants), Values: broker.Tally(r.Values), Unknown: r.Unknown, Counted: r.Counted}
	if r.Lifts == nil {
		return v, fmt.Errorf("%w revocation: an attribute is missing", broker.ErrInvalid)
	}
	v.Lifts = *r.Lifts
	for _, of := range []struct {
		text string
		into *time.Time
	}{{r.At, &v.At}, {r.NextTry, &v.NextTry}, {r.Done, &v.Done}, {r.Accepted, &v.Accepted}} {
		at, err := parseStamp(of.text)
		if err != nil {
			return v, err
		}
		*of.into = at
	}
	for _, u := range r.Unreached {
		until, err := parseStamp(u.Until)
		if err != nil {
			return v, err
		}
		v.Unreached = append(v.Unreached, broker.Unreached{What: u.What, ID: u.ID, Server: u.Server, Provider: u.Provider, Fault: u.Fault, Until: until, GivenUp: u.GivenUp})
	}
	return versioned(v, r.Version)
}

func decodeRevocation(a attributes) (broker.Revocation, error) {
	return decode(a, revocationRow.value, func(v broker.Revocation) key { return revocationKey(v.Environment, v.ID) })
}

// The keys of cases and of their entries. Receipts need no escape, and sort by time.

func revocationsPartition(environment string) string { return join("revocations", environment) }

func revocationKey(environment, id string) key {
	return key{revocationsPartition(environment), join("case", id)}
}

func openRevocationKey(environment, id string) key {
	return key{revocationsPartition(environment), join("open", id)}
}

// caseOfEntry is where the case of an entry lies.
func caseOfEntry(environment string, entry key) (key, error) {
	id, found := strings.CutPrefix(entry.sk, "open/")
	if !found || broker.CheckCase(environment, id) != nil {
		return key{}, fmt.Errorf("%w: it names no case", broker.ErrUndecodable)
	}
	return revocationKey(environment, id), nil
}

// casesBefore bounds the sort keys to those of cases older than one. "~" sorts
// after every digit of a receipt, and the last digit less one before the last.
func casesBefore(id string) (first, last string) {
	first, last = after("case", "")
	if id != "" {
		digit := len(id) - 1
		last = join("case", id[:digit]) + string(id[digit]-1) + "~"
	}
	return first, last
}
