package handler

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/mcp"
	"bindery/shared/session"
)

// Tickets makes the links under which people consent. A link is shown to the
// caller only: it is in no record and no log.
type Tickets interface {
	// Issue makes a link for the consent that a decided call lacks.
	Issue(ctx context.Context, needed *broker.ConsentNeeded, d *broker.Decision) (string, error)
	// Waits reports whether a link has not been answered yet.
	Waits(ctx context.Context, link string) bool
}

// asking puts the question to a caller whose call lacks a consent, in the form
// that their client understands.
type asking struct {
	tickets Tickets
	handles broker.Handles // so that one need is one link, whichever process is asked
	life    time.Duration  // of a question, a little shorter than its link's
}

// askedKind is the kind of handle that keeps, sealed, the link for one need.
const askedKind = "asked"

// How long a retry waits for the consent, and what must be left of the invocation
// for the call itself.
const (
	holdTime    = 20 * time.Second
	holdReserve = 3 * time.Second
)

// resume reads what a request brings back of a question of Bindery's. What does
// not open for this caller and this very call is cut out like the rest, and means
// nothing. It reports that the person declined. An accepted question is waited
// for: accepting means that the link was opened, and no more.
func (h *Handler) resume(ctx context.Context, d *broker.Decision, in *inbound) (declined bool) {
	m := in.message
	if m.State == "" {
		return false
	}
	digest := m.CallDigest(in.body)
	in.body = m.WithoutReply(in.body)
	owner, err := ownerOf(d)
	if err != nil || !m.Asks() {
		return false
	}
	state, err := h.sessions.OpenState(ctx, owner, strings.TrimPrefix(m.State, mcp.StatePrefix))
	if err != nil || state.Call != digest {
		return false
	}
	in.call, in.asked = digest, state
	switch m.Reply {
	case "accept":
		h.broker.AwaitConsent(ctx, d, state.Refused, h.patience(ctx))
	case "decline", "cancel":
		return true
	}
	return false
}

// patience is how long a retry may wait.
func (h *Handler) patience(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(holdTime, deadline.Sub(h.now())-deadlineMargin-holdReserve)
	}
	return holdTime
}

// ask answers a call that lacks a consent. refused is the version of the
// credential that the upstream did not accept, or empty.
func (h *Handler) ask(ctx context.Context, w http.ResponseWriter, d *broker.Decision, in *inbound, s session.Session, needed *broker.ConsentNeeded, refused string) {
	m := in.message
	if m.Kind != mcp.Request {
		consentMissing.write(w, nil)
		return
	}
	body, err := h.questionBody(ctx, d, in, s, needed, refused)
	if err != nil {
		h.log.Error("consent not asked for", "receipt", d.Call.Receipt, "cause", err.Error())
		notAsked.write(w, m.ID)
		return
	}
	writeError(w, consentRequired.Name, consentRequired.Status, body)
}

func (h *Handler) questionBody(ctx context.Context, d *broker.Decision, in *inbound, s session.Session, needed *broker.ConsentNeeded, refused string) ([]byte, error) {
	m, server := in.message, d.Call.Route.Server
	owner, err := ownerOf(d)
	if err != nil {
		return nil, err
	}
	asked, err := h.question(ctx, d, owner, in.asked, needed)
	if err != nil {
		return nil, err
	}
	prompt := "Your consent is needed before " + server + " can be used in your name."
	switch {
	case m.Asks() && !m.Continues && slices.Contains(m.Capabilities, mcp.CanOpenURL):
		asked.Call, asked.Refused = cmp.Or(in.call, m.CallDigest(in.body)), refused
		state, err := h.sessions.SealState(ctx, owner, asked)
		if err != nil {
			return nil, err
		}
		return mcp.InputRequired(m.ID, mcp.StatePrefix+state, asked.Link, prompt), nil
	case m.Version == mcp.RevisionOfURLRequired && m.Method != "initialize" && slices.Contains(s.Capabilities, mcp.CanOpenURL):
		return mcp.URLRequired(m.ID, broker.Digest("elicitation", asked.Link), asked.Link, prompt), nil
	case m.Method == "tools/call":
		return m.ToolFailure(prompt + " Open this link in a browser, and then repeat the call: " + asked.Link), nil
	}
	return mcp.ErrorBody(m.ID, consentRequired.Code, consentRequired.Text+": "+asked.Link), nil
}

// question gives the link for a need: the one that this call was shown before,
// or the one that somebody was shown for the same need and that still waits, or a
// new one.
func (h *Handler) question(ctx context.Context, d *broker.Decision, owner session.Owner, before session.State, needed *broker.ConsentNeeded) (session.State, error) {
	now := h.now()
	card := &d.Binding
	need := broker.Digest(append([]string{"need", owner.Principal, owner.Agent, owner.Server, owner.Origin,
		card.Name, strconv.FormatInt(card.Version, 10), needed.Provider, string(needed.Why)}, needed.Scopes...)...)
	if before.Need == need && now.Before(before.Expires) {
		return before, nil
	}
	// A handle that has expired keeps its id, so ids change with time.
	id := broker.Digest(need, strconv.FormatInt(now.UnixNano()/int64(h.asking.life), 10))
	if asked, ok := h.asked(ctx, owner, id); ok {
		return asked, nil
	}
	link, err := h.asking.tickets.Issue(ctx, needed, d)
	if err != nil {
		return session.State{}, err
	}
	asked := session.State{Need: need, Link: link, Expires: now.Add(h.asking.life)}
	sealed, err := h.sessions.SealState(ctx, owner, asked)
	if err != nil {
		return session.State{}, err
	}
	err = h.asking.handles.AddHandle(ctx, broker.Handle{Environment: h.environment, Kind: askedKind, ID: id, Body: []byte(`"` + sealed + `"`), Expires: asked.Expires.UTC()})
	switch {
	case errors.Is(err, broker.ErrConflict): // asked side by side: all show the first one's link
		if first, ok := h.asked(ctx, owner, id); ok {
			return first, nil
		}
	case err != nil: // the link is as good, and the next call will show another
		h.log.Warn("a link is not remembered", "receipt", d.Call.Receipt, "cause", err.Error())
	}
	return asked, nil
}

// asked finds a link that still waits. One that was answered is forgotten.
func (h *Handler) asked(ctx context.Context, owner session.Owner, id string) (session.State, bool) {
	row, err := h.asking.handles.Handle(ctx, h.environment, askedKind, id, h.now())
	if err != nil {
		return session.State{}, false
	}
	asked, err := h.sessions.OpenState(ctx, owner, strings.Trim(string(row.Body), `"`))
	if err == nil && h.asking.tickets.Waits(ctx, asked.Link) {
		return asked, true
	}
	_, _ = h.asking.handles.TakeHandle(ctx, h.environment, askedKind, id, h.now())
	return session.State{}, false
}

// declined answers a call whose person would not consent. They are not asked
// again for this call.
func (h *Handler) declined(w http.ResponseWriter, m *mcp.Message) {
	body := mcp.ErrorBody(m.ID, consentDeclined.Code, consentDeclined.Text)
	if m.Method == "tools/call" {
		body = m.ToolFailure("Nothing was done: " + consentDeclined.Text + ".")
	}
	writeError(w, consentDeclined.Name, consentDeclined.Status, body)
}
