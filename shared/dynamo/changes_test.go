package dynamo

import (
	"testing"
	"time"

	"bindery/shared/broker"
)

// TestAMarkerIsToldOfWhenItsLastCopyIsThere: nobody is to be told that something
// is stopped while some decisions do not see it.
func TestAMarkerIsToldOfWhenItsLastCopyIsThere(t *testing.T) {
	for kind, id := range map[broker.MarkerKind]string{broker.GroupMarker: "team-a", broker.PrincipalMarker: "p-alice", broker.ServerMarker: "github",
		broker.BindingMarker: "github/dev"} {
		m := broker.Marker{Environment: "prod", Kind: kind, ID: id, Epoch: 1, Revoked: true, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), By: "p-admin", Reason: "left"}
		row := newMarkerRow(m)
		if !kind.Wide() {
			wantChange(t, row, &m)
			continue
		}
		for shard := range shards {
			row.item = wideMarkerKey("prod", m.Key(), shard).item()
			var want *broker.Marker
			if shard == shards-1 {
				want = &m
			}
			wantChange(t, row, want)
		}
		row.ID = "team-b" // a row that lies where another belongs
		image, err := encode("test", row)
		if err != nil {
			t.Fatal(err)
		}
		if change, err := DecodeRevocationChange(image); err == nil {
			t.Errorf("a row in another's place: %+v", change)
		}
	}
}

func wantChange(t *testing.T, row markerRow, want *broker.Marker) {
	t.Helper()
	image, err := encode("test", row)
	if err != nil {
		t.Fatal(err)
	}
	change, err := DecodeRevocationChange(image)
	if err != nil || change.Case != nil || (change.Marker == nil) != (want == nil) || want != nil && *change.Marker != *want {
		t.Errorf("%s: %+v, %v", row.PK, change, err)
	}
}
