package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/revoke"
)

// history is what the audit records say: of all revocations, and of what else
// happened since a time.
type history struct {
	environment string
	since       time.Time
	first       time.Time         // of the oldest record
	changes     map[string]change // by the object, as records name it
	grants      map[string]bool   // by principal and server, either may be empty: any
	values      map[string]change
	sealed      bool                               // the store of all sealed values was revoked
	latest      map[broker.MarkerKey]broker.Marker // by its epoch
	last        map[broker.MarkerKey]broker.Marker // by its time
	seen        map[string]bool                    // records that were in both tables
	unreadable  map[dynamo.ScanPlace]bool          // rows that are no records, or that do not say what was stopped
}

// change is what administrators did to an object.
type change struct {
	latest  int64 // the version that the last change we know of made
	unknown int64 // changes since, of which nobody knows what they replaced
	last    time.Time
	deleted bool
}

func newHistory(environment string, since time.Time) *history {
	return &history{environment: environment, since: since, changes: map[string]change{}, grants: map[string]bool{}, values: map[string]change{},
		latest: map[broker.MarkerKey]broker.Marker{}, last: map[broker.MarkerKey]broker.Marker{}, seen: map[string]bool{},
		unreadable: map[dynamo.ScanPlace]bool{}}
}

var _ dynamo.History = (*history)(nil)

// scanned is how many records are read at once.
const scanned = 500

// history reads all records, also those of the copy while it is refilled from.
func (r *restoration) history(ctx context.Context, since time.Time) (*history, error) {
	h := newHistory(r.environment, since)
	from := []*dynamo.DB{r.live}
	if slices.Contains(r.tables, "audit") {
		from = append(from, r.copies)
	}
	for _, db := range from {
		of := dynamo.Segment{Segments: 1}
		for {
			page, err := db.ScanRecords(ctx, of, scanned)
			if err != nil {
				return nil, fmt.Errorf("read the audit records: %w", err)
			}
			for _, at := range page.Unreadable {
				h.unreadable[at] = true
			}
			for _, record := range page.Records {
				h.add(record)
			}
			if page.Next == nil {
				break
			}
			of.After = page.Next
		}
	}
	return h, nil
}

func (h *history) add(r broker.Record) {
	kind := broker.FactKind(r.Method)
	stop := kind == broker.RevocationAcknowledged || kind == broker.RevocationLifted
	if r.Environment != h.environment {
		return
	}
	if h.first.IsZero() || r.At.Before(h.first) {
		h.first = r.At
	}
	change := r.Action == broker.Administer && r.Phase == broker.Intent // of which some count by their versions, whenever they were
	if !stop && !change && r.At.Before(h.since) {
		return
	}
	once := r.Receipt + " " + string(r.Phase)
	if h.seen[once] {
		return
	}
	h.seen[once] = true
	switch {
	case r.Action == broker.ActOfItself && stop:
		h.stop(r)
	case r.Action == broker.ActOfItself:
		h.fact(r)
	case change:
		h.changed(r)
	}
}

// changed counts an intent: whether it was carried out does not matter, for
// nobody is harmed by looking at a card that did not change.
func (h *history) changed(r broker.Record) {
	c, replaced := h.changes[r.Object], replacedBy(r)
	switch {
	case replaced >= 0:
		c.latest = max(c.latest, replaced+1)
	case !r.At.Before(h.since):
		c.unknown++
	}
	if !r.At.Before(c.last) {
		c.last, c.deleted = r.At, strings.HasPrefix(r.Method, "delete-")
	}
	h.changes[r.Object] = c
	if r.At.Before(h.since) {
		return
	}
	kind, name, _ := strings.Cut(r.Object, "/")
	switch kind {
	case "value":
		h.value(name, strings.HasPrefix(r.Method, "delete-"))
	case "grant": // of one's own connections: server/principal
		server, principal, _ := strings.Cut(name, "/")
		h.grants[principal+"/"+server] = true
	}
}

// replacedBy is the version that a change replaced, which both its sides name, or
// -1 where the record does not say.
func replacedBy(r broker.Record) int64 {
	var row struct{ Version *int64 }
	if json.Unmarshal([]byte(cmp.Or(r.After, r.Before)), &row) != nil || row.Version == nil {
		return -1
	}
	return *row.Version
}

func (h *history) fact(r broker.Record) {
	kind, name, _ := strings.Cut(r.Object, "/")
	switch k := broker.FactKind(r.Method); {
	case k == broker.RevocationCompleted, k == broker.RevocationIncomplete: // by now; it may have begun before
		h.ended(broker.MarkerKind(kind), name)
		return
	case kind == "grant":
		h.grants[name] = true
	case kind == "binding" && (k == broker.RotationPromoted || k == broker.RotationRolledBack):
		h.rotated(r, k == broker.RotationRolledBack)
	}
	for _, reference := range append(slices.Clone(r.References), r.Object) {
		h.used(reference, false)
	}
}

