package dynamo

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// The data model. Every table has the string keys pk and sk; every item has
// the number schema. Parts of a key that come from outside are escaped so that
// / and # in them are never separators: two different lists of parts never
// share a key.
//
//	table        pk                                       sk                        row
//	catalogue    env/{environment}#{shard 0..7}           state                     environment      eight copies, see replicate.go
//	             env/{environment}#{shard 0..7}           store/{name}              store            eight copies
//	             servers/{environment}                    name/{server}             index entry      written before the server
//	             server/{environment}/{server}            server                    server
//	             server/{environment}/{server}            binding/{name}            binding          actor names no principal
//	             personal/{environment}/{server}/{principal}  binding/{name}        binding          actor names this principal
//	             history/{environment}/{server}           head/{binding}            head             claims the name for ever; where the binding is now
//	             history/{environment}/{server}           version/{binding}/{n}     binding          every version, the current one too
//	             agent/{environment}                      id/{id}                   agent
//	             tool/{environment}/{server}              name/{name}               tool
//	             assignment/{environment}                 name/{name}               assignment
//	             rotation-plan/{environment}              name/{name}               rotation plan
//	             rotation-plan/{environment}              claim/{digest of the subject}  claim       which plan rotates the secret; written with it
//	             incident/{environment}                   id/{id}                   incident
//	             notices/{environment}                    id/{id}                   notice
//	             notices/{environment}                    scan                      scan
//	             policies/{environment}                   set/{id}                  policy set
//	             policies/{environment}                   name/{id}                 policy set       without text and tests, written with it
//	             provider/{environment}                   name/{name}               provider
//	             uses/{environment}/{store}               use/{digest of the reference}.{digest of server and binding}
//	                                                                                use              written with the binding
//	revocations  marker/{environment}/{kind}/{id}         marker                    marker           principal, agent, session, reference, grant, change
//	             markers/{environment}/{server}           server                    marker           of the server
//	             markers/{environment}/{server}           binding/{name}            marker           of a binding
//	             markers/{environment}#{shard 0..7}       {kind}/{id}               marker           of all other kinds: eight copies, see replicate.go
//	             revocations/{environment}                case/{id}                 revocation       what was stopped or lifted, and the work that follows
//	             revocations/{environment}                open/{id}                 entry            beside each case whose work is open
//	grants       sealed/{environment}/{id}                value                     sealed value     with the version before it
//	             sealed-names/{environment}               id/{id}                   name             written before the first version
//	             grants/{environment}/{principal}         {server}/{origin}/grant   grant            with its spare; in the index due, see below
//	             grants/{environment}/{principal}         {server}/{origin}/consent/{agent}
//	                                                                                consent          also of former generations
//	             registered/{environment}/{provider}      {issuer}                  registration
//	             rotation/{environment}/{subject}         latest                    rotation         the subject's latest, with what is kept; in the index due
//	             rotation/{environment}/{subject}         run/{id}                  rotation         every run, written with the latest
//	             rotations/{environment}                  run/{id}                  rotation         the same, of all subjects
//	transient    issuer-keys/{environment}/{issuer}       set                       key set          TTL attribute expires
//	             issuer-keys/{environment}/{issuer}       claim                     claim            TTL attribute expires
//	             rolling-key/{environment}                {day}                     rolling key      TTL attribute expires
//	             quota/{environment}/{subject}/calls      {window start}            counter          TTL attribute expires
//	             quota/{environment}/{subject}/places     {number}                  place            TTL attribute expires
//	             attempt/{environment}/{principal}        key/{key}                 attempt          TTL attribute expires
//	             handle/{environment}/{kind}              {id}                      handle           TTL attribute expires
//	             sessions/{environment}/{principal}       digest/{digest}           live session     TTL attribute expires
//	audit        {receipt}                                {phase}                   broker.Record, under its JSON names
//	audit_index  see index_keys.go
//
// One decision reads server/, personal/, markers/{environment}/{server} and one
// shard each of env/ and markers/ by Query, and agent/, tool/ and up to three of
// marker/ by BatchGetItem. The decision about a list of tools reads all of
// tool/{environment}/{server} by one more Query. While the credential is
// obtained, marker/ of its references or its grant is read by BatchGetItem.
//
// An id of a marker that is longer than 256 bytes (of a reference, as a rule)
// is in the key as # and its digest.
//
// Administrators page through store/ of shard 0, servers/, agent/, tool/, head/,
// assignment/, provider/, name/ of policies/, uses/ and sealed-names/ in the order of the
// sort key, which is not that of the names: escaping moves some of them.
// servers/ and head/ say where the rows themselves are. A policy set may have
// 320 KiB, and DynamoDB reads whole rows, so the names have rows of their own.
//
// One query gives a grant with its consents. A spare is an attribute of its grant,
// so that whoever takes the lease or ends the grant has it in the same request.
// The index due has the partitions due/{environment}#{shard 0..3} and sorts by the
// time at which a refresh is due; grants that need none do not carry its
// attributes (due, due_at). It has keys only: the grants themselves are read
// consistently.
//
// Places are not with the calls, so that taking one does not read the windows
// that TTL has not deleted yet.

// schema is the version of every row's shape, the audit record's excepted.
const schema = 1

// shards is how many copies of an environment's rows there are. Every call
// reads one; a partition serves 3,000 strongly consistent reads a second.
const shards = 8

// dueShards is how many partitions the index of due grants has in an environment.
const dueShards = 4

// key is the primary key of an item.
type key struct{ pk, sk string }

func (k key) attributes() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: k.pk},
		"sk": &types.AttributeValueMemberS{Value: k.sk},
	}
}

