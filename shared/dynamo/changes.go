package dynamo

import (
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
// marker's copies only the one at which writers meet counts; the entries of open
// cases say what their cases say.
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
	case kind == "marker", kind == "markers" && (!copied || shard == "0"):
		m, err := decodeMarker(a)
		if err != nil {
			return RevocationChange{}, err
		}
		return RevocationChange{Marker: &m}, nil
	}
	return RevocationChange{}, nil
}
