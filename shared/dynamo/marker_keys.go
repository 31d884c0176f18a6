package dynamo

import (
	"net/url"
	"strconv"
	"strings"

	"bindery/shared/broker"
)

// markerKey is where a marker is; of a wide one, where the writers meet.
func markerKey(environment string, k broker.MarkerKey) key {
	switch {
	case k.Kind.Wide():
		return wideMarkerKey(environment, k, 0)
	case k.Kind == broker.ServerMarker:
		return key{serverMarkersPartition(environment, k.ID), "server"}
	case k.Kind == broker.BindingMarker:
		server, name, _ := strings.Cut(k.ID, "/")
		return key{serverMarkersPartition(environment, server), join("binding", name)}
	}
	return key{join("marker", environment, string(k.Kind)) + "/" + markerID(k.ID), "marker"}
}

func wideMarkersPartition(environment string, shard int) string {
	return join("markers", environment) + "#" + strconv.Itoa(shard)
}

// wideMarkerKey is where one copy is; nothing else has a place there.
func wideMarkerKey(environment string, k broker.MarkerKey, shard int) key {
	if !k.Kind.Wide() {
		return key{}
	}
	return key{wideMarkersPartition(environment, shard), string(k.Kind) + "/" + markerID(k.ID)}
}

func serverMarkersPartition(environment, server string) string {
	return join("markers", environment, server)
}

// markerID keeps keys within what DynamoDB takes. No escaped id has a #.
func markerID(id string) string {
	if len(id) > broker.MaxID {
		return "#" + broker.Digest(id)
	}
	return url.PathEscape(id)
}
