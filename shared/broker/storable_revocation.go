package broker

import "fmt"

// Check refuses what no backend may keep.
func (r Revocation) Check() error {
	c := rowCheck{row: "revocation"}
	c.name("environment", r.Environment)
	_, err := ReceiptTime(r.ID)
	c.keep(err)
	c.require("version", r.Version >= 0 && r.Version < maxVersion, "it is out of range")
	c.require("kind", r.Kind != ChangeMarker, "a change revokes nothing")
	c.marker(r.Environment, MarkerKey{r.Kind, r.Subject})
	c.require("epoch", r.Epoch >= 1 && r.Epoch < maxVersion, "it must be at least 1")
	c.require("way", r.Via == ViaAdmin || r.Via == ViaEvent, "it is unknown")
	c.text("author and reason", r.By, r.Reason)
	c.time("time", r.At)
	c.require("work", r.Work == WorkOpen || r.Work == WorkDone, "it is unknown")
	c.require("work", (r.Work == WorkDone) == !r.Done.IsZero(), "it is done at a time, and only then")
	c.timeOrNone("next try", r.NextTry)
	c.timeOrNone("end", r.Done)
	c.timeOrNone("last acceptance", r.Accepted)
	c.require("tries", r.Tries >= 0 && r.Tries < maxVersion, "they are out of range")
	for _, t := range []Tally{r.Sessions, r.Grants, r.Values} {
		c.require("tally", t.Found >= 0 && t.Ended >= 0 && t.GivenUp >= 0 && t.Found < maxVersion && t.Ended < maxVersion && t.GivenUp < maxVersion, "it is out of range")
	}
	c.require("unreached things", len(r.Unreached) <= MaxUnreached, "they are more than a case names")
	c.list("unknowns", r.Unknown)
	c.list("counted things", r.Counted)
	c.require("counted things", len(r.Counted) <= MaxUnreached, "they are more than a case names")
	for _, u := range r.Unreached {
		one := rowCheck{row: c.row} // each for itself: all of them are bounded by their number
		one.text("unreached thing", u.What, u.ID, u.Server, u.Provider, u.Fault)
		one.timeOrNone("end", u.Until)
		one.require("unreached thing", one.total <= maxText, "it is longer than 2048 bytes")
		c.keep(one.err)
	}
	return c.err
}

// CheckBeginning refuses what no backend may keep as a new case.
func (r Revocation) CheckBeginning() error {
	c := rowCheck{row: "revocation", err: r.Check()}
	c.require("version", r.Version == 0, "a case begins without one")
	return c.err
}

// CheckChange refuses what no backend may keep in the place of a case.
func (r Revocation) CheckChange() error {
	c := rowCheck{row: "revocation", err: r.Check()}
	c.require("version", r.Version > 0, "it names what is replaced")
	return c.err
}

// CheckCase refuses what names no case.
func CheckCase(environment, id string) error {
	c := rowCheck{row: "revocation"}
	c.name("environment", environment)
	_, err := ReceiptTime(id)
	c.keep(err)
	return c.err
}

// CheckCases refuses what no backend can list.
func CheckCases(environment, after string, limit int) error {
	c := rowCheck{row: "list of revocations"}
	c.name("environment", environment)
	if after != "" {
		_, err := ReceiptTime(after)
		c.keep(err)
	}
	c.require("limit", limit >= 1 && limit <= MaxPage, fmt.Sprintf("it must lie between 1 and %d", MaxPage))
	return c.err
}
