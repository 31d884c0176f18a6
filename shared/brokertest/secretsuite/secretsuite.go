// Package secretsuite is what every broker.SecretStore must do. A store proves
// itself by running it against its fakes and against the real part.
//
// Every secret that the suite stores carries a canary, and every error and
// every printed result is searched for it.
package secretsuite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Backend is a store under test and the means to fill it.
type Backend struct {
	Scheme      string
	Environment string
	Origin      string
	Store       broker.Store // the registration, for stores that look at it
	Credential  func(context.Context) (secret.Value, error)
	Folder      string // before every path; where one endpoint serves several tests
	// Open gives the store as a process that has just started sees it.
	Open func() broker.SecretStore
	// Put makes material the current version of a secret.
	Put func(t *testing.T, path, material string)
	// Remove makes a secret that exists unusable, in the way the store does it.
	Remove func(t *testing.T, path string)

	// Whole is set for a store whose secrets are JSON objects and nothing else:
	// the member in which Put keeps a text that is none.
	Whole string
	// Unversioned is set for a store that does not tell versions apart and
	// keeps none before the current one.
	Unversioned bool
}

const canary = "canary-5b1f0e7a93"

// material is a value that is long enough to mask, and found if it leaks.
func material(n int) string { return fmt.Sprintf("%s-%04d", canary, n) }

