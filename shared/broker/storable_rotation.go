package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of plans.
const (
	MinEvery    = 10 * time.Minute
	MaxEvery    = 2 * 366 * 24 * time.Hour
	MaxGrace    = 90 * 24 * time.Hour
	minRandom   = 16
	maxRandom   = 512
	maxHeaders  = 32
	maxAlphabet = 94
)

// Check refuses what no backend may keep, and plans that contradict themselves.
func (p RotationPlan) Check() error {
	c := rowCheck{row: "rotation plan"}
	c.name("environment", p.Environment)
	c.name("name", p.Name)
	c.standing(p.Version, p.State)
	c.text("owner and origin", p.Owner, p.Origin)
	c.require("owner", p.Owner != "", "one is required")
	c.reference("reference", p.Reference)
	c.require("interval", p.Every == 0 || p.Every >= MinEvery && p.Every <= MaxEvery, "it must be 0, or lie between ten minutes and two years")
	c.require("grace", p.Grace >= 0 && p.Grace <= MaxGrace && (p.Every == 0 || p.Grace < p.Every), "it must be shorter than the interval, and at most 90 days")
	c.require("card", (p.Server == "") == (p.Binding == ""), "server and binding go together")
	if p.Server != "" {
		c.name("server", p.Server)
		c.name("binding", p.Binding)
	}
	c.require("maker", slices.Contains([]MakerKind{MakeRandom, MakeByRecipe, MakeClientSecret, MakeInStore}, p.Maker), "it is unknown")
	c.require("random", p.Maker == MakeRandom || p.Random == Random{}, "only maker random has it")
	c.require("card", p.Maker != MakeClientSecret || p.Server == "", "its upstream does not know a client's secret")
	c.require("provider", (p.Maker == MakeClientSecret) == (p.Provider != ""), "maker client_secret needs one; nothing else takes one")
	if p.Provider != "" {
		c.name("provider", p.Provider)
	}
	c.random(p)
	c.recipe(p)
	return c.err
}

func (c *rowCheck) reference(what string, r Reference) {
	selector, _ := r.Selector()
	c.require(what, !r.IsZero() && selector == "", "it must name a secret, whatever its version")
	c.text(what, r.String())
}

func (c *rowCheck) random(p RotationPlan) {
	if p.Maker != MakeRandom {
		return
	}
	c.require("random", p.Random.Length >= minRandom && p.Random.Length <= maxRandom, "the length must lie between 16 and 512")
	c.keep(checkAlphabet(p.Random.Alphabet))
}

// checkAlphabet wants characters that stand once, and enough of them that the
// shortest value cannot be guessed.
func checkAlphabet(a string) error {
	bad := fmt.Errorf("%w alphabet of the rotation plan: it must have 16 to 94 visible ASCII characters, each once", ErrInvalid)
	if a == "" {
		return nil
	}
	if len(a) < minRandom || len(a) > maxAlphabet {
		return bad
	}
	for i := range len(a) {
		if a[i] <= ' ' || a[i] > '~' || strings.IndexByte(a, a[i]) != i {
			return bad
		}
	}
	return nil
}

func (c *rowCheck) recipe(p RotationPlan) {
	r := p.Recipe
	if p.Maker != MakeByRecipe {
		c.require("recipe", r.Value == "" && r.Keep == "" && r.Issue.empty() && r.Retire.empty(), "only maker recipe has one")
		return
	}
	c.require("recipe", p.Server != "", "it needs a card, whose server it asks")
	c.require("recipe", !r.Issue.empty(), "it needs the request that issues a key")
	for _, pointer := range []string{r.Value, r.Keep} {
		c.text("pointer", pointer)
		c.require("pointer", pointer == "" || pointer[0] == '/', "it must be a JSON pointer")
	}
	c.require("pointer", r.Value != "", "the recipe must say where the value is")
	c.call(r.Issue)
	if !r.Retire.empty() {
		c.call(r.Retire)
	}
}

func (r RecipeCall) empty() bool {
	return r.Method == "" && r.URL == "" && len(r.Headers) == 0 && r.Body == ""
}

