package dynamo

import (
	"strconv"
	"strings"
	"time"

	"bindery/shared/broker"
)

// The keys of the audit index.
//
//	table        pk                                                        sk                   row
//	audit_index  entries/{environment}/{dimension}/{digest}/{month}#{shard}  {receipt}/{phase}    entry
//	audit_index  seen/{environment}/{kind}/{digest}                        use/{digest}         sighting
//	audit_index  usage/{environment}/{digest}                              usage                usage
//	audit_index  rotation/{environment}/{digest}                           version/{digest}     version of a secret
//	audit_index  lag/{environment}                                         lag                  lag
//	audit_index  looked/{environment}                                      looked               how far intents were held against outcomes
//
// What comes from records is in keys only as a digest: it may be longer than a
// key, and nobody lists by it. Receipts sort by time, and in descending order the
// phase that says most comes first. A month bounds a partition in time; a
// dimension that many callers may share at once is spread over shards by the
// receipt, so that no partition has to take all writes.

// indexShards is how many partitions share the entries of a busy dimension.
const indexShards = 4

// shardsOf is over how many partitions a dimension is spread. One person, one
// request and what went wrong do not keep a partition busy.
func shardsOf(by broker.Dimension) int {
	if by == broker.ByPrincipal || by == broker.ByRequest || by == broker.ByOmission {
		return 1
	}
	return indexShards
}

const monthForm = "2006-01"

func entriesPartition(environment string, l broker.Lead, month time.Time, shard int) string {
	return join("entries", environment, string(l.By), broker.Digest(l.ID), month.Format(monthForm)) + "#" + strconv.Itoa(shard)
}

// entryKey places an entry. The last character of a receipt is random.
func entryKey(e broker.Entry, l broker.Lead) key {
	shard := int(e.Receipt[len(e.Receipt)-1]) % shardsOf(l.By)
	return key{entriesPartition(e.Environment, l, e.At, shard), e.Receipt + "/" + string(e.Phase)}
}

func receiptOf(sk string) string {
	receipt, _, _ := strings.Cut(sk, "/")
	return receipt
}

func seenPartition(environment string, kind broker.SeenKind, id string) string {
	return join("seen", environment, string(kind), broker.Digest(id))
}

func seenKey(s broker.Sighting) key {
	return key{seenPartition(s.Environment, s.By, s.ID), join("use", s.Use())}
}

func usageKey(environment, server, binding string) key {
	return key{join("usage", environment, broker.Digest(server, binding)), "usage"}
}

func rotationPartition(environment, reference string) string {
	return join("rotation", environment, broker.Digest(reference))
}

func rotationKey(environment string, r broker.SeenVersion) key {
	return key{rotationPartition(environment, r.Reference), join("version", broker.Digest(r.Version))}
}

func lookedKey(environment string) key { return key{join("looked", environment), "looked"} }

func lagKey(environment string) key { return key{join("lag", environment), "lag"} }
