package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bindery/shared/broker"
)

// MaxDetail is the longest detail of an event, in bytes: a request to EventBridge
// may hold 256 KB, names included.
const MaxDetail = 250 << 10

// Event is one event: its type, when what it tells happened, and its Detail as JSON.
type Event struct {
	Type   string
	Time   time.Time
	Detail []byte
}

// Size is what the event counts of a request to EventBridge.
func (e Event) Size() int { return len(Source) + len(e.Type) + len(e.Detail) + timeSize }

const timeSize = 14 // what EventBridge counts for a time, as its documentation says

// Detail is what an event says. ID and Type name it: whoever gets it twice knows
// it by them, and finds the audit records under the ID.
type Detail struct {
	ID          string          `json:"id"`   // the receipt of the record
	Type        string          `json:"type"` // again, so that the detail says all by itself
	Time        time.Time       `json:"time"`
	Environment string          `json:"environment"`
	By          string          `json:"by,omitempty"`    // principal; absent: Bindery by itself
	Agent       string          `json:"agent,omitempty"` // through which they came
	Operation   string          `json:"operation,omitempty"`
	Object      string          `json:"object,omitempty"` // as in "binding/github/dev-github"
	Server      string          `json:"server,omitempty"`
	Binding     string          `json:"binding,omitempty"`
	References  []string        `json:"references,omitempty"`
	Reason      string          `json:"reason,omitempty"` // a word, of a failure
	RequestID   string          `json:"request_id,omitempty"`
	Shortened   bool            `json:"shortened,omitempty"` // references and detail were too long for an event: they are in the record
	Detail      json.RawMessage `json:"detail,omitempty"`    // of the type's own
}

// Of makes the event of a record. Of most records there is none, which is no
// error: ok is false. A record that should be an event and cannot be fails
// with broker.ErrInvalid.
func Of(r broker.Record) (e Event, ok bool, err error) {
	kind, ok, err := kindOf(r)
	if !ok || err != nil {
		return Event{}, false, err
	}
	d := Detail{ID: r.Receipt, Type: kind.Type, Time: r.At.UTC(), Environment: r.Environment, By: r.Principal, Agent: r.Agent,
		Operation: kind.Operation, Object: r.Object, Server: r.Server, Binding: r.Binding, Reason: string(r.Reason), RequestID: r.RequestID}
	if kind.Type == RefusedType {
		d.Operation = r.Method
	}
	for _, named := range r.References {
		_, reference, _ := strings.Cut(named, "=")
		d.References = append(d.References, reference)
	}
	if r.Action == broker.ActOfItself && r.After != "" {
		if !object(r.After) {
			return Event{}, false, fmt.Errorf("%w detail of a fact: it must be a JSON object", broker.ErrInvalid)
		}
		d.Detail = json.RawMessage(r.After)
	}
	text, err := encode(d)
	if err == nil && len(text) > MaxDetail {
		d.References, d.Detail, d.Shortened = nil, nil, true
		text, err = encode(d)
	}
	if err != nil {
		return Event{}, false, err
	}
	return Event{Type: kind.Type, Time: d.Time, Detail: text}, true, nil
}

// kindOf finds what a record is in the catalogue. A fact that the catalogue does
// not know is an error: somebody records what nobody is told. A request that was
// answered again, or only tried, has a reason in its record and changed nothing.
func kindOf(r broker.Record) (Kind, bool, error) {
	switch {
	case r.Action == broker.ActOfItself:
		for _, k := range Kinds() {
			if k.Fact != "" && string(k.Fact) == r.Method {
				return k, true, nil
			}
		}
		return Kind{}, false, fmt.Errorf("%w fact: the catalogue of events does not know it", broker.ErrInvalid)
	case r.Action != broker.Administer:
		return Kind{}, false, nil
	case r.Phase == broker.Refused && r.Reason == broker.NotPermitted:
		return Kind{Type: RefusedType}, true, nil
	case r.Phase == broker.Outcome && r.Reason == "":
		for _, k := range Kinds() {
			if k.Operation != "" && k.Operation == r.Method {
				return k, true, nil
			}
		}
	}
	return Kind{}, false, nil
}

// object reports whether text is one JSON object.
func object(text string) bool {
	return json.Valid([]byte(text)) && strings.HasPrefix(strings.TrimSpace(text), "{")
}

// encode writes a detail without the escapes that only HTML needs.
func encode(d Detail) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("%w event: it cannot be encoded", broker.ErrInvalid)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
