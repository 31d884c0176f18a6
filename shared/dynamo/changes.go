package dynamo

import (
	"strconv"
	"strings"

	"bindery/shared/broker"
)

// RevocationChange is what a row of the revocations table's stream is about: a
// case, a marker, or nothing that anybody follows.
type RevocationChange struct {
	Case   *broker.Revocation
	Marker *broker.Marker
}

// DecodeRevocationChange reads a new image of the revocations table. Of a wide
// marker's copies only the last one that is written counts: with an earlier one
// some decisions do not see it yet, and whoever wrote that may have died. The
// entries of open cases say what their cases say.
func DecodeRevocationChange(a attributes) (RevocationChange, error) {
	at := keyOf(a)
	kind, _, _ := strings.Cut(at.pk, "/")
	_, shard, copied := strings.Cut(at.pk, "#")
	switch {
	case kind == "revocations" && strings.HasPrefix(at.sk, "case/"):
		r, err := decodeRevocation(a)
		if err != nil {
			return RevocationChange{}, err
		}
		return RevocationChange{Case: &r}, nil
	case kind == "marker", kind == "markers" && !copied:
		return changeOf(decodeMarker(a))
	case kind == "markers" && shard == strconv.Itoa(shards-1):
		return changeOf(decode(a, markerRow.value, func(m broker.Marker) key { return wideMarkerKey(m.Environment, m.Key(), shards-1) }))
	}
	return RevocationChange{}, nil
}

// RemovedByNobody reports whether a row of the revocations table, by its key, is one
// that Bindery never removes: all but the entries of open cases.
func RemovedByNobody(keys attributes) bool {
	at := keyOf(keys)
	return !strings.HasPrefix(at.pk, "revocations/") || !strings.HasPrefix(at.sk, "open/")
}

func changeOf(m broker.Marker, err error) (RevocationChange, error) {
	if err != nil {
		return RevocationChange{}, err
	}
	return RevocationChange{Marker: &m}, nil
}
