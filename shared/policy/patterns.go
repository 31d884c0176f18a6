package policy

import (
	"strings"

	xast "github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Looking for a pattern in a text takes as many comparisons as both are long,
// multiplied, where the text is made for it. Who calls chooses the text.

// MaxComparisons is how many of them one question may take: some tenths of a
// second. It is enough for 1 MiB of arguments and patterns of 128 bytes.
const MaxComparisons = 1 << 27

// tooLong reports whether patterns could take too long on texts of that many bytes.
func (s *CallSet) tooLong(bytes int) bool { return s.reach > 0 && bytes > MaxComparisons/s.reach }

// patternReach is the length of what a policy's patterns look for at every place
// of a text: of each pattern the longest piece behind a star.
func patternReach(p *xast.Policy) (reach int) {
	for _, c := range p.Conditions {
		xast.Inspect(xast.NewNode(c.Body), func(n xast.IsNode) bool {
			if like, ok := n.(xast.NodeTypeLike); ok {
				longest := 0
				text := strings.ReplaceAll(string(like.Value.MarshalCedar()), `\*`, "..") // a star that is meant
				for _, piece := range strings.Split(strings.Trim(text, `"`), "*")[1:] {
					longest = max(longest, len(piece))
				}
				reach += longest
			}
			return true
		})
	}
	return reach
}