// rotated counts the versions that a rotation made of a card, of which taking it
// back is one.
func (h *history) rotated(r broker.Record, back bool) {
	var d struct{ To string }
	_ = json.Unmarshal([]byte(r.After), &d) // without a version it had not changed the card yet
	to, err := strconv.ParseInt(d.To, 10, 64)
	if err != nil {
		return
	}
	if back {
		to++
	}
	c := h.changes[r.Object]
	c.latest = max(c.latest, to)
	h.changes[r.Object] = c
}

// used counts what a fact says of a sealed value.
func (h *history) used(reference string, revoked bool) {
	_, rest, found := strings.Cut(reference, "sealed:")
	if found {
		id, _, _ := strings.Cut(rest, "#")
		id, _, _ = strings.Cut(id, "?")
		h.value(id, revoked)
	}
}

func (h *history) value(id string, deleted bool) {
	v := h.values[id]
	v.unknown++
	v.deleted = v.deleted || deleted
	h.values[id] = v
}

// stop remembers the decisions on each marker, and what those since ended.
func (h *history) stop(r broker.Record) {
	var s revoke.Stopped
	if json.Unmarshal([]byte(r.After), &s) != nil || s.Epoch < 1 {
		h.unreadable[dynamo.ScanPlace{Receipt: r.Receipt, Phase: r.Phase}] = true
		return
	}
	m := broker.Marker{Environment: h.environment, Kind: s.Kind, ID: s.Subject, Epoch: s.Epoch, Revoked: broker.FactKind(r.Method) == broker.RevocationAcknowledged,
		At: r.At, By: s.By, Reason: s.Reason, Revocation: s.Case}
	k := m.Key()
	if h.latest[k].Epoch < m.Epoch {
		h.latest[k] = m
	}
	if h.last[k].At.Before(m.At) {
		h.last[k] = m
	}
	if !r.At.Before(h.since) && m.Revoked {
		h.ended(s.Kind, s.Subject)
	}
}

// ended remembers what a revocation ends for good.
func (h *history) ended(kind broker.MarkerKind, subject string) {
	switch kind {
	case broker.PrincipalMarker:
		h.grants[subject+"/"] = true
	case broker.ServerMarker:
		h.grants["/"+subject] = true
	case broker.GrantMarker:
		h.grants[subject] = true
	case broker.EverythingMarker:
		h.grants["/"] = true
	case broker.StoreMarker:
		h.sealed = h.sealed || subject == "sealed"
	case broker.ReferenceMarker:
		h.used(subject, true)
	default: // ends no grant and no value
	}
}

// stops are the markers that stand, as their records say. The environment's own is
// left to who stopped it for the restoration.
func (h *history) stops() []broker.Marker { return h.those(true) }

func (h *history) those(revoked bool) (list []broker.Marker) {
	for k := range h.latest {
		if m := h.decided(k); m.Revoked == revoked && m.Kind != broker.EnvironmentMarker {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b broker.Marker) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Revocation, b.Revocation))
	})
	return list
}

// skew is how far clocks may be apart.
const skew = 2 * time.Minute

// decided is the decision on a marker that stands. Epochs say which that is, unless
// markers were lost once before, and their epochs with them: then the last one in
// time stands, with an epoch that no other has, and so under a case of its own, or
// nobody could lift it.
func (h *history) decided(k broker.MarkerKey) broker.Marker {
	m, last := h.latest[k], h.last[k]
	if last.Epoch < m.Epoch && last.At.After(m.At.Add(skew)) {
		last.Epoch, last.Revocation = m.Epoch+1, broker.ReceiptOf(last.At, "anew", last.Revocation)
		return last
	}
	return m
}

// lifted names what was let go since.
func (h *history) lifted() (list []string) {
	for _, m := range h.those(false) {
		if !m.At.Before(h.since) {
			list = append(list, string(m.Kind)+"/"+m.ID)
		}
	}
	return list
}

// Changed implements dynamo.History.
func (h *history) Changed(object string, version int64) (int64, bool) {
	c := h.changes[object]
	return max(version, c.latest) + c.unknown, c.deleted
}

// GrantMoved implements dynamo.History.
func (h *history) GrantMoved(principal, server string) bool {
	return h.grants[principal+"/"+server] || h.grants[principal+"/"] || h.grants["/"+server] || h.grants["/"]
}

// ValueMoved implements dynamo.History.
func (h *history) ValueMoved(id string) (int64, bool) {
	v := h.values[id]
	if h.sealed {
		v.unknown++
	}
	return v.unknown, v.deleted || h.sealed
}
