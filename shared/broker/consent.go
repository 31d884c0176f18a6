package broker

import (
	"errors"
	"fmt"
)

// Faults of sources that ask a provider. Each leaves the call without a
// credential, and no other mode or account is tried instead.
var (
	ErrConsentRequired     = errors.New("consent required")                          // always as a *ConsentNeeded
	ErrProviderRefused     = errors.New("provider refused")                          // it knows Bindery or the request, and says no: configuration
	ErrProviderUnavailable = fmt.Errorf("provider %w", ErrUnavailable)               // throttled, 5xx, network, or cooling after that; may pass
	ErrOutcomeUnknown      = fmt.Errorf("outcome unknown, token %w", ErrUnavailable) // the provider may have issued a token that nobody has
)

// ConsentWhy is why a person has to be asked.
type ConsentWhy string

// The reasons for asking.
const (
	ConsentNone   ConsentWhy = "none"   // there is no living grant for this: never given, ended, or given for something else
	ConsentDead   ConsentWhy = "dead"   // the provider no longer honours it
	ConsentScopes ConsentWhy = "scopes" // the binding needs more than was granted
	ConsentAgent  ConsentWhy = "agent"  // the person has not agreed that this agent uses it
)

// ConsentNeeded says whose consent a call lacks, and for what. It is an
// ErrConsentRequired.
type ConsentNeeded struct {
	Why      ConsentWhy
	Grant    GrantKey
	Provider string   // empty: the person types in a key
	Scopes   []string // that the binding needs
	Silent   bool     // the call gets no answer in which anybody could be asked
}

// Error names what is missing; it is for records and logs.
func (c *ConsentNeeded) Error() string { return fmt.Sprintf("%v: %s", ErrConsentRequired, c.Why) }

// Unwrap makes it an ErrConsentRequired.
func (c *ConsentNeeded) Unwrap() error { return ErrConsentRequired }

func (c *ConsentNeeded) reason() Reason {
	switch c.Why {
	case ConsentDead:
		return GrantDead
	case ConsentScopes:
		return ScopesNotGranted
	case ConsentAgent:
		return AgentNotConsented
	default:
		return ConsentRequired
	}
}
