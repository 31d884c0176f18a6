package broker

import (
	"context"
	"slices"
	"strings"
	"time"
)

// NoticeKind says what is wrong with what cards rest on, before a call fails.
type NoticeKind string

// The kinds of notice.
const (
	NoticeMissing   NoticeKind = "missing"   // there is no such secret: gone, or renamed
	NoticeMalformed NoticeKind = "malformed" // it is not what the reference expects
	NoticeDenied    NoticeKind = "denied"    // the store refuses Bindery
	NoticeDeleting  NoticeKind = "deleting"  // it is scheduled for deletion
	NoticeKey       NoticeKind = "key"       // the KMS key is disabled, deleted or denied
	NoticeExpired   NoticeKind = "expired"   // the card's date is over
	NoticeExpiring  NoticeKind = "expiring"  // it soon will be
	NoticeOld       NoticeKind = "old"       // the value is older than its limit
	NoticeUnused    NoticeKind = "unused"    // nobody has used the card for long
	NoticeDying     NoticeKind = "dying"     // a person's consent is about to end, or has
	NoticeRotation  NoticeKind = "rotation"  // a rotation failed or hangs

	NoticeUnreachable NoticeKind = "unreachable" // a whole store gives no answer: nothing is known of what it holds
)

// NoticeKinds lists all of them.
func NoticeKinds() []NoticeKind {
	return []NoticeKind{NoticeMissing, NoticeMalformed, NoticeDenied, NoticeDeleting, NoticeKey, NoticeExpired, NoticeExpiring,
		NoticeOld, NoticeUnused, NoticeDying, NoticeRotation, NoticeUnreachable}
}

// Notice is one thing that somebody should look at. There is at most one that
// is not closed for each kind and subject.
type Notice struct {
	Environment string
	ID          string // Digest of kind and subject: the same thing has the same id each time
	Version     int64
	Kind        NoticeKind
	Subject     string   // as in "reference/aws-sm:prod/github", "binding/github/dev", "grant/p-.../github"
	Server      string   // where it matters, or empty
	Bindings    []string // "server/binding" of cards that it concerns, at most 20
	State       NoticeState
	Since       time.Time // when it was first found in this round
	Seen        time.Time // when it was last found
	Closed      time.Time // zero: it is not
	By          string    // who acknowledged it; empty: nobody
	Note        string    // what they wrote
	Due         time.Time // when it will hurt, where that is known

	Told    NoticeState // what the latest fact about it said: open, closed, or nothing yet
	ToldAt  time.Time   // when that was told
	Telling string      // receipt of the fact that is being told; empty: none. Under one receipt a fact is told once
}

// MaxNoticeBindings is how many cards a notice names.
const MaxNoticeBindings = 20

// NoticeID names the notice of a kind about a subject.
func NoticeID(k NoticeKind, subject string) string { return Digest("notice", string(k), subject) }

// NoticeState is where a notice stands.
type NoticeState string

// The states of a notice.
const (
	NoticeOpen         NoticeState = "open"
	NoticeAcknowledged NoticeState = "acknowledged" // somebody knows; it still is so
	NoticeClosedState  NoticeState = "closed"       // it is no longer so
	NoticePending      NoticeState = "pending"      // it is not so yet: it will be, if nothing changes, counted from Since
)

// IsOpen reports whether it is so, whether or not somebody knows.
func (s NoticeState) IsOpen() bool { return s == NoticeOpen || s == NoticeAcknowledged }

// Notices keeps notices. PutNotice replaces the version that it carries (0: must
// not exist) and fails with ErrConflict otherwise; again, the same succeeds.
// NoticesOf lists them, those that are not closed first, then by id; a page
// begins after the token that the page before ended with.
type Notices interface {
	PutNotice(ctx context.Context, n Notice) error
	Notice(ctx context.Context, environment, id string) (Notice, error)
	NoticesOf(ctx context.Context, environment, after string, limit int) (found []Notice, next string, err error)
}

// Check refuses what no backend may keep.
func (n Notice) Check() error {
	c := rowCheck{row: "notice"}
	c.name("environment", n.Environment)
	c.require("kind", slices.Contains(NoticeKinds(), n.Kind), "it is unknown")
	c.require("subject", n.Subject != "", "it is required")
	c.require("id", n.ID == NoticeID(n.Kind, n.Subject), "it must be that of kind and subject")
	c.require("version", n.Version >= 0 && n.Version < maxVersion, "it is out of range")
	c.require("state", n.State.IsOpen() || n.State == NoticeClosedState || n.State == NoticePending, "it is unknown")
	if n.Server != "" {
		c.name("server", n.Server)
	}
	c.require("bindings", len(n.Bindings) <= MaxNoticeBindings, "it names more than 20")
	c.list("bindings", n.Bindings)
	c.text("subject, author and note", n.Subject, n.By, n.Note)
	c.time("beginning", n.Since)
	c.time("sight", n.Seen)
	for _, t := range []time.Time{n.Closed, n.Due, n.ToldAt} {
		c.timeOrNone("time", t)
	}
	c.require("what was told", n.Told == "" || n.Told == NoticeOpen || n.Told == NoticeClosedState, "it must be open, closed or nothing")
	if n.Telling != "" {
		c.id("receipt", n.Telling)
	}
	return c.err
}

// NoticesPage is where a list of notices goes on: with those that are not
// closed, or, when they are through, with those that are.
type NoticesPage struct {
	Closed bool
	After  string // id
}

// PageOfNotices reads the token of a page.
func PageOfNotices(environment, after string, limit int) (NoticesPage, error) {
	c := rowCheck{row: "page"}
	c.name("environment", environment)
	c.keep(Page{Limit: limit}.Check())
	state, id, _ := strings.Cut(after, ".")
	c.require("token to begin after", after == "" || (state == "o" || state == "c") && (id == "" || isDigest(id)), "it is none of this list")
	return NoticesPage{state == "c", id}, c.err
}

// Token is the page as text.
func (p NoticesPage) Token() string {
	if p.Closed {
		return "c." + p.After
	}
	return "o." + p.After
}
