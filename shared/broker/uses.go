package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Use is a binding that names a reference, or once named it: the card says
// whether it still does.
type Use struct {
	Reference Reference // without key
	Route     Route
	Binding   string
}

// UsesOf gives the uses of a binding: one for each secret it references,
// whatever the keys.
func UsesOf(b Binding) []Use {
	var uses []Use
	for _, f := range b.Fields {
		u := Use{f.Reference.WithoutKey(), Route{b.Environment, b.Server}, b.Name}
		if !slices.Contains(uses, u) {
			uses = append(uses, u)
		}
	}
	return uses
}

// Uses finds bindings by what they reference: by all references of a store, or
// by one (its key does not count). Every binding that is stored is found from
// then on, before it can serve a call. Uses are in the order of their tokens,
// those of one reference together. A page begins after the token that the page
// before ended with; an empty next ends the list. A limit is 1 to MaxPage.
type Uses interface {
	UsesOfStore(ctx context.Context, environment, scheme, after string, limit int) (uses []Use, next string, err error)
	UsesOfReference(ctx context.Context, environment string, r Reference, after string, limit int) (uses []Use, next string, err error)
}

// Token is where the use stands among those of its store: a page may begin
// after it, whether or not it was the last of its own. It names nothing in clear.
func (u Use) Token() string {
	return u.Reference.useToken() + "." + Digest("binding", u.Route.Server, u.Binding)
}

func (r Reference) useToken() string { return Digest("reference", r.WithoutKey().String()) }

// Check refuses what no backend may keep.
func (u Use) Check() error {
	c := rowCheck{row: "use"}
	c.name("environment", u.Route.Environment)
	c.name("server", u.Route.Server)
	c.name("binding", u.Binding)
	c.require("reference", !u.Reference.IsZero() && u.Reference.Key() == "", "it must name a secret as a whole")
	return c.err
}

// UsesPage is a question to Uses, checked: the uses of a store whose tokens begin
// with Prefix and come after After.
type UsesPage struct {
	Environment, Scheme string
	Prefix, After       string
	Limit               int
}

// PageOfStore asks for the uses of a store.
func PageOfStore(environment, scheme, after string, limit int) (UsesPage, error) {
	return checkUsesPage(UsesPage{environment, scheme, "", after, limit})
}

// PageOfReference asks for the uses of a reference.
func PageOfReference(environment string, r Reference, after string, limit int) (UsesPage, error) {
	if r.IsZero() {
		return UsesPage{}, fmt.Errorf("%w reference: there is none", ErrInvalid)
	}
	return checkUsesPage(UsesPage{environment, r.Scheme(), r.useToken(), after, limit})
}

func checkUsesPage(p UsesPage) (UsesPage, error) {
	c := rowCheck{row: "page"}
	c.name("environment", p.Environment)
	c.name("store", p.Scheme)
	c.require("token to begin after", p.After == "" || isUseToken(p.After) && strings.HasPrefix(p.After, p.Prefix), "it is none of this list")
	c.keep(Page{Limit: p.Limit}.Check())
	return p, c.err
}

func isUseToken(s string) bool {
	reference, binding, _ := strings.Cut(s, ".")
	return isDigest(reference) && isDigest(binding)
}

func isDigest(s string) bool {
	return len(s) == digestLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
