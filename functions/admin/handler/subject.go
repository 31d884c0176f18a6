package handler

import (
	"errors"
	"fmt"
	"strings"

	"bindery/shared/broker"
)

// Subject is what exposure is asked of: exactly one of a reference, a store, a
// binding with its server, a principal, or an agent.
type Subject struct {
	Reference string `query:"reference" maxLength:"1024" doc:"A secret, as on the card; the key does not count"`
	Store     string `query:"store" pattern:"^[a-z0-9-]{1,40}$" doc:"All references of a store"`
	Server    string `query:"server" pattern:"^[a-z0-9-]{1,40}$" doc:"With binding"`
	Binding   string `query:"binding" pattern:"^[a-z0-9-]{1,40}$" doc:"With server"`
	Principal string `query:"principal" maxLength:"256" doc:"Id (p-...) of a person or workload, as in audit records"`
	Agent     string `query:"agent" maxLength:"256" doc:"Software that calls"`
}

// subject is a Subject that has been held to its rules.
type subject struct {
	kind      broker.SeenKind
	id        string // as the audit index has it
	reference broker.Reference
}

// parse gives the one subject. What it gives beside an error still says what
// was asked for, for the record.
func (s Subject) parse() (subject, error) {
	var found []subject
	var err error
	if s.Reference != "" {
		r, bad := broker.ParseReference(s.Reference)
		r, err = r.WithoutKey(), bad
		found = append(found, subject{broker.SeenReference, r.String(), r})
	}
	if s.Server != "" || s.Binding != "" {
		found = append(found, subject{kind: broker.SeenBinding, id: s.Server + "/" + s.Binding})
	}
	for _, one := range []subject{{kind: broker.SeenStore, id: s.Store}, {kind: broker.SeenPrincipal, id: s.Principal}, {kind: broker.SeenAgent, id: s.Agent}} {
		if one.id != "" {
			found, err = append(found, one), errors.Join(err, broker.CheckID(string(one.kind), one.id))
		}
	}
	if s.Principal != "" {
		err = errors.Join(err, broker.CheckPrincipal(s.Principal))
	}
	switch {
	case err != nil:
		return subject{}, err
	case len(found) != 1, (s.Server == "") != (s.Binding == ""):
		return subject{}, fmt.Errorf("%w question: exactly one subject is required: reference, store, server with binding, principal, or agent", broker.ErrInvalid)
	}
	return found[0], nil
}

// about names the subject for the record.
func (s subject) about() string {
	if s.id == "" {
		return "exposure"
	}
	return "exposure/" + string(s.kind) + "/" + s.id
}

// through says how a binding lets the subject through, or nothing. Whether a
// person is in a group, or a workload has an attribute, is for the identity
// provider to know: such bindings could.
func (s subject) through(a broker.Actor) string {
	another := s.kind == broker.SeenPrincipal && a.Principal != "" && a.Principal != s.id ||
		s.kind == broker.SeenAgent && a.Agent != "" && a.Agent != s.id
	if another {
		return ""
	}
	return actorForm(a)
}

// actorForm names the form of an actor.
func actorForm(a broker.Actor) string {
	switch {
	case a.Principal != "":
		return "person"
	case a.Agent != "":
		return "agent"
	case a.Group != "":
		return "group"
	case a.Anyone:
		return "anyone"
	}
	return "attribute"
}

// actorText is an actor in a cell.
func actorText(a broker.Actor) string {
	switch actorForm(a) {
	case "person":
		if a.Agent != "" {
			return a.Principal + " through " + a.Agent
		}
		return a.Principal
	case "agent":
		return a.Agent
	case "group":
		return a.Group
	case "attribute":
		return a.Attribute.Name + "=" + a.Attribute.Value
	}
	return "anyone"
}

// unknown is what cannot be enumerated of an actor, in a sentence; empty: all
// of it is on the card.
func unknown(form string) string {
	switch form {
	case "agent":
		return "Which people come through an agent is not known in advance: each of them needs a binding of their own besides."
	case "group":
		return "The members of a group are known to the identity provider alone."
	case "attribute":
		return "Which workloads have an attribute is known to the identity provider alone."
	case "anyone":
		return "Anyone whom a trusted issuer vouches for is covered."
	}
	return ""
}

// ownCredentials is said of a card through which people use their own.
func ownCredentials(b broker.Binding) string {
	if b.Mode != broker.UserDelegated {
		return ""
	}
	return "Each person uses a credential of their own: who consented is asked person by person."
}

// otherSpellings is said of a reference.
const otherSpellings = "The same secret may stand on other cards with a version selector, or by the name of another store that reads the same place: ask for each such store to see all of them."

// references lists the fields of a card that are meant: those with the
// reference, or all.
func references(b broker.Binding, of broker.Reference) (list []string) {
	for _, f := range b.Fields {
		if of.IsZero() || f.Reference.WithoutKey() == of {
			list = append(list, f.Name+"="+f.Reference.String())
		}
	}
	return list
}

// addSentence adds what is not said already.
func addSentence(list []string, sentence string) []string {
	if sentence == "" || strings.Contains(strings.Join(list, "\n"), sentence) {
		return list
	}
	return append(list, sentence)
}
