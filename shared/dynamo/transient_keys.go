package dynamo

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"bindery/shared/broker"
)

// The keys of the table of short-lived rows.

func keySetKey(environment, issuer string) key {
	return key{join("issuer-keys", environment, issuer), "set"}
}

func claimKey(environment, issuer string) key {
	return key{join("issuer-keys", environment, issuer), "claim"}
}

// rollingKeyKey pads the day so that days sort.
func rollingKeyKey(environment string, day int64) key {
	return key{join("rolling-key", environment), fmt.Sprintf("%06d", day)}
}

// windowKey is where the calls of the window are counted that at lies in.
func windowKey(q broker.Quota, at time.Time) key {
	start := at.Truncate(broker.QuotaWindow).Unix()
	return key{join("quota", q.Environment, q.Subject, "calls"), strconv.FormatInt(start, 10)}
}

func placesPartition(environment, subject string) string {
	return join("quota", environment, subject, "places")
}

func placeKey(environment, subject string, number int) key {
	return key{placesPartition(environment, subject), strconv.Itoa(number)}
}

func attemptKey(environment, principal, idempotency string) key {
	return key{join("attempt", environment, principal), join("key", idempotency)}
}

func handleKey(environment, kind, id string) key {
	return key{join("handle", environment, kind), url.PathEscape(id)}
}

func sessionsPartition(environment, principal string) string {
	return join("sessions", environment, principal)
}

func sessionKey(environment, principal, digest string) key {
	return key{sessionsPartition(environment, principal), join("digest", digest)}
}
