package handler

import (
	"context"
	"time"

	"bindery/shared/broker"
)

// ReceiptRecords is all that is recorded under one receipt.
type ReceiptRecords struct {
	Receipt     string        `json:"receipt"`
	Explanation string        `json:"explanation" doc:"Why it ended as it did, in a sentence"`
	Records     []AuditRecord `json:"records" doc:"From the audit table itself, intent before outcome"`

	Unreadable int `json:"unreadable,omitempty" doc:"Records of the receipt that do not decode"`
}

// untoldEnd is the explanation where the end may be what does not decode.
const untoldEnd = "It was begun, and how it ended is not known here: a record of it cannot be read."

// AuditRecord is one record as it is stored.
type AuditRecord struct {
	Phase          string            `json:"phase" enum:"intent,outcome,refusal"`
	At             time.Time         `json:"at"`
	Writer         string            `json:"writer" doc:"Process that wrote it"`
	Sequence       int64             `json:"sequence" doc:"Counts that writer's records; a gap is a record that could not be stored"`
	Hash           string            `json:"hash" doc:"SHA-256 of the record: previous of the writer's next one"`
	Previous       string            `json:"previous,omitempty"`
	RequestID      string            `json:"request_id,omitempty"`
	Environment    string            `json:"environment"`
	Server         string            `json:"server,omitempty"`
	Origin         string            `json:"origin,omitempty" doc:"Digest"`
	Issuers        string            `json:"issuers,omitempty" doc:"Digest of the issuer document in force"`
	Principal      string            `json:"principal"`
	Kind           string            `json:"kind"`
	Agent          string            `json:"agent,omitempty"`
	Session        string            `json:"session,omitempty" doc:"Digest"`
	Era            string            `json:"era,omitempty"`
	Method         string            `json:"method"`
	Action         string            `json:"action"`
	Target         string            `json:"target,omitempty"`
	MessageID      string            `json:"message_id,omitempty"`
	Named          string            `json:"named,omitempty" doc:"Binding that the caller named"`
	Binding        string            `json:"binding,omitempty"`
	BindingVersion int64             `json:"binding_version,omitempty"`
	Mode           string            `json:"mode,omitempty"`
	Source         string            `json:"source,omitempty"`
	References     []string          `json:"references,omitempty" doc:"Of a call field=reference; of what Bindery did by itself the references alone"`
	Candidates     []Candidate       `json:"candidates,omitempty" doc:"Bindings that covered the call, best first"`
	PolicySet      string            `json:"policy_set,omitempty" doc:"Id of the policies in force, or none"`
	Policies       []string          `json:"policies,omitempty" doc:"Those that decided"`
	Shadow         *ShadowedDecision `json:"shadow,omitempty"`
	Reason         string            `json:"reason,omitempty"`
	Status         int               `json:"status,omitempty" doc:"What the caller was answered"`
	Upstream       int               `json:"upstream,omitempty" doc:"What the upstream answered"`
	Accesses       []SecretAccess    `json:"accesses,omitempty" doc:"Which version of what was read"`
	Masked         int               `json:"masked,omitempty" doc:"Occurrences of secrets that were taken out of the answer"`
	DecidedAt      string            `json:"decided_at,omitempty"`
	LatencyMS      int64             `json:"latency_ms,omitempty"`
	Suppressed     int               `json:"suppressed,omitempty" doc:"Refusals of this principal that were not recorded since the last one"`
	Object         string            `json:"object,omitempty" doc:"What an administrator asked about"`
	Before         string            `json:"before,omitempty" doc:"JSON of it before the change"`
	After          string            `json:"after,omitempty" doc:"JSON of it after the change"`
}

// ShadowedDecision is what a policy set that is only tried out would have done.
type ShadowedDecision struct {
	PolicySet string   `json:"policy_set"`
	Effect    string   `json:"effect,omitempty"`
	Policies  []string `json:"policies,omitempty"`
}

// SecretAccess says which version of which secret was read.
type SecretAccess struct {
	Reference string `json:"reference"`
	Version   string `json:"version,omitempty"`
	RequestID string `json:"request_id,omitempty" doc:"The store's own"`
}

// getAudit reads two rows of the audit table, consistently: no index is asked.
func (h *Handler) getAudit(ctx context.Context, in *struct {
	Receipt string `path:"receipt" pattern:"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"`
}) (*struct{ Body ReceiptRecords }, error) {
	if err := h.askAudit(ctx, "get-audit", in.Receipt); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	records, err := h.evidence.Receipt(ctx, in.Receipt)
	unreadable, err := h.passedOver(ctx, "records", err)
	if err != nil {
		return nil, fault(err)
	}
	out := ReceiptRecords{Receipt: in.Receipt, Unreadable: unreadable}
	for _, r := range records {
		if r.Environment != h.environment {
			continue
		}
		v, err := viewRecord(r)
		if err != nil {
			return nil, fault(err)
		}
		out.Records = append(out.Records, v)
		if out.Explanation = explanationOf(r); r.Phase == broker.Intent && unreadable > 0 {
			out.Explanation = untoldEnd
		}
	}
	switch {
	case len(out.Records) == 0 && unreadable > 0:
		return nil, fault(broker.ErrUndecodable)
	case len(out.Records) == 0:
		return nil, fault(broker.ErrNotFound)
	}
	return &struct{ Body ReceiptRecords }{out}, nil
}

func viewRecord(r broker.Record) (AuditRecord, error) {
	hash, err := r.Hash()
	v := AuditRecord{Phase: string(r.Phase), At: r.At.UTC(), Writer: r.Writer, Sequence: r.Sequence, Hash: hash, Previous: r.Previous,
		RequestID: r.RequestID, Environment: r.Environment, Server: r.Server, Origin: r.Origin, Issuers: r.Issuers, Principal: r.Principal,
		Kind: string(r.Kind), Agent: r.Agent, Session: r.Session, Era: r.Era, Method: r.Method, Action: string(r.Action), Target: r.Target,
		MessageID: r.MessageID, Named: r.Named, Binding: r.Binding, BindingVersion: r.BindingVersion, Mode: string(r.Mode),
		Source: string(r.Source), References: written(r.References), PolicySet: r.Policy, Policies: r.Policies, Reason: string(r.Reason),
		Status: r.Status, Upstream: r.Upstream, Masked: r.Masked, DecidedAt: r.DecidedAt, LatencyMS: r.LatencyMS,
		Suppressed: r.Suppressed, Object: r.Object, Before: r.Before, After: r.After}
	for _, c := range r.Candidates {
		v.Candidates = append(v.Candidates, Candidate{c.Binding, c.Version, c.Rank, string(c.State)})
	}
	for _, a := range r.Accesses {
		v.Accesses = append(v.Accesses, SecretAccess(a))
	}
	if r.Shadow != nil {
		v.Shadow = &ShadowedDecision{r.Shadow.Set, r.Shadow.Effect, r.Shadow.Policies}
	}
	return v, err
}
