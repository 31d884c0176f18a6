package handler

import (
	"context"
	"strings"
	"time"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// RevocationView is a case as it is read: who stopped or lifted what, and what was
// done about what was under way.
type RevocationView struct {
	ID            string          `json:"id" doc:"A receipt: the audit records of an administrator's request have it too"`
	Kind          string          `json:"kind"`
	Subject       string          `json:"subject"`
	Epoch         int64           `json:"epoch" doc:"Which decision about the subject it was"`
	Lifts         bool            `json:"lifts" doc:"It took an earlier one back"`
	By            string          `json:"by" doc:"Principal, or event/source/id"`
	Via           string          `json:"via" enum:"admin,event"`
	Reason        string          `json:"reason"`
	At            time.Time       `json:"at"`
	Work          string          `json:"work" enum:"open,done" doc:"Of ending what was under way; the stop itself stands since at"`
	Tries         int             `json:"tries" doc:"Runs of the work so far"`
	NextTry       *time.Time      `json:"next_try,omitempty" doc:"When what could not be reached is tried again"`
	Done          *time.Time      `json:"done,omitempty"`
	Sessions      Tally           `json:"sessions" doc:"Legacy sessions, ended at their upstreams"`
	Grants        Tally           `json:"grants" doc:"People's consents, their tokens revoked at providers"`
	Values        Tally           `json:"values" doc:"Sealed values, deleted"`
	AcceptedUntil *time.Time      `json:"accepted_until,omitempty" doc:"Until when a provider or upstream may still accept what could not be revoked there"`
	Unreached     []UnreachedView `json:"unreached" doc:"What could not be ended at its provider or upstream, the first 100"`
	Unknown       []string        `json:"unknown" doc:"What cannot be enumerated"`
}

// Tally counts; what is neither ended nor given up is still to do.
type Tally struct {
	Found   int `json:"found"`
	Ended   int `json:"ended"`
	GivenUp int `json:"given_up"`
}

// UnreachedView is one thing that could not be ended.
type UnreachedView struct {
	What     string     `json:"what" doc:"session or grant"`
	ID       string     `json:"id"`
	Server   string     `json:"server,omitempty"`
	Provider string     `json:"provider,omitempty"`
	Fault    string     `json:"fault,omitempty" doc:"A word"`
	Until    *time.Time `json:"until,omitempty" doc:"When it ends by itself; absent: unknown"`
	GivenUp  bool       `json:"given_up,omitempty" doc:"Trying again would not help"`
}

// Revocations is one page.
type Revocations struct {
	Items []RevocationView `json:"items"`
	Next  string           `json:"next,omitempty" doc:"after for the next page; absent at the end"`

	Unreadable int `json:"unreadable,omitempty" doc:"Cases of this page that do not decode: what they stop stays stopped"`
}

func revocationObject(id, owner string) admin.Object {
	return admin.Object{Kind: string(policy.RevocationKind), Name: id, Owner: owner}
}

type listRevocationsInput struct {
	After string `query:"after" doc:"next of the page before" pattern:"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"`
	Limit int    `query:"limit" doc:"Most cases of a page; a page may hold fewer and not be the last" minimum:"1" maximum:"200" default:"50"`
}

// listRevocations shows owners the cases of their own servers' cards. A page is
// one page of all cases, so that next tells no more than a time.
func (h *Handler) listRevocations(ctx context.Context, in *listRevocationsInput) (*struct{ Body Revocations }, error) {
	if err := h.askList(ctx, "list-revocations", admin.Object{Kind: string(policy.RevocationKind)}); err != nil {
		return nil, err
	}
	found, err := h.cases.RevocationsOf(ctx, h.environment, in.After, in.Limit)
	unreadable, err := h.passedOver(ctx, "revocations", err)
	if err != nil {
		return nil, fault(err)
	}
	out := Revocations{Items: []RevocationView{}, Unreadable: unreadable}
	owners := map[string]string{}
	for _, r := range found {
		owner, err := h.ownerOfCase(ctx, r, owners)
		if err != nil {
			return nil, fault(err)
		}
		if h.desk.Sees(callerOf(ctx), need(policy.ListNames, revocationObject(r.ID, owner))) {
			out.Items = append(out.Items, viewRevocation(r))
		}
	}
	if len(found) == in.Limit {
		out.Next = found[len(found)-1].ID
	}
	return &struct{ Body Revocations }{out}, nil
}

// ownerOfCase is the group that owns what a case is about, if anybody does. It is
// read only for whoever would not see the case otherwise.
func (h *Handler) ownerOfCase(ctx context.Context, r broker.Revocation, known map[string]string) (string, error) {
	server, _, _ := strings.Cut(r.Subject, "/")
	if r.Kind != broker.BindingMarker || h.desk.Sees(callerOf(ctx), need(policy.ListNames, revocationObject(r.ID, ""))) {
		return "", nil
	}
	if owner, found := known[server]; found {
		return owner, nil
	}
	s, err := h.reader.Server(ctx, h.route(server))
	if err != nil && !isMissing(err) {
		return "", err
	}
	known[server] = s.Owner
	return s.Owner, nil
}

// maxSessionPages bounds how far somebody's sessions are looked through.
const maxSessionPages = 5

// ownerOfSession is the group that owns the server at which a person has a session,
// or nobody where it is not found, or cannot be looked for.
func (h *Handler) ownerOfSession(ctx context.Context, principal, digest string) string {
	for page, after := 0, ""; page < maxSessionPages; page++ {
		found, next, err := h.sessions.SessionsOf(ctx, h.environment, principal, after, broker.MaxPage)
		if _, err := h.passedOver(ctx, "sessions", err); err != nil { // one that is passed over is not found
			return ""
		}
		for _, v := range found {
			if v.Digest == digest {
				s, err := h.reader.Server(ctx, h.route(v.Server))
				if err != nil {
					return ""
				}
				return s.Owner
			}
		}
		if after = next; next == "" {
			return ""
		}
	}
	return ""
}

func (h *Handler) getRevocation(ctx context.Context, in *RevocationPath) (*struct{ Body RevocationView }, error) {
	r, err := h.cases.Revocation(ctx, h.environment, in.Revocation)
	owner := ""
	if err == nil {
		owner, err = h.ownerOfCase(ctx, r, map[string]string{})
	}
	if asked := h.ask(ctx, "get-revocation", revocationObject(in.Revocation, owner)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &struct{ Body RevocationView }{viewRevocation(r)}, nil
}

func viewRevocation(r broker.Revocation) RevocationView {
	v := RevocationView{ID: r.ID, Kind: string(r.Kind), Subject: r.Subject, Epoch: r.Epoch, Lifts: r.Lifts, By: r.By, Via: r.Via, Reason: r.Reason,
		At: r.At.UTC(), Work: string(r.Work), Tries: r.Tries, NextTry: instant(r.NextTry), Done: instant(r.Done),
		Sessions: Tally(r.Sessions), Grants: Tally(r.Grants), Values: Tally(r.Values), AcceptedUntil: instant(r.Accepted),
		Unreached: []UnreachedView{}, Unknown: append([]string{}, r.Unknown...)}
	for _, u := range r.Unreached {
		v.Unreached = append(v.Unreached, UnreachedView{u.What, u.ID, u.Server, u.Provider, u.Fault, instant(u.Until), u.GivenUp})
	}
	return v
}
