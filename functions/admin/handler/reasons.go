package handler

import (
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/broker"
)

// Word is a reason that records give.
type Word string

// Schema lists the words.
func (Word) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, reason := range slices.Sorted(maps.Keys(sentences())) {
		s.Enum = append(s.Enum, string(reason))
	}
	s.PrecomputeMessages()
	return s
}

// explanationOf says in a sentence how a record's call or request ended.
func explanationOf(r broker.Record) string {
	switch sentence, known := sentences()[r.Reason]; {
	case known:
		return sentence
	case r.Reason != "":
		return "It ended for a reason that this version of Bindery does not know."
	case r.Phase == broker.Intent:
		return "It was begun, and no end of it is recorded: it is still under way, or the process that served it died."
	}
	if r.Action == broker.Administer && r.Status >= http.StatusBadRequest {
		return "It was permitted, and answered with an error: status says which."
	}
	return "It went well."
}

// sentences is the table of reasons, for people. A test holds it to the reasons
// that there are.
func sentences() map[broker.Reason]string {
	all := refusals()
	maps.Copy(all, endings())
	return all
}

// refusals are the reasons before any secret was touched.
func refusals() map[broker.Reason]string {
	return map[broker.Reason]string{
		broker.MessageRefused:    "The request was not one that Bindery serves: it was malformed, incomplete, or of no known kind.",
		broker.EnvironmentClosed: "The environment is not open: an administrator has closed or revoked it, or has not opened it yet.",
		broker.ServerUnknown:     "No server of that name is registered.",
		broker.ServerClosed:      "The server is registered and is not active: it is pending, suspended, revoked or deleted.",
		broker.PrincipalRevoked:  "The caller's access was revoked.",
		broker.AgentRevoked:      "The agent's access was revoked.",
		broker.IssuerRevoked:     "The issuer of the caller's token was revoked.",
		broker.GroupRevoked:      "A group that the caller belongs to was revoked.",
		broker.SessionRevoked:    "The session was revoked.",
		broker.SessionUnknown:    "The session id is not one that Bindery gave to this caller, or it is too old.",
		broker.SessionElsewhere:  "The session was begun under another binding than the one that covers the caller now.",
		broker.SessionUnread:     "The key under which session ids are sealed could not be read.",
		broker.SessionUnkept:     "The session that the upstream began could not be noted, so it was not given to the caller.",
		broker.LimitReached:      "A limit was reached: calls a minute, or lasting streams, of the caller, the agent or the server.",
		broker.AgentUnknown:      "The agent through which the call came is not registered.",
		broker.AgentClosed:       "The agent is registered and is not active.",
		broker.AgentAboveCeiling: "The tool's risk is above what the agent may use; a tool without a record counts as critical.",
		broker.AgentTeamMismatch: "The agent does not belong to the team that owns the tool or binding.",
		broker.ToolNotOfTeam:     "The tool is not open to the agent's team.",
		broker.ToolClosed:        "The tool is registered and is not active.",
		broker.PersonNotAllowed:  "The agent may do this, and the person behind it may not: both must be allowed.",
		broker.NoBinding:         "No binding of the server covers this caller and what was called.",
		broker.NotOwnBinding:     "The caller named a binding that does not cover them.",
		broker.BindingTie:        "Two bindings of the same rank and priority cover the call, and Bindery does not guess: give one a higher priority.",
		broker.BindingClosed:     "The binding that covers the call best is suspended, revoked or pending; wider ones are not tried instead.",
		broker.BindingExpired:    "The binding that covers the call best has expired; wider ones are not tried instead.",
		broker.BindingPending:    "The server was moved to another origin after the binding was made: put the binding again to approve it.",
		broker.ModeUnknown:       "The binding has a mode or source that this version of Bindery does not know.",
		broker.FieldsIncomplete:  "The binding does not give a reference for every field that the server's attachments use.",
		broker.ReferenceOutside:  "A reference of the binding lies outside the paths that its store may read.",
		broker.StoreUnregistered: "A reference of the binding names a store that is not registered, not active, or revoked.",
		broker.ProviderUnfit:     "The binding's source needs a provider and well-formed scopes, or takes none of them, and the card says otherwise.",
		broker.PersonRequired:    "The binding uses people's own credentials, and no person called: a workload, or an agent for itself.",
		broker.CatalogueUnread:   "The catalogue could not be read, so nothing was allowed.",
		broker.DecisionOutdated:  "The decision was too old by the time it was to be used.",
		broker.PolicyForbids:     "A policy on calls forbids it, or could not be evaluated; policies names it.",
		broker.ApprovalRequired:  "A policy on calls demands an approval that was not given; policies names it.",
		broker.PoliciesUnread:    "The policies on calls that are in force could not be read, so nothing was allowed.",
	}
}

