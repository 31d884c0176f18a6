package broker

import (
	"context"
	"time"
)

// Limits bound what one principal, agent or server may use. Zero means: no
// limit of its own.
type Limits struct {
	CallsPerMinute int
	Streams        int   // that last (GET, subscriptions/listen), open at once
	RequestBytes   int64 // one request body
	AnswerBytes    int64 // one JSON answer, or one event of a stream
}

// Quota is one limit of one subject, as in {"prod", "principal/p-abc", 60}.
type Quota struct {
	Environment string
	Subject     string // "principal/<id>", "agent/<id>" or "server/<name>"
	Limit       int    // at least 1
}

// Place is one of the places that a quota has for streams.
type Place struct {
	Quota  Quota
	Number int    // 0 to Limit-1
	Holder string // who holds it: a receipt
}

// QuotaWindow is the length of a window of calls. Windows begin at multiples
// of it since the Unix epoch.
const QuotaWindow = time.Minute

// Quotas counts across processes. A quota whose state cannot be read or
// written fails with ErrUnavailable: the caller fails closed.
//
// CountCall adds one call to the window that at lies in, unless Limit calls are
// in it already; then it reports false and counts nothing. A call whose answer
// was lost may be counted once for each attempt, and at the limit be refused
// although it was counted; it is never not counted at all.
//
// TakePlace takes a free place until the given time, or reports false when all
// are taken. A place is free when nobody holds it or its time is over (with
// ClockSkew in the holder's favour). Two holders never have the same place. The
// same holder asking again gets the place it has, until the new time. Whoever
// meets too many others at the free places fails with ErrUnavailable. A taken
// place whose answer was lost is held until its time is over.
//
// FreePlace gives a place back; a place that somebody else holds by now is left
// alone, without an error.
type Quotas interface {
	CountCall(ctx context.Context, q Quota, at time.Time) (bool, error)
	TakePlace(ctx context.Context, q Quota, holder string, now, until time.Time) (Place, bool, error)
	FreePlace(ctx context.Context, p Place) error
}

// CheckCall refuses what no backend can count.
func (q Quota) CheckCall(at time.Time) error {
	c := rowCheck{row: "quota"}
	c.quota(q)
	c.time("time", at)
	return c.err
}

// CheckTaking refuses what no backend can keep as a taken place.
func (q Quota) CheckTaking(holder string, now, until time.Time) error {
	c := rowCheck{row: "place"}
	c.quota(q)
	c.id("holder", holder)
	c.time("time", now)
	c.time("end", until)
	c.require("end", now.Before(until), "it must lie ahead")
	return c.err
}

// Check refuses what no backend can keep as a taken place.
func (p Place) Check() error {
	c := rowCheck{row: "place"}
	c.quota(p.Quota)
	c.require("number", p.Number >= 0 && p.Number < p.Quota.Limit, "it must lie below the limit")
	c.id("holder", p.Holder)
	return c.err
}
