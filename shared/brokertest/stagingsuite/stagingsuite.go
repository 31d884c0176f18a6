// Package stagingsuite is what every broker.StagingStore must do: one test for
// each sentence of its contract, and each operation broken off at each of its
// requests. A store proves itself by running it against its fakes and against
// the real part.
//
// Every secret that the suite stores carries a canary, and every error is
// searched for it.
package stagingsuite

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

// Store is a store of both kinds.
type Store interface {
	broker.SecretStore
	broker.StagingStore
}

// Backend is a store under test and the means to fill and disturb it.
type Backend struct {
	Scheme      string
	Environment string
	Origin      string
	Folder      string // before every path; where one endpoint serves several tests
	// Open gives the store as a process that has just started sees it.
	Open func() Store
	// Put makes material the current version, as somebody else does.
	Put func(t *testing.T, path, material string)
	// Break has the request that comes after n others fail, applied or not, and
	// all after it, until heal is called, which tells whether it came to that.
	Break func(n int, applied bool) (heal func() (broke bool))
}

const canary = "canary-7c2d91e4b0"

// material is a value that is long enough to mask, and found if it leaks.
func material(n int) string { return fmt.Sprintf("%s-%04d", canary, n) }

// object is a secret of which the member token is rotated.
func object(n int) string {
	return fmt.Sprintf(`{"user":%q,"port":5432,"token":%q}`, material(1000), material(n))
}

// Run holds a store to the suite. start gives an empty backend each time.
func Run(t *testing.T, start func(t *testing.T) Backend) {
	for name, test := range map[string]func(*bench){
		"what is staged no call gets":                      staged,
		"what is promoted the next call gets":              promoted,
		"a whole value is rotated too":                     whole,
		"what was staged is taken back":                    restoredStaged,
		"what was promoted is taken back":                  restoredPromoted,
		"what was retired is not read any more":            retired,
		"each operation may be repeated":                   repeated,
		"another rotation finds it taken":                  taken,
		"under one id there is one value":                  oneValue,
		"somebody else's change ends a promotion":          overtaken,
		"somebody else's change outlives a restoration":    outlived,
		"a rotation follows another":                       follows,
		"of sixteen that stage at once one can promote":    raced,
		"nothing is done for a rotation that staged none":  unknown,
		"what cannot be staged leaves everything as it is": refused,
		"broken off anywhere and repeated":                 brokenOff,
		"broken off anywhere and taken back":               brokenOffAndTakenBack,
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{T: t, Backend: start(t)}
			test(b)
		})
	}
}

const (
	path = "prod-github"
	id   = "01JD0000000000000000000001"
	next = "01JD0000000000000000000002"
)

type bench struct {
	*testing.T
	Backend
}

func (b *bench) want(path string, keys ...string) broker.Want {
	b.Helper()
	r, err := broker.ParseReference(b.Scheme + ":" + b.Folder + path)
	if err != nil {
		b.Fatal(err)
	}
	return broker.Want{Reference: r, Keys: keys, Environment: b.Environment, Origin: b.Origin}
}

func (b *bench) put(material string) {
	b.Helper()
	b.Put(b.T, b.Folder+path, material)
}

// clean fails the test where an error holds what it must not.
func (b *bench) clean(err error) error {
	b.Helper()
	if err != nil && strings.Contains(err.Error(), canary) {
		b.Error("an error holds the secret")
	}
	return err
}

func (b *bench) must(err error) {
	b.Helper()
	if b.clean(err) != nil {
		b.Fatal(err)
	}
}

func (b *bench) wants(err, want error) {
	b.Helper()
	if !errors.Is(b.clean(err), want) {
		b.Fatalf("got error %v, want %v", err, want)
	}
}

// stage stages material n as the token.
func (b *bench) stage(id string, n int) error {
	_, _, err := b.Open().Stage(b.Context(), b.want(path), "token", id, secret.New(material(n)))
	return b.clean(err)
}

func (b *bench) promote(id string) error {
	return b.clean(b.Open().Promote(b.Context(), b.want(path), id))
}
func (b *bench) restore(id string) error {
	return b.clean(b.Open().Restore(b.Context(), b.want(path), id))
}
func (b *bench) retire(id string) error {
	return b.clean(b.Open().Retire(b.Context(), b.want(path), id))
}

// current requires what a call gets: the token, and what stays beside it.
func (b *bench) current(n int) broker.Secret {
	b.Helper()
	found, err := b.Open().Fetch(b.Context(), b.want(path, "token", "user"))
	b.must(err)
	if !found.Values["token"].Equal(secret.New(material(n))) || !found.Values["user"].Equal(secret.New(material(1000))) {
		b.Fatalf("a call does not get value %d with what belongs to it", n)
	}
	return found
}

// isStaged requires what a probe gets.
func (b *bench) isStaged(id string, n int) broker.Secret {
	b.Helper()
	found, err := b.Open().Staged(b.Context(), b.want(path, "token", "user"), id)
	b.must(err)
	if !found.Values["token"].Equal(secret.New(material(n))) || !found.Values["user"].Equal(secret.New(material(1000))) {
		b.Fatalf("value %d is not staged with what belongs to it", n)
	}
	return found
}

func (b *bench) isNotStaged(id string) {
	b.Helper()
	found, err := b.Open().Staged(b.Context(), b.want(path, "token"), id)
	b.wants(err, broker.ErrSecretMissing)
	if len(found.Values) > 0 {
		b.Fatal("an error came with a value")
	}
}

// remembers reports whether a call could mask value n as an earlier one.
func remembers(found broker.Secret, n int) bool {
	return slices.ContainsFunc(found.Previous, secret.New(material(n)).Equal)
}

// crash calls f broken off at each of its requests, first before and then after
// the request was applied; then finds out what is left.
func (b *bench) crash(f func() error, then func(at string)) {
	b.Helper()
	for _, applied := range []bool{false, true} {
		for n := 0; ; n++ {
			heal := b.Break(n, applied)
			err := f()
			broke := heal()
			if !broke {
				b.must(err)
				if n == 0 {
					b.Fatal("no request was made")
				}
				break
			}
			if err == nil {
				b.Logf("request %d (applied: %t) was not needed", n, applied)
			}
			then(fmt.Sprintf("broken off at request %d (applied: %t)", n, applied))
		}
	}
}

func (b *bench) cancelled() context.Context {
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	return ctx
}
