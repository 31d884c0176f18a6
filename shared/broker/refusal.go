package broker

import (
	"fmt"
	"time"
)

// Reason is why a call was refused or failed, as the audit record says it. The
// caller is told far less: see Refusal.
type Reason string

// Reasons for refusing before any secret is touched.
const (
	MessageRefused    Reason = "message_refused"
	EnvironmentClosed Reason = "environment_closed"
	ServerUnknown     Reason = "server_unknown"
	ServerClosed      Reason = "server_closed"
	PrincipalRevoked  Reason = "principal_revoked"
	AgentRevoked      Reason = "agent_revoked"
	IssuerRevoked     Reason = "issuer_revoked"
	GroupRevoked      Reason = "group_revoked"
	SessionRevoked    Reason = "session_revoked"
	SessionUnknown    Reason = "session_unknown"
	SessionElsewhere  Reason = "session_of_another_binding"
	SessionUnread     Reason = "session_key_unreadable"
	SessionUnkept     Reason = "session_not_stored"
	LimitReached      Reason = "limit_reached"
	AgentUnknown      Reason = "agent_unknown"
	AgentClosed       Reason = "agent_closed"
	AgentAboveCeiling Reason = "tool_above_agent_ceiling"
	AgentTeamMismatch Reason = "agent_not_of_owner_team"
	ToolNotOfTeam     Reason = "tool_not_open_to_team"
	ToolClosed        Reason = "tool_closed"
	PersonNotAllowed  Reason = "person_not_allowed"
	NoBinding         Reason = "no_binding"
	NotOwnBinding     Reason = "not_own_binding"
	BindingTie        Reason = "binding_tie"
	BindingClosed     Reason = "binding_closed"
	BindingExpired    Reason = "binding_expired"
	BindingPending    Reason = "binding_pending_origin_changed"
	ModeUnknown       Reason = "mode_or_source_unknown"
	FieldsIncomplete  Reason = "fields_incomplete"
	ReferenceOutside  Reason = "reference_outside_scope"
	StoreUnregistered Reason = "store_not_registered"
	ProviderUnfit     Reason = "provider_or_scopes_unfit"
	PersonRequired    Reason = "person_required"
	CatalogueUnread   Reason = "catalogue_unreadable"
	DecisionOutdated  Reason = "decision_outdated"
	PolicyForbids     Reason = "policy_forbids"
	ApprovalRequired  Reason = "approval_required"
	PoliciesUnread    Reason = "policies_unreadable"
)

// Reasons of the administrator's side.
const (
	NotPermitted  Reason = "not_permitted"
	ChangeInvalid Reason = "change_invalid"
	ChangeLost    Reason = "version_conflict"
	ChangeFailed  Reason = "change_failed"
	DryRun        Reason = "dry_run"
	Replayed      Reason = "replayed"
)

// Reasons for failing after the intent was recorded.
const (
	ReferenceRevoked   Reason = "reference_revoked"
	GrantRevoked       Reason = "grant_revoked"
	SecretMissing      Reason = "secret_missing"
	SecretMalformed    Reason = "secret_malformed"
	StoreDenied        Reason = "store_denied"
	StoreUnavailable   Reason = "store_unavailable"
	KeyUnavailable     Reason = "key_unavailable"
	RowUndecodable     Reason = "stored_row_unreadable"
	ConsentRequired    Reason = "consent_required"
	GrantDead          Reason = "grant_dead"
	ScopesNotGranted   Reason = "scopes_not_granted"
	AgentNotConsented  Reason = "agent_without_consent"
	ConsentDeclined    Reason = "consent_declined"
	ProviderRefused    Reason = "provider_refused"
	ProviderUnavail    Reason = "provider_unavailable"
	OutcomeUnknown     Reason = "outcome_unknown"
	UpstreamUnreached  Reason = "upstream_unreached"
	UpstreamAddress    Reason = "upstream_address_refused"
	UpstreamRedirect   Reason = "upstream_redirect"
	UpstreamTimeout    Reason = "upstream_timeout"
	UpstreamEncoded    Reason = "upstream_encoded"
	UpstreamTooLarge   Reason = "upstream_too_large"
	UpstreamBroke      Reason = "upstream_broke_off"
	UpstreamAuth       Reason = "upstream_refused_credential"
	UpstreamDenied     Reason = "upstream_forbidden"
	UpstreamFailed     Reason = "upstream_failed"
	UpstreamMalformed  Reason = "upstream_malformed"
	AnswerWouldLeak    Reason = "secret_in_protocol_field"
	CallerGone         Reason = "caller_gone"
	AccessEnded        Reason = "access_ended_during_the_call"
	TokenExpired       Reason = "token_expired_during_the_call"
	StreamOver         Reason = "stream_time_over"
	Internal           Reason = "internal"
	IntentUnrecordable Reason = "intent_not_recorded"
)

// Refusal is a decision against a call. Unknown, forbidden and revoked look
// the same to the caller; only the record tells them apart.
type Refusal struct {
	Reason     Reason
	RetryAfter time.Duration // when the same call may be allowed again, if that is known
	err        error
}

// Error names the reason; it is for records and logs, not for callers.
func (r *Refusal) Error() string {
	if r.err != nil {
		return fmt.Sprintf("refused: %s: %v", r.Reason, r.err)
	}
	return "refused: " + string(r.Reason)
}

// Unwrap gives the fault behind a refusal, if one caused it.
func (r *Refusal) Unwrap() error { return r.err }

func refuse(reason Reason) error { return &Refusal{Reason: reason} }
