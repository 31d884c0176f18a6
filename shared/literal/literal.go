// Package literal reports texts that look like a secret, so that one pasted
// into a field that is not meant for it is refused before anything keeps it.
//
// It knows the shapes of many services' tokens, the ways in which texts and
// URLs name a secret beside it ("password=..."), and long words that look
// random. It says where and by which rule, and never gives back any of the
// text. It reads a text once, whatever is in it.
//
// It helps against accidents, not against somebody who wants to hide a secret.
// What it cannot tell from what belongs in a catalogue passes: words of one
// case with digits (UUIDs, digests, ULIDs, base32), words that look random and
// are shorter than 20 characters, passwords made of words where nothing names
// them so, and whatever is encoded or split.
package literal

// Rule says what a text looks like. It reads as part of a sentence and may be
// shown: it holds nothing of the text.
type Rule string

// The rules that are not the shape of one service's tokens.
const (
	PrivateKey Rule = "a private key"
	JWT        Rule = "a JWT"
	Header     Rule = "an authorization header"
	UserInfo   Rule = "a URL with a password"
	Assignment Rule = "a secret beside its name"
	Random     Rule = "a random key"
)

// Finding is the first place of a text that looks like a secret.
type Finding struct {
	Rule Rule
	At   int // byte offset
}

// Find looks for a secret by all rules.
func Find(text string) (Finding, bool) { return find(text, random) }

// FindInNames is Find for texts that hold the names of agents and groups, which
// are often random: a word after the name of an issuer and a colon, as in
// auth0:2kT..., is not taken for a random key.
func FindInNames(text string) (Finding, bool) { return find(text, randomButNames) }

func find(text string, words func(string) int) (Finding, bool) {
	for _, s := range shapes {
		if at := s.find(text); at >= 0 {
			return Finding{s.rule, at}, true
		}
	}
	for _, r := range []struct {
		rule Rule
		find func(string) int
	}{{PrivateKey, privateKey}, {JWT, jwt}, {Header, header}, {UserInfo, userInfo}, {Assignment, assignment}, {Random, words}} {
		if at := r.find(text); at >= 0 {
			return Finding{r.rule, at}, true
		}
	}
	return Finding{}, false
}