// join builds "kind/part/part". PathEscape is injective and leaves neither /
// nor # in a part; it also keeps bytes that are not UTF-8 apart.
func join(kind string, parts ...string) string {
	for _, p := range parts {
		kind += "/" + url.PathEscape(p)
	}
	return kind
}

func environmentPartition(environment string, shard int) string {
	return join("env", environment) + "#" + strconv.Itoa(shard)
}

func environmentKey(environment string, shard int) key {
	return key{environmentPartition(environment, shard), "state"}
}

func storeKey(environment, name string, shard int) key {
	return key{environmentPartition(environment, shard), join("store", name)}
}

// after bounds the sort keys of one kind to those of the names after one. A
// space sorts before everything that an escaped name can go on with, and "0"
// right after the slash.
func after(kind, name string) (first, last string) { return join(kind, name) + " ", kind + "0" }

func serversPartition(environment string) string { return join("servers", environment) }

func indexKey(r broker.Route) key {
	return key{serversPartition(r.Environment), join("name", r.Server)}
}

func serverPartition(r broker.Route) string { return join("server", r.Environment, r.Server) }

func serverKey(r broker.Route) key { return key{serverPartition(r), "server"} }

func personalPartition(r broker.Route, principal string) string {
	return join("personal", r.Environment, r.Server, principal)
}

// bindingKey is where the current version of a binding is: with the server, or
// with the principal if the actor names one (principal not empty).
func bindingKey(r broker.Route, principal, name string) key {
	if principal == "" {
		return key{serverPartition(r), join("binding", name)}
	}
	return key{personalPartition(r, principal), join("binding", name)}
}

func historyPartition(r broker.Route) string { return join("history", r.Environment, r.Server) }

func headKey(r broker.Route, name string) key { return key{historyPartition(r), join("head", name)} }

// versionKey pads the number so that versions sort.
func versionKey(r broker.Route, name string, version int64) key {
	return key{historyPartition(r), join("version", name, fmt.Sprintf("%016d", version))}
}

func agentPartition(environment string) string { return join("agent", environment) }

func agentKey(environment, id string) key { return key{agentPartition(environment), join("id", id)} }

func toolPartition(r broker.Route) string { return join("tool", r.Environment, r.Server) }

func toolKey(r broker.Route, name string) key { return key{toolPartition(r), join("name", name)} }

func assignmentPartition(environment string) string { return join("assignment", environment) }

func assignmentKey(environment, name string) key {
	return key{assignmentPartition(environment), join("name", name)}
}

func noticesPartition(environment string) string { return join("notices", environment) }

func noticeKey(environment, id string) key { return key{noticesPartition(environment), join("id", id)} }

func scanKey(environment string) key { return key{noticesPartition(environment), "scan"} }

func incidentsPartition(environment string) string { return join("incident", environment) }

func incidentKey(environment, id string) key {
	return key{incidentsPartition(environment), join("id", id)}
}

func providersPartition(environment string) string { return join("provider", environment) }

func providerKey(environment, name string) key {
	return key{providersPartition(environment), join("name", name)}
}

func policiesPartition(environment string) string { return join("policies", environment) }

func policySetKey(environment, id string) key {
	return key{policiesPartition(environment), join("set", id)}
}

func policySetNameKey(environment, id string) key {
	return key{policiesPartition(environment), join("name", id)}
}

func usesPartition(environment, store string) string { return join("uses", environment, store) }

func useKey(environment, store, token string) key {
	return key{usesPartition(environment, store), join("use", token)}
}

// usesBetween bounds the sort keys of uses to those whose tokens begin with a
// prefix and come after one. "~" sorts after all that a token is made of.
func usesBetween(prefix, after string) (first, last string) {
	return join("use", cmp.Or(after, prefix)) + " ", join("use", prefix) + "~"
}

func sealedKey(environment, id string) key {
	return key{join("sealed", environment, id), "value"}
}

func sealedNamesPartition(environment string) string { return join("sealed-names", environment) }

func sealedNameKey(environment, id string) key {
	return key{sealedNamesPartition(environment), join("id", id)}
}

func grantsPartition(environment, principal string) string {
	return join("grants", environment, principal)
}

// grantStem is what the sort keys of one grant begin with.
func grantStem(server, origin string) string {
	return strings.TrimPrefix(join("", server, origin), "/")
}

func grantKey(k broker.GrantKey) key {
	return key{grantsPartition(k.Environment, k.Principal), grantStem(k.Server, k.Origin) + "/grant"}
}

func consentKey(k broker.GrantKey, agent string) key {
	return key{grantsPartition(k.Environment, k.Principal), join(grantStem(k.Server, k.Origin)+"/consent", agent)}
}

// grantsAfter bounds the sort keys of a person's grants to those after one. "0"
// comes right after the slash, "~" after all that a server's name begins with.
func grantsAfter(token string) (first, last string) {
	if token == "" {
		return "-", "~"
	}
	server, origin, _ := strings.Cut(token, "/")
	return grantStem(server, origin) + "0", "~"
}

// duePartition is where a grant is found when it is due.
func duePartition(environment string, shard int) string {
	return join("due", environment) + "#" + strconv.Itoa(shard)
}

func dueShard(k broker.GrantKey) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(broker.Digest(k.Principal, k.Server)))
	return int(h.Sum32() % dueShards)
}

func registeredKey(environment, provider, issuer string) key {
	return key{join("registered", environment, provider), url.PathEscape(issuer)}
}

func auditKey(r broker.Record) key { return key{r.Receipt, string(r.Phase)} }
