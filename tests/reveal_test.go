package tests

import (
	"go/ast"
	"maps"
	"slices"
	"testing"
)

// mayReveal lists the packages that may turn a secret.Value into bytes, and
// why. Everything else hands the closure on.
var mayReveal = map[string]string{
	"shared/secret":                 "its own methods: compare, measure, take a member of a JSON secret",
	"shared/mask":                   "needs the bytes to find them in what flows back",
	"shared/seal":                   "encrypts the bytes",
	"shared/credential":             "writes the bytes into the upstream request",
	"shared/identity":               "opens a shared key set, which is sealed for its integrity and holds public keys; reads an ID token",
	"shared/rotate":                 "puts what a rotation keeps into one text, which is sealed",
	"shared/session":                "puts the opened key of a day into AES",
	"shared/stores/vault":           "sends Vault its own client token, and the JWT that signing in needs",
	"shared/stores/awssm":           "puts a staged version into Secrets Manager",
	"shared/oauth":                  "sends a provider what it issued: codes, tokens, client secrets; and the PKCE verifier",
	"shared/maker":                  "sends an upstream the key that issues or ends another",
	"shared/brokertest/plainseal":   "stands in for KMS in tests; ships nowhere",
	"infra/conformance/oauthclient": "hands the official SDK the token of the suite's provider; ships nowhere",
	"functions/callback/handler":    "sets a browser's cookie, and puts what is derived from it into a form and a login",
	"shared/connect":                "derives from a browser's cookie what a login needs",
	"infra/local/parts":             "logs in at the local identity provider as a browser would; ships nowhere",
}

// TestOnlyListedPackagesReveal finds every mention of a method called Reveal,
// called or not, outside tests.
func TestOnlyListedPackagesReveal(t *testing.T) {
	found := map[string]string{}
	for _, f := range sources(t) {
		if at := f.reveals(); len(at) > 0 && !f.test {
			found[f.pkg] = at[0]
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(found)) {
		if mayReveal[pkg] == "" {
			t.Errorf("%s reveals a secret, and %s is not listed with a reason", found[pkg], pkg)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(mayReveal)) {
		if found[pkg] == "" {
			t.Errorf("%s is listed and reveals nothing: take it from the list", pkg)
		}
	}
}

func (f source) reveals() (at []string) {
	ast.Inspect(f.file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" {
			at = append(at, f.at(s))
		}
		return true
	})
	return at
}

func TestRevealIsSeenHoweverItIsWritten(t *testing.T) {
	for _, text := range []string{
		"func f(v V) { use(v.Reveal()) }",
		"func f(v V) { g := v.Reveal; g() }",
		"var g = V.Reveal",
		"func f(s struct{ a []V }) { (s.a[0]).Reveal() }",
	} {
		f, err := parse("shared/x/x.go", "package p\n"+text+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if len(f.reveals()) != 1 {
			t.Errorf("not seen: %s", text)
		}
	}
}