// endings are the reasons of administration, and of calls that had begun.
func endings() map[broker.Reason]string {
	return map[broker.Reason]string{
		broker.NotPermitted:      "The administrator's roles and teams do not permit it; target names the permission that was missing.",
		broker.ChangeInvalid:     "The change was against a rule, and was not made.",
		broker.ChangeLost:        "Somebody else had changed it meanwhile, so the change was not made.",
		broker.RotationCancelled: "It was taken back before anything used what it had made, by an administrator or because its plan was stopped.",
		broker.ChangeFailed:      "The change failed on the way: read what is there now.",
		broker.DryRun:            "It was a dry run: it was permitted, and nothing was changed.",
		broker.Replayed:          "It was sent again under an idempotency key, and answered as the first time; object names that receipt.",

		broker.ReferenceRevoked:   "A secret that the binding names, or with which its store is read, was revoked.",
		broker.GrantRevoked:       "What the person consented to was revoked: a new consent does not bring it back, lifting the revocation does.",
		broker.SecretMissing:      "The store has no such secret, version or key.",
		broker.SecretMalformed:    "The secret is not what the reference expects, or is too short to be masked.",
		broker.StoreDenied:        "The secret store refuses Bindery.",
		broker.StoreUnavailable:   "The secret store did not answer in time.",
		broker.KeyUnavailable:     "The KMS key of the value is disabled, deleted or denied, or the value was sealed for another origin.",
		broker.RowUndecodable:     "What Bindery stores of the secret or grant does not decode: a newer release wrote it, or somebody past Bindery.",
		broker.ConsentRequired:    "The person has not connected an account of their own, or has disconnected it.",
		broker.GrantDead:          "The provider no longer honours what the person consented to: they have to connect again.",
		broker.ScopesNotGranted:   "The binding needs scopes that the person did not grant.",
		broker.AgentNotConsented:  "The person connected an account, and has not agreed that this agent uses it.",
		broker.ConsentDeclined:    "The person was asked to connect an account of their own, and declined or broke it off.",
		broker.ProviderRefused:    "The provider refused Bindery or what it asked for: see how Bindery is registered there.",
		broker.ProviderUnavail:    "The provider did not issue a token in time, or is left alone for a while after such a failure.",
		broker.OutcomeUnknown:     "A token was asked for and the answer was lost: the provider may or may not have issued one.",
		broker.UpstreamUnreached:  "The upstream server could not be reached.",
		broker.UpstreamAddress:    "The upstream's name led to an address that is not open to this server.",
		broker.UpstreamRedirect:   "The upstream answered with a redirect, which Bindery does not follow.",
		broker.UpstreamTimeout:    "The upstream did not answer in time.",
		broker.UpstreamEncoded:    "The upstream's answer was encoded, so that it could not be masked.",
		broker.UpstreamTooLarge:   "The upstream's answer was longer than is allowed.",
		broker.UpstreamBroke:      "The upstream broke off in the middle of its answer.",
		broker.UpstreamAuth:       "The upstream refused the credential: it may be wrong, expired or rotated.",
		broker.UpstreamDenied:     "The upstream accepted the credential and forbade the call.",
		broker.UpstreamFailed:     "The upstream answered with an error of its own.",
		broker.UpstreamMalformed:  "The upstream's answer was not a message of the protocol.",
		broker.AnswerWouldLeak:    "The answer held a secret in a place where it could not be masked, so it was withheld.",
		broker.CallerGone:         "The caller went away before the end.",
		broker.AccessEnded:        "The caller's access ended during the call.",
		broker.TokenExpired:       "The caller's token expired during the call.",
		broker.StreamOver:         "The stream had lasted as long as streams may.",
		broker.Internal:           "A fault of Bindery's own.",
		broker.IntentUnrecordable: "The call could not be recorded, so no credential was released.",
	}
}
