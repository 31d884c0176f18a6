package broker

import (
	"errors"
	"testing"
)

// TestAnOriginIsNotTakenByALetterThatFolds: the lower case of another letter is
// not the letter of the name, which another may have registered.
func TestAnOriginIsNotTakenByALetterThatFolds(t *testing.T) {
	for _, url := range []string{"https://ap\u0130.example.com/mcp", "https://api.\u212aexample.com/mcp", "https://\uff41pi.example.com/mcp", "https://ap%C4%B0.example.com/mcp"} {
		if _, err := OriginDigest(url); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q has an origin: %v", url, err)
		}
	}
}
