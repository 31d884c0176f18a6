package handler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
	"bindery/shared/telemetry"
)

const auditKind = string(policy.AuditKind)

// The time that one question about the audit covers.
const (
	usualWindow   = 24 * time.Hour
	longestWindow = 400 * 24 * time.Hour
)

// AuditQuestion asks for audit entries. Everything that is said must hold.
type AuditQuestion struct {
	Table
	From      time.Time `query:"from" doc:"At or after; 24 hours before to unless told"`
	To        time.Time `query:"to" doc:"Before; now unless told, and at most 400 days after from"`
	Principal string    `query:"principal" maxLength:"256" doc:"Id (p-...) of who called, or administered"`
	Agent     string    `query:"agent" maxLength:"256" doc:"Software that called"`
	Server    string    `query:"server" pattern:"^[a-z0-9-]{1,40}$"`
	Binding   string    `query:"binding" pattern:"^[a-z0-9-]{1,40}$" doc:"Needs server"`
	Reference string    `query:"reference" maxLength:"1024" doc:"Of the binding that was used; its key does not count"`
	RequestID string    `query:"request_id" maxLength:"256" doc:"The gateway's"`
	Reason    Word      `query:"reason" doc:"Why it was refused or failed"`
	Shadow    string    `query:"shadow" enum:"forbid,approval,unreadable" doc:"What the policy set in shadow would have done"`

	WithoutOutcome bool `query:"without_outcome" doc:"Only intents that were found to have no outcome, some 20 to 40 minutes after they began"`
}

// AuditEntry is what the index says of one receipt.
type AuditEntry struct {
	Receipt        string    `json:"receipt"`
	Phase          string    `json:"phase" enum:"intent,outcome,refusal" doc:"intent: no end of it is recorded"`
	At             time.Time `json:"at"`
	Environment    string    `json:"environment"`
	Server         string    `json:"server,omitempty"`
	Principal      string    `json:"principal"`
	Kind           string    `json:"kind"`
	Agent          string    `json:"agent,omitempty"`
	Method         string    `json:"method"`
	Action         string    `json:"action"`
	Target         string    `json:"target,omitempty" doc:"Tool or prompt; of a resource the digest; of an administrator's request the permission"`
	Binding        string    `json:"binding,omitempty"`
	BindingVersion int64     `json:"binding_version,omitempty"`
	References     []string  `json:"references,omitempty" doc:"Of a call field=reference; of what Bindery did by itself the references alone"`
	PolicySet      string    `json:"policy_set,omitempty" doc:"Id of the policies in force, or none"`
	Policies       []string  `json:"policies,omitempty" doc:"Those that decided"`
	Shadow         string    `json:"shadow,omitempty" enum:"forbid,approval,unreadable" doc:"What the policy set in shadow would have done; absent: nothing, or there was none"`
	Reason         string    `json:"reason,omitempty"`
	Status         int       `json:"status,omitempty" doc:"What the caller was answered"`
	RequestID      string    `json:"request_id,omitempty"`
	Object         string    `json:"object,omitempty" doc:"Of an administrator's request"`
}

// AuditEntries is one page of entries, newest first.
type AuditEntries struct {
	Items []AuditEntry `json:"items"`
	Next  string       `json:"next,omitempty" doc:"after for the next page; absent at the end"`
	From  time.Time    `json:"from" doc:"The time that was searched"`
	To    time.Time    `json:"to"`
	Lag   IndexLag     `json:"lag"`

	Unreadable int `json:"unreadable,omitempty" doc:"Rows of the index that do not decode and may belong to this page"`
}

func (h *Handler) audits() {
	huma.Register(h.api, h.sheetOperation(reflect.TypeFor[AuditEntries](), "list-audit", "/audit", "Find audit entries, newest first"), h.listAudit)
	huma.Register(h.api, operation("get-audit", http.MethodGet, "/audit/{receipt}", "Read all records of one receipt, and why it ended as it did", 404), h.getAudit)
}

// askAudit permits and records a question about people. What it was about is
// recorded too: watching is watched.
func (h *Handler) askAudit(ctx context.Context, id, about string) error {
	on := admin.Object{Kind: auditKind, Name: about}
	if err := h.desk.Read(ctx, callerOf(ctx), admin.Operation{ID: id, Needs: []admin.Need{need(policy.ReadAudit, on)}}); err != nil {
		return fault(err)
	}
	return nil
}

func (h *Handler) listAudit(ctx context.Context, in *AuditQuestion) (*sheet, error) {
	about, wrong := in.about()
	if err := h.askAudit(ctx, "list-audit", about); err != nil {
		return nil, err
	}
	of := h.question("list-audit", stamp(in.From), stamp(in.To), in.Principal, in.Agent, in.Server, in.Binding, in.Reference, in.RequestID, string(in.Reason), in.Shadow, strconv.FormatBool(in.WithoutOutcome))
	at, err := placeOf(in.After, of)
	if err = cmp.Or(wrong, err); err != nil {
		return nil, fault(err)
	}
	filter, err := in.filter(h.environment, at, h.now())
	if err != nil {
		return nil, fault(err)
	}
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	page, err := h.evidence.Entries(ctx, filter, at.after, in.Limit)
	unreadable, err := h.passedOver(ctx, "audit entries", err)
	if err != nil {
		return nil, fault(err)
	}
	lag, err := h.lag(ctx)
	if err != nil {
		return nil, fault(err)
	}
	next := place{of, filter.From, filter.To, page.Next}.token()
	out := AuditEntries{Items: []AuditEntry{}, Next: next, From: filter.From, To: filter.To, Lag: lag, Unreadable: unreadable}
	rows := [][]string{}
	for _, e := range page.Entries {
		v := viewEntry(e)
		out.Items = append(out.Items, v)
		rows = append(rows, v.cells())
	}
	return newSheet(in.Format, out, next, &lag, unreadable, entryHeader(), rows), nil
}