// Run holds a store to the suite. start gives an empty backend each time.
func Run(t *testing.T, start func(t *testing.T) Backend) {
	tests := map[string]func(*testing.T, Backend){
		"WholeValueIsExact":                  wholeValueIsExact,
		"MembersComeInOneFetch":              membersComeInOneFetch,
		"RotationTakesEffectWithTheNextCall": rotation,
		"EarlierMembersAreGivenForMasking":   earlierMembers,
		"MissingSecret":                      missing,
		"MalformedSecret":                    malformed,
		"AllMembersOrNone":                   allOrNone,
		"CancelledCall":                      cancelled,
		"UnknownSelectorIsRefused":           unknownSelector,
		"NothingPrintsTheValue":              nothingPrints,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

func (b Backend) put(t *testing.T, path, material string) {
	t.Helper()
	b.Put(t, b.Folder+path, material)
}

// fetch asks for keys of the secret at path ("path?selector=value").
func (b Backend) fetch(ctx context.Context, t *testing.T, store broker.SecretStore, path string, keys ...string) (broker.Secret, error) {
	t.Helper()
	r, err := broker.ParseReference(b.Scheme + ":" + b.Folder + path)
	if err != nil {
		t.Fatalf("parse the reference: %v", err)
	}
	asked := slices.Clone(keys)
	if at := slices.Index(asked, ""); at >= 0 {
		asked[at] = b.Whole
	}
	found, err := store.Fetch(ctx, broker.Want{Reference: r, Keys: asked, Environment: b.Environment, Origin: b.Origin, Store: b.Store, Credential: b.Credential})
	if whole, ok := found.Values[b.Whole]; ok {
		found.Values[""] = whole
	}
	if err != nil {
		if strings.Contains(err.Error(), canary) {
			t.Error("the error holds the secret")
		}
		if len(found.Values)+len(found.Previous) > 0 || found.Version != "" {
			t.Error("an error came with part of a secret")
		}
	}
	return found, err
}

func (b Backend) mustFetch(t *testing.T, store broker.SecretStore, path string, keys ...string) broker.Secret {
	t.Helper()
	found, err := b.fetch(t.Context(), t, store, path, keys...)
	if err != nil {
		t.Fatalf("fetch %s: %v", path, err)
	}
	if found.Version == "" && !b.Unversioned {
		t.Fatalf("fetch %s: no version", path)
	}
	for _, key := range keys {
		if found.Values[key].IsZero() {
			t.Fatalf("fetch %s: no value for the key %q", path, key)
		}
	}
	return found
}

func (b Backend) mustFail(t *testing.T, want error, path string, keys ...string) {
	t.Helper()
	if _, err := b.fetch(t.Context(), t, b.Open(), path, keys...); !errors.Is(err, want) {
		t.Errorf("fetch %s %q: %v, want %v", path, keys, err, want)
	}
}

// mustBe compares without printing either side.
func mustBe(t *testing.T, what string, got secret.Value, want string) {
	t.Helper()
	if !got.Equal(secret.New(want)) {
		t.Errorf("%s is another value than the stored one", what)
	}
}

func (b Backend) mustHavePrevious(t *testing.T, s broker.Secret, want ...string) {
	t.Helper()
	if b.Unversioned {
		want = nil
	}
	if len(s.Previous) != len(want) {
		t.Fatalf("%d earlier values, want %d", len(s.Previous), len(want))
	}
	for i := range want {
		if !slices.ContainsFunc(s.Previous, secret.New(want[i]).Equal) {
			t.Errorf("earlier value %d is missing", i)
		}
	}
}

func wholeValueIsExact(t *testing.T, b Backend) {
	for i, m := range []string{material(1), " " + material(2) + "\n", "\"" + material(3), "{" + material(4) + "}", "\u00e9\u4e16" + material(5)} {
		path := fmt.Sprintf("whole-%d", i)
		b.put(t, path, m)
		found := b.mustFetch(t, b.Open(), path, "")
		mustBe(t, path, found.Values[""], m)
		b.mustHavePrevious(t, found)
	}
}

func membersComeInOneFetch(t *testing.T, b Backend) {
	whole := fmt.Sprintf(`{"user":%q,"Password":"a","password":%q,"port":5432,"more":{"password":"b"}}`, material(1), "\u00e9"+material(2))
	b.put(t, "both", whole)
	found := b.mustFetch(t, b.Open(), "both", "user", "password")
	mustBe(t, "user", found.Values["user"], material(1))
	mustBe(t, "password", found.Values["password"], "\u00e9"+material(2))
	if b.Whole == "" {
		found = b.mustFetch(t, b.Open(), "both", "user", "password", "")
		mustBe(t, "the password beside the whole", found.Values["password"], "\u00e9"+material(2))
		mustBe(t, "the whole", found.Values[""], whole)
	}
}

func rotation(t *testing.T, b Backend) {
	store := b.Open()
	b.put(t, "rotated", material(1))
	first := b.mustFetch(t, store, "rotated", "")
	b.mustHavePrevious(t, first)
	seen := []string{first.Version}
	for n := 2; n <= 4; n++ {
		b.put(t, "rotated", material(n))
		for _, process := range []broker.SecretStore{store, b.Open(), store, store} {
			found := b.mustFetch(t, process, "rotated", "")
			mustBe(t, "the value after a rotation", found.Values[""], material(n))
			b.mustHavePrevious(t, found, material(n-1))
			if slices.Contains(seen, found.Version) && !b.Unversioned {
				t.Errorf("version %q was given for two values", found.Version)
			}
		}
		seen = append(seen, b.mustFetch(t, store, "rotated", "").Version)
	}
}

func earlierMembers(t *testing.T, b Backend) {
	b.put(t, "earlier", fmt.Sprintf(`{"a":%q,"b":17,"d":%q}`, material(1), material(9)))
	b.put(t, "earlier", fmt.Sprintf(`{"a":%q,"b":%q,"c":%q}`, material(2), material(3), material(4)))
	found := b.mustFetch(t, b.Open(), "earlier", "a", "b", "c")
	b.mustHavePrevious(t, found, material(1)) // b was not a string, c not there, d is not wanted

	b.put(t, "was-raw", material(5))
	b.put(t, "was-raw", fmt.Sprintf(`{"a":%q}`, material(6)))
	b.mustHavePrevious(t, b.mustFetch(t, b.Open(), "was-raw", "a"))
	if b.Whole == "" {
		b.mustHavePrevious(t, b.mustFetch(t, b.Open(), "was-raw", ""), material(5))
	}
}

func missing(t *testing.T, b Backend) {
	b.mustFail(t, broker.ErrSecretMissing, "nobody-put-this", "")
	b.put(t, "removed", material(1))
	store := b.Open()
	b.mustFetch(t, store, "removed", "")
	b.Remove(t, b.Folder+"removed")
	for _, process := range []broker.SecretStore{store, b.Open(), store} {
		if _, err := b.fetch(t.Context(), t, process, "removed", ""); !errors.Is(err, broker.ErrSecretMissing) {
			t.Errorf("fetch of a removed secret: %v, want %v", err, broker.ErrSecretMissing)
		}
	}
	b.put(t, "keyless", fmt.Sprintf(`{"token":%q}`, material(1)))
	for _, key := range []string{"Token", "tok", "token ", "token#", "0"} {
		b.mustFail(t, broker.ErrSecretMissing, "keyless", key)
	}
}

func malformed(t *testing.T, b Backend) {
	m := material(1)
	texts := []string{
		`{"token":17}`, `{"token":true}`, `{"token":null}`, `{"token":["` + m + `"]}`, `{"token":{"token":"` + m + `"}}`,
		`{"token":""}`, `{"token":"\ud800` + m + `"}`,
	}
	if b.Whole == "" { // these are no objects with distinct members
		texts = append(texts, m, `"`+m+`"`, `["`+m+`"]`, `null`, `{"token":"`+m, `{"token":"`+m+`"}x`, `{"token":"`+m+`"}{}`,
			`{"token":"`+m+`","token":"`+m+`2"}`, `{"tok\u0065n":"`+m+`","token":"x"}`, `{"token":"`+m+`",}`,
			`{token:"`+m+`"}`, "\ufeff"+`{"token":"`+m+`"}`)
	}
	for i, text := range texts {
		path := fmt.Sprintf("malformed-%d", i)
		b.put(t, path, text)
		b.mustFail(t, broker.ErrSecretMalformed, path, "token")
	}
}

func allOrNone(t *testing.T, b Backend) {
	b.put(t, "partly", fmt.Sprintf(`{"user":%q,"port":17}`, material(1)))
	b.mustFail(t, broker.ErrSecretMissing, "partly", "user", "password")
	b.mustFail(t, broker.ErrSecretMalformed, "partly", "user", "port")
}

func cancelled(t *testing.T, b Backend) {
	b.put(t, "cancelled", material(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.fetch(ctx, t, b.Open(), "cancelled", ""); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("fetch with a cancelled context: %v, want %v", err, broker.ErrUnavailable)
	}
}

func unknownSelector(t *testing.T, b Backend) {
	b.put(t, "selected", material(1))
	for _, selector := range []string{"?latest=yes", "?Stage=AWSCURRENT", "?version=0"} {
		b.mustFail(t, broker.ErrSecretMalformed, "selected"+selector, "")
	}
}

func nothingPrints(t *testing.T, b Backend) {
	b.put(t, "printed", material(1))
	b.put(t, "printed", material(2))
	store := b.Open()
	found := b.mustFetch(t, store, "printed", "")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if printed := fmt.Sprintf(verb+verb, found, store); strings.Contains(printed, canary) {
			t.Errorf("%s prints the secret", verb)
		}
	}
}
