// Package drift finds out that what cards rest on is no longer as it was,
// before a call fails: a secret that is gone, a card whose date is over, a
// consent about to end. Each such thing is a broker.Notice, which opens once and
// closes once, and is told once each time.
//
// An Eye looks, as a call would; a Keeper opens and closes; a Scanner goes
// through everything on schedule. The row of a notice decides who tells, and
// which receipt its fact has, so that two at once, or a crash anywhere, tell it
// once.
//
// The package keeps no value that it reads and gives none to anybody, changes no
// card, and closes nothing because it could not look.
package drift

import (
	"time"

	"bindery/shared/broker"
)

// Limits of what is worth a notice, and of what is told.
const (
	// Soon is how long before an end a notice opens.
	Soon = 7 * 24 * time.Hour
	// Unused is after how long without a call a card is a notice.
	Unused = 90 * 24 * time.Hour
	// Hush is how long what has just closed may open again without being told.
	Hush = time.Hour
	// MostTold is how many notices a scan tells one by one; the rest is one sum.
	MostTold = 50
	// Over is how long after its end a person's consent is still a notice.
	Over = 30 * 24 * time.Hour
	// Hangs is how late a rotation may be before it is a notice.
	Hangs = time.Hour
)

// Detail is what a fact says of a notice. A fact that sums up others says how
// many there are of each kind, and nothing else.
type Detail struct {
	Notice   string                    `json:"notice,omitempty"` // its id
	Kind     broker.NoticeKind         `json:"kind,omitempty"`
	Subject  string                    `json:"subject,omitempty"`
	Server   string                    `json:"server,omitempty"`
	Bindings []string                  `json:"bindings,omitempty"` // "server/binding", at most 20
	Since    *time.Time                `json:"since,omitempty"`
	Due      *time.Time                `json:"due,omitempty"` // when it will hurt
	Further  map[broker.NoticeKind]int `json:"further,omitempty"`
}

// Changed is what a fact says of a reference whose store told of a change.
type Changed struct {
	What  string `json:"what"`  // the store's word for it, as in "PutSecretValue"
	Event string `json:"event"` // the store's id of the event
}
