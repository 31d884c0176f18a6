package broker

import (
	"strings"
	"unicode/utf8"
)

// MaxScan is the longest page of a scan.
const MaxScan = 1000

const (
	maxWrapped   = 4096 // an id of a session as its client has it, in bytes
	maxScanToken = 4096
)

// Check refuses what no backend may keep.
func (s LiveSession) Check() error {
	c := rowCheck{row: "session", err: CheckSession(s.Environment, s.Principal, s.Digest)}
	c.name("server", s.Server)
	c.name("origin", s.Origin) // a digest has the form of a name
	c.name("binding", s.Binding)
	c.text("agent and issuer", s.Agent, s.Issuer)
	c.list("groups", s.Groups)
	c.require("id", s.Wrapped != "" && len(s.Wrapped) <= maxWrapped && utf8.ValidString(s.Wrapped), "it must have 1 to 4096 bytes of UTF-8")
	c.time("end", s.Expires)
	return c.err
}

// CheckSession refuses what no session could be found by.
func CheckSession(environment, principal, digest string) error {
	c := rowCheck{row: "session"}
	c.name("environment", environment)
	c.id("principal", principal)
	c.require("digest", isDigest(digest), "it is none")
	return c.err
}

// CheckSessionsOf refuses what no backend can list.
func CheckSessionsOf(environment, principal, after string, limit int) error {
	c := rowCheck{row: "page of sessions"}
	c.name("environment", environment)
	c.id("principal", principal)
	c.require("token to begin after", after == "" || isDigest(after), "it is none of this list")
	c.keep(Page{Limit: limit}.Check())
	return c.err
}

// CheckScan refuses what no backend can scan. A token is two words.
func CheckScan(environment, after string, limit int) error {
	c := rowCheck{row: "page of a scan"}
	c.name("environment", environment)
	first, second, _ := strings.Cut(after, " ")
	words := first != "" && second != "" && !strings.Contains(second, " ") && utf8.ValidString(after)
	c.require("token to begin after", after == "" || words && len(after) <= maxScanToken, "it is none of this list")
	c.require("limit", limit >= 1 && limit <= MaxScan, "it must lie between 1 and 1000")
	return c.err
}
