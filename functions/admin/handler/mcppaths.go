package handler

import "strings"

// randomPath reports whether a path has a part that only a machine can have made:
// some services give out addresses that are their own key. In a catalogue such a
// word may be the id of a tenant, and literal.Find lets it pass; in a file that
// nobody has looked through it is taken for the key.
func randomPath(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		joined := strings.ReplaceAll(segment, "-", "")
		if len(joined) >= 24 && strings.Trim(strings.ToLower(joined), "0123456789abcdef") == "" {
			return true // a UUID, too
		}
		for word := range strings.FieldsFuncSeq(segment, isJoint) {
			digits := len(word) - len(strings.Map(withoutDigits, word))
			if len(word) >= 16 && digits >= 2 && digits < len(word) {
				return true
			}
		}
	}
	return false
}

func isJoint(r rune) bool { return strings.ContainsRune("-_.~:@!$&'()*+,;=", r) }

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}
