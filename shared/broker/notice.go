package broker

import (
	"context"
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
)

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
}

// NoticeState is where a notice stands.
type NoticeState string

// The states of a notice.
const (
	NoticeOpen         NoticeState = "open"
	NoticeAcknowledged NoticeState = "acknowledged" // somebody knows; it still is so
	NoticeClosedState  NoticeState = "closed"       // it is no longer so
)

// Notices keeps notices. PutNotice replaces the version that it carries (0: must
// not exist) and fails with ErrConflict otherwise; again, the same succeeds.
// NoticesOf lists them, those that are not closed first, then by id; a page
// begins after the token that the page before ended with.
type Notices interface {
	PutNotice(ctx context.Context, n Notice) error
	Notice(ctx context.Context, environment, id string) (Notice, error)
	NoticesOf(ctx context.Context, environment, after string, limit int) (found []Notice, next string, err error)
}
