package revoke

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"bindery/shared/broker"
)

// Order asks for one thing to be stopped.
type Order struct {
	ID      string            `json:"id"` // a receipt: names the case, if the order becomes one
	Kind    broker.MarkerKind `json:"kind"`
	Subject string            `json:"subject"`
	By      string            `json:"by"` // a principal; whoever may invoke the function says what they like
	Reason  string            `json:"reason"`
}

// Lifting asks for what a case has stopped to be let go.
type Lifting struct {
	ID     string `json:"id"` // a receipt: names the case of the lifting
	Case   string `json:"case"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// Limits of what is typed.
const (
	MaxReason = 1024 // bytes
	// EverythingReason is how many characters somebody has to type to stop everything.
	EverythingReason = 10
)

// Key names the marker.
func (o Order) Key() broker.MarkerKey { return broker.MarkerKey{Kind: o.Kind, ID: o.Subject} }

// Checked gives the order as it is carried out, with its subject in the one
// spelling that decisions look for, or says which rule it breaks. It never
// repeats what was given.
func (o Order) Checked(environment string) (Order, error) {
	subject, err := Subject(environment, o.Kind, o.Subject)
	if err != nil {
		return o, err
	}
	o.Subject = subject
	if o.Kind == broker.EverythingMarker && utf8.RuneCountInString(strings.TrimSpace(o.Reason)) < EverythingReason {
		return o, fmt.Errorf("%w reason: to stop everything takes one of at least %d characters", broker.ErrInvalid, EverythingReason)
	}
	return o, check(environment, o.ID, o.By, o.Reason)
}

// Check says which rule the lifting breaks.
func (l Lifting) Check(environment string) error {
	if err := broker.CheckCase(environment, l.Case); err != nil {
		return err
	}
	return check(environment, l.ID, l.By, l.Reason)
}

func check(environment, id, by, reason string) error {
	if err := broker.CheckCase(environment, id); err != nil {
		return err
	}
	if err := broker.CheckID("author", by); err != nil {
		return err
	}
	if strings.TrimSpace(reason) == "" || len(reason) > MaxReason || !utf8.ValidString(reason) {
		return fmt.Errorf("%w reason: it must have 1 to %d bytes of UTF-8", broker.ErrInvalid, MaxReason)
	}
	return nil
}

// Subject gives the id of the marker by which something is stopped. What looks
// nearly right is refused: a marker that no decision looks for would promise a stop
// that is none.
func Subject(environment string, kind broker.MarkerKind, subject string) (string, error) {
	bad := func(rule string) (string, error) {
		return "", fmt.Errorf("%w subject: %s", broker.ErrInvalid, rule)
	}
	switch kind {
	case broker.PrincipalMarker:
		return subject, broker.CheckPrincipal(subject)
	case broker.SessionMarker:
		if err := broker.CheckPrincipal("p-" + subject); err != nil { // of the same form
			return bad("a session is its digest, as in audit records")
		}
	case broker.GroupMarker, broker.IssuerMarker, broker.AgentMarker:
		if err := broker.CheckID("subject", subject); err != nil {
			return "", err
		}
	case broker.ServerMarker, broker.StoreMarker:
		return subject, broker.CheckName("subject", subject)
	case broker.BindingMarker:
		server, binding, found := strings.Cut(subject, "/")
		if !found || broker.CheckName("server", server) != nil || broker.CheckName("binding", binding) != nil {
			return bad("a binding is server/binding")
		}
	case broker.GrantMarker:
		principal, server, found := strings.Cut(subject, "/")
		if !found || broker.CheckPrincipal(principal) != nil || broker.CheckName("server", server) != nil {
			return bad("a grant is principal/server, the principal by its id (p-...)")
		}
	case broker.ReferenceMarker:
		reference, err := broker.ParseReference(subject)
		if err != nil {
			return "", err
		}
		return reference.WithoutKey().String(), nil
	case broker.EnvironmentMarker, broker.EverythingMarker:
		if subject != environment {
			return bad("it must be the name of the environment that is served here")
		}
	default:
		return "", fmt.Errorf("%w kind: nothing of it can be revoked", broker.ErrInvalid)
	}
	return subject, nil
}
