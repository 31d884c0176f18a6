package broker

import (
	"errors"
	"strings"
	"testing"
)

func use(t testing.TB, reference, server, binding string) Use {
	t.Helper()
	r, err := ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return Use{r.WithoutKey(), Route{"prod", server}, binding}
}

func TestATokenTellsTheUsesOfAStoreApartAndNamesNothing(t *testing.T) {
	seen := map[string]Use{}
	for _, reference := range []string{"aws-sm:a", "aws-sm:a?stage=b", "aws-sm:a/b", "sealed:a"} {
		for _, server := range []string{"github", "git", "a"} {
			for _, binding := range []string{"hub-card", "card", "a"} {
				u := use(t, reference, server, binding)
				token := u.Token()
				if other, taken := seen[token]; taken {
					t.Fatalf("%+v and %+v share a token", other, u)
				}
				seen[token] = u
				if strings.Contains(token, "card") || strings.Contains(token, "git") || !isUseToken(token) {
					t.Fatalf("token %q", token)
				}
			}
		}
	}
	if a, b := use(t, "aws-sm:a#token", "s", "b").Token(), use(t, "aws-sm:a#user", "s", "b").Token(); a != b {
		t.Fatal("the key of a reference counts")
	}
}

// FuzzAPageOfUsesBeginsAfterATokenOnly: what clients send ends up in a key.
func FuzzAPageOfUsesBeginsAfterATokenOnly(f *testing.F) {
	mine := use(f, "aws-sm:a", "github", "card")
	f.Add(mine.Token())
	f.Add(strings.ToUpper(mine.Token()))
	f.Add(mine.Token() + ".a")
	f.Add("../" + mine.Token()[3:])
	f.Fuzz(func(t *testing.T, after string) {
		p, err := PageOfStore("prod", "aws-sm", after, 1)
		if err != nil && !errors.Is(err, ErrInvalid) || err == nil && (p.After != after || p.Prefix != "") {
			t.Fatalf("%v: %+v", err, p)
		}
		if err == nil && after != "" && (len(after) != len(mine.Token()) || strings.ContainsAny(after, "/# ~")) {
			t.Fatalf("%q was taken", after)
		}
		if err != nil && after != "" && strings.Contains(err.Error(), after) && len(after) > 30 {
			t.Fatalf("the error repeats the token: %v", err)
		}
		p, refused := PageOfReference("prod", mine.Reference, after, 1)
		if (refused == nil) != (err == nil && (after == "" || strings.HasPrefix(after, p.Prefix+"."))) {
			t.Fatalf("%q as a token of a reference: %v, of its store: %v", after, refused, err)
		}
	})
}
