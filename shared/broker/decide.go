package broker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"bindery/shared/secret"
)

// Call is one admitted request: authenticated, parsed, not yet decided.
type Call struct {
	Receipt     string // ULID, unique
	RequestID   string // of the platform
	Route       Route
	Principal   Principal
	Action      Action
	Method      string // MCP method
	Target      string // tool or prompt name, resource URI, or empty
	Arguments   []byte // of call_tool and get_prompt: the JSON object as it was sent, or nil
	MessageID   string // JSON-RPC id as text, or empty
	Era         string // protocol revision
	Session     string // digest of a legacy session id, or empty
	Lasting     bool   // the answer is a stream that lasts: it takes a place of each quota
	Lists       bool   // the answer may hold lists that are to be filtered: Decision.Sees will be asked
	BindingName string // the binding the caller named, or empty
	Issuers     string // digest of the issuer document in force

	Token secret.Value // the caller's own, for sources that exchange it; in no record
}

// Decision is a permit for one call. It holds no secret, and it is void
// DecisionLife after the reads it rests on began.
type Decision struct {
	Call       Call
	Server     Server
	Binding    Binding
	Stores     []Store
	Candidates []Candidate
	Policy     string    // id of the set of policies in force, or "none"; empty: it did not come to that
	Policies   []string  // those of it that decided: that forbid, or else that demand an approval
	Faulty     []string  // those of them that could not be evaluated
	Shadow     *Shadowed // what the set that is tried out would have done; nil: there is none, or it was not asked
	Began      time.Time // before the first read

	snapshot Snapshot
	rules    RuleSet // the set in force, once it was asked; nil: there is none
	lists    *lists  // made by the first Sees
	shares   []share
	at       moment
}

// DecisionLife is how long a decision may be acted on. A slower obtain decides
// again before release.
const DecisionLife = 2 * time.Second

// decide reads the catalogue once and judges the call: by the bindings, then by
// the policies. The error is always a *Refusal. The Decision comes back with
// every refusal too, as far as it got, for the record.
func (b *Broker) decide(ctx context.Context, c Call) (*Decision, error) {
	d := &Decision{Call: c, Began: b.now()}
	lookup := Lookup{Route: c.Route, Principal: c.Principal.ID, Agent: c.Principal.Agent, Session: c.Session, Tools: c.Lists}
	if c.Action == CallTool && len(c.Target) <= MaxID { // no tool with a longer name can have a record
		lookup.Tool = c.Target
	}
	s, err := b.catalogue.Snapshot(ctx, lookup)
	if err != nil {
		return d, &Refusal{Reason: CatalogueUnread, err: err}
	}
	revoked := marksOf(&s)
	if err := s.admits(c.Route.Environment, &c.Principal, revoked); err != nil {
		return d, err
	}
	s.Stores = s.OpenStores()
	d.Server, d.Stores, d.snapshot = *s.Server, s.Stores, s
	d.Policy = cmp.Or(s.Environment.Policies, noPolicies)
	d.shares, d.at.Time = b.allowances.shares(d), d.Began
	d.at.origin, _ = OriginDigest(s.Server.URL) // without one no binding is alive
	found := candidates(&s, &c, revoked)
	for _, f := range found {
		d.Candidates = append(d.Candidates, Candidate{Binding: f.Name, Version: f.Version, Rank: rankNames[f.rank], State: f.State})
	}
	chosen, err := permit(&s, &c, found, d.at)
	if chosen != nil {
		d.Binding = *chosen
	}
	if err != nil {
		return d, err
	}
	if err := usable(&d.Binding, d.Server.Attach, d.Stores); err != nil {
		return d, err
	}
	if err := b.askPolicies(ctx, d); err != nil {
		return d, err
	}
	if c.Session != "" && revoked.on(SessionMarker, c.Session) {
		return d, refuse(SessionRevoked) // last: only who may call at all learns that a session has ended
	}
	return d, nil
}

// permit chooses among the candidates and judges the agent. Where the agent is
// refused, the binding comes back with the refusal, for the record.
func permit(s *Snapshot, c *Call, found []candidate, at moment) (*Binding, error) {
	if s.Tool != nil && s.Tool.State != Active && s.Tool.State != Deleted {
		return nil, refuse(ToolClosed)
	}
	chosen, err := choose(found, c.BindingName, at)
	if err != nil {
		return nil, err
	}
	if chosen.Mode == UserDelegated && (c.Principal.Kind != User || c.Principal.AgentOnly) {
		return chosen, refuse(PersonRequired)
	}
	return chosen, bothAllowed(s, c, found, chosen, at)
}

// bothAllowed judges the agent, where one calls: it must be registered and
// active, the tool must be within its ceiling, and for a person behind it the
// best binding that covers the person without the agent's help must be alive.
func bothAllowed(s *Snapshot, c *Call, found []candidate, chosen *Binding, at moment) error {
	p := &c.Principal
	if chosen.Mode == AgentScoped && p.Agent == "" {
		return refuse(AgentUnknown)
	}
	if p.Agent == "" {
		return nil
	}
	switch {
	case s.Agent == nil || s.Agent.ID != p.Agent || s.Agent.State == Deleted:
		return refuse(AgentUnknown)
	case s.Agent.State != Active:
		return refuse(AgentClosed)
	case c.Action == CallTool && risk(s.Tool) > s.Agent.Ceiling:
		return refuse(AgentAboveCeiling)
	}
	if chosen.Mode == AgentScoped {
		if err := agentScope(s, c, chosen); err != nil {
			return err
		}
	}
	if chosen.Actor.Agent == "" || chosen.Actor.Principal != "" || p.AgentOnly {
		return nil
	}
	for _, f := range found { // the person's own best card decides, dead or alive
		if f.Actor.Agent == "" {
			return alive(f.Binding, at)
		}
	}
	return refuse(PersonNotAllowed)
}

// agentScope holds mode agent_scoped to the agent's owner team: the card must
// be that team's, and the tool open to it.
func agentScope(s *Snapshot, c *Call, chosen *Binding) error {
	if s.Agent.Team == "" || s.Agent.Team != chosen.Owner {
		return refuse(AgentTeamMismatch)
	}
	if c.Action != CallTool {
		return nil
	}
	if s.Tool == nil || !matchesAny(s.Tool.Teams, s.Agent.Team) {
		return refuse(ToolNotOfTeam)
	}
	return nil
}

func risk(t *Tool) Risk {
	if t == nil || t.State != Active || t.Risk < Low {
		return Critical
	}
	return t.Risk
}

// reasonOf translates a fault of a source into the word for the record.
func reasonOf(err error) Reason {
	var refusal *Refusal
	var needed *ConsentNeeded
	switch {
	case errors.As(err, &refusal):
		return refusal.Reason
	case errors.As(err, &needed):
		return needed.reason()
	case errors.Is(err, ErrUndecodable):
		return RowUndecodable
	case errors.Is(err, ErrOutcomeUnknown):
		return OutcomeUnknown
	case errors.Is(err, ErrProviderUnavailable):
		return ProviderUnavail
	case errors.Is(err, ErrProviderRefused):
		return ProviderRefused
	case errors.Is(err, ErrSecretMissing):
		return SecretMissing
	case errors.Is(err, ErrSecretMalformed):
		return SecretMalformed
	case errors.Is(err, ErrStoreDenied):
		return StoreDenied
	case errors.Is(err, ErrKeyUnavailable):
		return KeyUnavailable
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return StoreUnavailable
	}
	return Internal
}