// call holds one request of a recipe to its form. Where its parts lead once they
// are filled in is for the maker to judge, each time.
func (c *rowCheck) call(r RecipeCall) {
	c.require("method", slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, r.Method), "it must be GET, POST, PUT, PATCH or DELETE")
	c.text("request", r.URL, r.Body)
	c.require("headers", len(r.Headers) <= maxHeaders, "they must be at most 32")
	for name, value := range r.Headers {
		c.text("header", name, value)
		c.require("header", name != "", "it needs a name")
	}
	c.require("URL", r.URL != "", "it is required")
}

var steps = []RotationStep{RotationOrdered, RotationMade, RotationTried, RotationInUse, RotationOver, RotationUndoing, RotationUndone, RotationAbandoned}

// Check refuses what no backend may keep.
func (r Rotation) Check() error {
	c := rowCheck{row: "rotation"}
	c.name("environment", r.Environment)
	c.keep(CheckSubject(r.Subject))
	c.id("id", r.ID)
	if r.Previous != "" {
		c.id("id of the run before", r.Previous)
	}
	c.require("version", r.Version >= 0 && r.Version < maxVersion, "it is out of range")
	if r.Plan != "" {
		c.name("plan", r.Plan)
	}
	c.require("plan", (r.Plan == "") == strings.HasPrefix(r.Subject, OfBinding), "a reference is rotated by a plan, a card without")
	c.text("author, holder and versions", r.By, r.Holder, r.From, r.To, string(r.Reason))
	c.require("step", slices.Contains(steps, r.Step), "it is unknown")
	c.time("beginning", r.Begun)
	c.time("time of the step", r.Moved)
	c.timeOrNone("lease", r.HeldUntil)
	c.timeOrNone("next time", r.Next)
	c.timeOrNone("end of the grace", r.Until)
	c.require("lease", (r.Holder == "") == r.HeldUntil.IsZero(), "it needs a holder and an end")
	c.require("next time", r.Step.Ended() == r.Next.IsZero(), "what has not ended has one")
	c.require("tries", r.Tries >= 0 && r.Tries <= maxWeight, "they are out of range")
	c.require("text", len(r.Kept) <= maxSealed, "it is longer than 64 KiB")
	c.fields("fields", r.Fields)
	c.fields("fields before", r.Before)
	return c.err
}

func (c *rowCheck) fields(what string, fields []Field) {
	c.entries(what, len(fields))
	for _, f := range fields {
		c.text(what, f.Name, f.Reference.String())
		c.require(what, f.Name != "" && !f.Reference.IsZero(), "each needs a name and a reference")
	}
}

// What the subjects of rotations begin with.
const (
	OfReference = "reference/"
	OfBinding   = "binding/"
)

// CheckSubject refuses what no rotation is of.
func CheckSubject(s string) error {
	bad := fmt.Errorf("%w subject of the rotation: it is a reference without key, or a binding", ErrInvalid)
	if text, ok := strings.CutPrefix(s, OfReference); ok {
		if r, err := StoredReference(text); err != nil || r.Key() != "" || r.String() != text {
			return bad
		}
		return nil
	}
	text, ok := strings.CutPrefix(s, OfBinding)
	server, binding, two := strings.Cut(text, "/")
	if !ok || !two || CheckName("server", server) != nil || CheckName("binding", binding) != nil {
		return bad
	}
	return nil
}

// Subject is what a run of the plan is of: the secret as a whole, so that two
// plans for members of one secret wait for each other.
func (p RotationPlan) Subject() string { return OfReference + p.Reference.WithoutKey().String() }

// CheckRotationsOf refuses what no backend can list.
func CheckRotationsOf(environment, subject, after string, limit int) error {
	c := rowCheck{row: "page"}
	c.name("environment", environment)
	if subject != "" {
		c.keep(CheckSubject(subject))
	}
	c.keep(Page{After: after, Limit: limit}.Check())
	return c.err
}

// Due reports whether a run is to go on.
func (r Rotation) Due(now time.Time) bool { return !r.Next.IsZero() && !r.Next.After(now) }