// about names what is searched for, for the record: ids as records hold them
// anyway. What is no id is not repeated there.
func (in *AuditQuestion) about() (string, error) {
	about := "entries"
	for _, f := range [][2]string{{"principal", in.Principal}, {"agent", in.Agent}, {"server", in.Server}, {"binding", in.Binding}, {"request", in.RequestID}} {
		if f[1] == "" {
			continue
		}
		check := broker.CheckID(f[0], f[1])
		if f[0] == "principal" {
			check = broker.CheckPrincipal(f[1])
		}
		if check != nil {
			return "entries", check
		}
		about += "/" + f[0] + "=" + f[1]
	}
	return about, nil
}

// filter holds a question to its rules. The window of the first page holds for
// all pages: otherwise entries would move between them.
func (in *AuditQuestion) filter(environment string, at place, now time.Time) (broker.AuditFilter, error) {
	f := broker.AuditFilter{Environment: environment, From: in.From.UTC(), To: in.To.UTC(), Principal: in.Principal, Agent: in.Agent,
		Server: in.Server, Binding: in.Binding, RequestID: in.RequestID, Reason: broker.Reason(in.Reason), Shadow: in.Shadow, WithoutOutcome: in.WithoutOutcome}
	if f.To.IsZero() {
		f.To = now.UTC()
	}
	if f.From.IsZero() {
		f.From = f.To.Add(-usualWindow)
	}
	if !at.from.IsZero() {
		f.From, f.To = at.from, at.to
	}
	bad := func(rule string) (broker.AuditFilter, error) {
		return f, fmt.Errorf("%w question: %s", broker.ErrInvalid, rule)
	}
	switch {
	case !f.From.Before(f.To):
		return bad("from must lie before to")
	case f.To.Sub(f.From) > longestWindow:
		return bad("at most 400 days can be asked for at once")
	case f.Binding != "" && f.Server == "":
		return bad("a binding needs its server")
	}
	if in.Reference != "" {
		r, err := broker.StoredReference(in.Reference)
		if err != nil {
			return f, err
		}
		f.Reference = r.WithoutKey()
	}
	return f, nil
}

// lag reads one row of the index.
func (h *Handler) lag(ctx context.Context) (IndexLag, error) {
	l, err := h.evidence.Lag(ctx, h.environment)
	switch {
	case errors.Is(err, broker.ErrUndecodable):
		h.log.Error("how far the audit index is behind does not decode", "receipt", callerOf(ctx).Receipt, string(telemetry.RowsUnreadable), 1)
		return IndexLag{Unreadable: true}, nil
	case err != nil || l.Newest.IsZero():
		return IndexLag{}, err
	}
	return IndexLag{Newest: instant(l.Newest), Indexed: instant(l.Indexed), Seconds: max(0, int64(l.Indexed.Sub(l.Newest).Seconds()))}, nil
}

func viewEntry(e broker.Entry) AuditEntry {
	return AuditEntry{Receipt: e.Receipt, Phase: string(e.Phase), At: e.At.UTC(), Environment: e.Environment, Server: e.Server, Principal: e.Principal,
		Kind: string(e.Kind), Agent: e.Agent, Method: e.Method, Action: string(e.Action), Target: e.Target, Binding: e.Binding,
		BindingVersion: e.BindingVersion, References: written(e.References), PolicySet: e.Policy, Policies: e.Policies, Shadow: e.Shadow, Reason: string(e.Reason),
		Status: e.Status, RequestID: e.RequestID, Object: e.Object}
}

// written are references as somebody writes them. Records begin one that is no
// field of a card with the bare sign, so that the index finds it like any other.
func written(recorded []string) []string {
	var references []string
	for _, r := range recorded {
		references = append(references, strings.TrimPrefix(r, "="))
	}
	return references
}

func entryHeader() []string {
	return []string{"receipt", "phase", "at", "environment", "server", "principal", "kind", "agent", "method", "action", "target", "binding",
		"binding_version", "references", "policy_set", "policies", "shadow", "reason", "status", "request_id", "object"}
}

func (e AuditEntry) cells() []string {
	return []string{e.Receipt, e.Phase, clock(&e.At), e.Environment, e.Server, e.Principal, e.Kind, e.Agent, e.Method, e.Action, e.Target, e.Binding,
		number(e.BindingVersion), several(e.References), e.PolicySet, several(e.Policies), e.Shadow, e.Reason, number(int64(e.Status)), e.RequestID, e.Object}
}

// number is a number in a cell; 0 is none.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
