// Package events is the catalogue of what Bindery tells others: which audit
// records become events, of which types, and what is in them. An event is made of
// one record and nothing else, so that the same record gives the same event each
// time, and nothing is told that is not evidence.
//
// The package sends nothing, reads no table, and adds nothing to what a record
// says; records hold no secrets, and so do events.
package events

import (
	"strings"

	"bindery/shared/broker"
)

// Source is the source of every event.
const Source = "bindery"

// Kind is one type of event. It comes of a fact, of an operation that succeeded,
// or of a refusal.
type Kind struct {
	Type      string
	Fact      broker.FactKind
	Operation string // as in "put-binding": of the admin API or the connect pages
	Says      string // what an event of this type means
}

// RefusedType is the type of the event that somebody asked for what they may not
// do. Such refusals are counted and not recorded each (broker.Budget), so nobody
// floods others with them.
const RefusedType = "bindery.administration.refused.v1"

// Kinds lists the catalogue: facts, operations, refusals.
func Kinds() []Kind {
	var all []Kind
	for _, k := range facts() {
		k.Type = Source + "." + string(k.Fact) + ".v1"
		all = append(all, k)
	}
	for _, k := range operations() {
		verb, noun, _ := strings.Cut(k.Operation, "-")
		k.Type = Source + "." + strings.ReplaceAll(noun, "-", "_") + "." + verb + ".v1"
		all = append(all, k)
	}
	return append(all, Kind{Type: RefusedType, Says: "An administrator asked for what they may not do; `operation` says what"})
}

func facts() []Kind {
	return []Kind{
		{Fact: broker.RevocationAcknowledged, Says: "From here on every decision that rests on the object is refused"},
		{Fact: broker.RevocationLifted, Says: "A revocation was taken back by a new decision"},
		{Fact: broker.RevocationCompleted, Says: "Nothing is left of a revocation that trying again would change"},
		{Fact: broker.RevocationIncomplete, Says: "Something of a revocation could not be reached yet; told once for each"},
		{Fact: broker.RotationStaged, Says: "A new value exists, and no call uses it"},
		{Fact: broker.RotationProbed, Says: "The upstream takes the new value"},
		{Fact: broker.RotationPromoted, Says: "Calls use the new value; the one before goes on for its grace"},
		{Fact: broker.RotationRetired, Says: "The value before is over"},
		{Fact: broker.RotationRolledBack, Says: "A rotation failed and was taken back: nothing has changed"},
		{Fact: broker.RotationFailed, Says: "A rotation failed and could not be taken back: somebody has to look"},
		{Fact: broker.ReferenceChanged, Says: "A store said that a secret was changed there"},
		{Fact: broker.NoticeOpened, Says: "Something that cards rest on is not as it should be"},
		{Fact: broker.NoticeClosed, Says: "It is as it should be again"},
		{Fact: broker.GrantDied, Says: "A person's grant is refused by its provider: they have to consent anew"},
		{Fact: broker.GrantOutcomeUnknown, Says: "A token request ended without an answer: the provider may have issued tokens that nobody has"},
		{Fact: broker.GrantNotRevoked, Says: "A provider was not told that tokens are over, and may still take them"},
		{Fact: broker.IncidentOpened, Says: "A secret was reported as leaked"},
		{Fact: broker.IntentWithoutOutcome, Says: "A call or a change was begun, and no record says how it ended"},
	}
}

func operations() []Kind {
	return []Kind{
		{Operation: "put-server", Says: "A server was registered or changed"},
		{Operation: "delete-server", Says: "A server was deleted"},
		{Operation: "approve-server", Says: "A second administrator approved a server's new origin"},
		{Operation: "put-tool", Says: "What is said of a tool was changed"},
		{Operation: "delete-tool", Says: "What was said of a tool was deleted: it counts as critical"},
		{Operation: "put-binding", Says: "A card was made or changed"},
		{Operation: "delete-binding", Says: "A card was deleted"},
		{Operation: "put-agent", Says: "An agent was registered or changed"},
		{Operation: "delete-agent", Says: "An agent was deleted"},
		{Operation: "put-assignment", Says: "Who may bind which references was changed"},
		{Operation: "delete-assignment", Says: "An assignment was deleted"},
		{Operation: "put-store", Says: "A store was registered or changed"},
		{Operation: "delete-store", Says: "A store was deleted: its references are refused"},
		{Operation: "put-value", Says: "A value was sealed"},
		{Operation: "delete-value", Says: "A sealed value was deleted"},
		{Operation: "put-provider", Says: "A provider of tokens was registered or changed"},
		{Operation: "delete-provider", Says: "A provider of tokens was deleted"},
		{Operation: "put-rotation-plan", Says: "How a secret is rotated was said or changed"},
		{Operation: "delete-rotation-plan", Says: "A plan of rotation was deleted"},
		{Operation: "acknowledge-notice", Says: "Somebody knows of a notice"},
		{Operation: "post-policy-set", Says: "A set of policies was stored; it is not in force by that"},
		{Operation: "put-environment", Says: "The environment was opened or closed, or other policies are in force"},
		{Operation: "finish-consent", Says: "A person consented, and the provider issued tokens"},
		{Operation: "allow-consent", Says: "A person allowed what they were asked for, or gave their key"},
		{Operation: "end-connection", Says: "A person ended a grant of their own"},
	}
}
