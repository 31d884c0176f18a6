package broker

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// PolicySet is one immutable set of policies on calls, with the tests that must
// hold before it is put into force. The environment's row says which set is in
// force and which one is tried out in shadow.
type PolicySet struct {
	Environment string
	ID          string // hex SHA-256 of text and tests; whoever reads a set checks it
	Text        string // Cedar policies, at most 256 KiB
	Tests       string // JSON, at most 64 KiB, or empty
	At          time.Time
	By          string // principal who stored it
}

// PolicySets keeps policy sets, by what they hold. AddPolicySet stores a set
// unless its id is there already, whoever stored it then; a set never changes and is never
// deleted. PolicySet reads consistently and fails with ErrNotFound where there
// is none. PolicySetNames lists sets without text and tests, in an order that
// depends on the ids alone, as CatalogueReader lists do.
type PolicySets interface {
	AddPolicySet(ctx context.Context, s PolicySet) error
	PolicySet(ctx context.Context, environment, id string) (PolicySet, error)
	PolicySetNames(ctx context.Context, environment string, p Page) ([]PolicySet, error)
}

// CheckSetID accepts 64 lower-case hexadecimal digits.
func CheckSetID(id string) error {
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%w policy set id: it must have 64 hexadecimal digits", ErrInvalid)
	}
	return nil
}

// Check refuses what no backend may keep. That the id is the digest of what it
// names is for readers to see, each time.
func (s PolicySet) Check() error {
	c := rowCheck{row: "policy set"}
	c.name("environment", s.Environment)
	c.keep(CheckSetID(s.ID))
	c.require("text", len(s.Text) <= maxPolicies && utf8.ValidString(s.Text), "it must be UTF-8 of at most 256 KiB")
	c.require("tests", len(s.Tests) <= maxPolicyTests && utf8.ValidString(s.Tests), "they must be UTF-8 of at most 64 KiB")
	c.time("time", s.At)
	c.id("author", s.By)
	return c.err
}

// Rules gives compiled policy sets by their id. A set that cannot be read fails
// with ErrUnavailable, one that is not what its id says with ErrInvalid, one
// that is not there with ErrNotFound: the call is refused in each case.
type Rules interface {
	RuleSet(ctx context.Context, environment, id string) (RuleSet, error)
}

// RuleSet judges calls. It is immutable and safe for concurrent use.
type RuleSet interface {
	Judge(q Question) Judgement
}

// Question is a call for which a binding has been chosen. The pointers must not
// be kept.
type Question struct {
	Call    *Call
	Server  *Server
	Binding *Binding
	Agent   *Agent // nil where none calls, or has no record
	Tool    *Tool  // nil where there is no record
	Listed  bool   // about an element of a list: only policies that need no arguments are asked
}

// Judgement is what a set says of a call: nothing, or which of its policies
// forbid it (those that could not be evaluated among them), or else which
// demand an approval.
type Judgement struct {
	Forbidding []string // policy ids, in order
	Demanding  []string
	Faulty     []string // those of Forbidding that could not be evaluated
}

// Shadowed is what a set that is only tried out would have done. It is part of
// an audit record.
type Shadowed struct {
	Set      string   `json:"set"`
	Effect   string   `json:"effect,omitempty"` // "forbid", "approval", "unreadable"; empty: nothing
	Policies []string `json:"policies,omitempty"`
}
