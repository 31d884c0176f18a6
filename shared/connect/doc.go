// Package connect is the way from "a person has to be asked" to their answer:
// the ticket behind a link, the browser in which the link was opened, the login
// and the authorization under way in it, and whether the question still stands.
//
// The link proves nothing. Whoever opens it has to log in and to be the person
// the ticket was made for. A browser is known by an unguessable value in a cookie
// of its own; what is stored knows that value by its digest only, and everything
// else that must be secret in a login (nonce, PKCE verifier, CSRF token) is
// derived from it and so is stored nowhere.
//
// The package never shows a page, never asks a provider, holds no token, and
// gives a ticket, login or authorization to nobody twice.
package connect

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// ErrGone says that a link, login or authorization is not a living one of this
// browser: forged, used, expired and somebody else's look alike.
var ErrGone = errors.New("there is no such request, or it has been used or has expired")

// How long things wait for the person.
const (
	TicketLife  = 10 * time.Minute
	pendingLife = 10 * time.Minute
	SessionLife = time.Hour
)

// Desk keeps what is under way in one environment. It is safe for concurrent use.
type Desk struct {
	Handles     broker.Handles
	Environment string
	PublicURL   string // without a slash at the end
	Now         func() time.Time
}

// kinds of handle.
const (
	ticketKind  = "ticket"
	browserKind = "browser"
	loginKind   = "login"
	flowKind    = "flow"
)

// newID is unguessable: 130 bits.
func newID() string { return rand.Text() }

func (d *Desk) add(ctx context.Context, kind, id string, body any, life time.Duration) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%w %s: %w", broker.ErrInvalid, kind, err)
	}
	h := broker.Handle{Environment: d.Environment, Kind: kind, ID: broker.Digest(kind, id), Body: text, Expires: d.Now().Add(life).UTC()}
	if err := d.Handles.AddHandle(ctx, h); err != nil {
		return fmt.Errorf("store the %s: %w", kind, err)
	}
	return nil
}

// find reads a handle, or with take takes it, into body.
func (d *Desk) find(ctx context.Context, kind, id string, take bool, body any) error {
	if len(id) > broker.MaxID {
		return ErrGone
	}
	read := d.Handles.Handle
	if take {
		read = d.Handles.TakeHandle
	}
	h, err := read(ctx, d.Environment, kind, broker.Digest(kind, id), d.Now())
	switch {
	case errors.Is(err, broker.ErrNotFound):
		return ErrGone
	case err != nil:
		return fmt.Errorf("read the %s: %w", kind, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(h.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(body); err != nil {
		return fmt.Errorf("%w %s: it does not decode", broker.ErrInvalid, kind)
	}
	return nil
}
