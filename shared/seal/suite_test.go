package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// backend is a KMS under test. disable is nil where it does not refuse a
// disabled key, which AWS does.
type backend struct {
	client    KMS
	createKey func(t testing.TB) string
	disable   func(t *testing.T, key string)
}

var bound = broker.SealContext{Environment: "prod", Purpose: "value", Origin: "digest-of-origin", ID: "github-token"}

const plain = "canary-5b1f0e7a93-material"

// runSuite is what holds on the fake and on the real endpoint alike.
func runSuite(t *testing.T, start func(t *testing.T) backend) {
	for name, test := range map[string]func(*testing.T, backend){
		"RoundTrip":                   roundTrip,
		"AnotherContextDoesNotOpen":   anotherContext,
		"SwappedRowsDoNotOpen":        swappedRows,
		"AnotherKeyDoesNotOpen":       anotherKey,
		"UnknownKey":                  unknownKey,
		"DisabledKey":                 disabledKey,
		"EveryFlippedBitIsSeen":       flippedBits,
		"TruncatedOrExtendedIsSeen":   truncated,
		"DataKeyOfAnotherTextIsSeen":  foreignDataKey,
		"EqualTextsSealToUnequalOnes": unequal,
		"MovedToAnotherKey":           movedToAnotherKey,
		"WhatIsAlteredIsNotMoved":     alteredIsNotMoved,
	} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

func mustSeal(t testing.TB, e *Envelope, c broker.SealContext, text string) []byte {
	t.Helper()
	sealed, err := e.Seal(t.Context(), c, secret.New(text))
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	if len(text) > 8 && strings.Contains(string(sealed), text) {
		t.Fatal("the sealed text holds the material")
	}
	return sealed
}

// mustNotOpen requires the refusal that a wrong or altered text gets.
func mustNotOpen(t *testing.T, what string, e *Envelope, c broker.SealContext, sealed []byte) {
	t.Helper()
	value, err := e.Open(t.Context(), c, sealed)
	if !errors.Is(err, broker.ErrKeyUnavailable) || !value.IsZero() {
		t.Errorf("%s: %v, want ErrKeyUnavailable and no value", what, err)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("%s: the error holds what it must not", what)
	}
}

func roundTrip(t *testing.T, b backend) {
	e := New(b.client, b.createKey(t), 0)
	for _, text := range []string{plain, "x", "\x00\xff\n", strings.Repeat("a", MaxPlain)} {
		value, err := e.Open(t.Context(), bound, mustSeal(t, e, bound, text))
		if err != nil || !value.Equal(secret.New(text)) {
			t.Errorf("%d bytes did not come back: %v", len(text), err)
		}
	}
}

func anotherContext(t *testing.T, b backend) {
	e := New(b.client, b.createKey(t), 0)
	sealed := mustSeal(t, e, bound, plain)
	for what, change := range map[string]func(c *broker.SealContext){
		"environment":       func(c *broker.SealContext) { c.Environment = "staging" },
		"purpose":           func(c *broker.SealContext) { c.Purpose = "issuer-keys" },
		"origin":            func(c *broker.SealContext) { c.Origin = "digest-of-another" },
		"no origin":         func(c *broker.SealContext) { c.Origin = "" },
		"id":                func(c *broker.SealContext) { c.ID = "github-token-2" },
		"border of the two": func(c *broker.SealContext) { c.Origin, c.ID = "digest-of-origing", "ithub-token" },
	} {
		c := bound
		change(&c)
		mustNotOpen(t, "another "+what, e, c, sealed)
	}
}

func swappedRows(t *testing.T, b backend) {
	e := New(b.client, b.createKey(t), 0)
	other := bound
	other.ID = "jira-token"
	one, two := mustSeal(t, e, bound, plain), mustSeal(t, e, other, plain)
	mustNotOpen(t, "the other row's text", e, bound, two)
	mustNotOpen(t, "the other row's text", e, other, one)
}

func anotherKey(t *testing.T, b backend) {
	values, grants := New(b.client, b.createKey(t), 0), New(b.client, b.createKey(t), 0)
	mustNotOpen(t, "sealed under another key", values, bound, mustSeal(t, grants, bound, plain))
}

func unknownKey(t *testing.T, b backend) {
	e := New(b.client, b.createKey(t), 0)
	gone := New(b.client, "99999999-9999-4999-8999-999999999999", 0)
	if sealed, err := gone.Seal(t.Context(), bound, secret.New(plain)); !errors.Is(err, broker.ErrKeyUnavailable) || sealed != nil {
		t.Errorf("seal under a key that does not exist: %v, want ErrKeyUnavailable", err)
	}
	mustNotOpen(t, "under a key that does not exist", gone, bound, mustSeal(t, e, bound, plain))
}

func disabledKey(t *testing.T, b backend) {
	key := b.createKey(t)
	e := New(b.client, key, 0)
	sealed := mustSeal(t, e, bound, plain)
	if b.disable == nil {
		t.Log("this endpoint does not refuse disabled keys (known difference): AWS answers DisabledException")
		return
	}
	b.disable(t, key)
	mustNotOpen(t, "under a disabled key", e, bound, sealed)
	if _, err := e.Seal(t.Context(), bound, secret.New(plain)); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("seal under a disabled key: %v, want ErrKeyUnavailable", err)
	}
}

func flippedBits(t *testing.T, b backend) {
	e := New(b.client, b.createKey(t), 0)
	sealed := mustSeal(t, e, bound, plain)
	for i := range sealed {
		altered := append([]byte(nil), sealed...)
		altered[i] ^= 1 << (i % 8)
		if at := bytes.Index(sealed, []byte(bound.Purpose)); i >= at-len(bound.Environment)-2 && i < at+len(bound.Purpose)+1+26 {
			continue // what the text says of its context, by which nothing opens
		}
		mustNotOpen(t, "a flipped bit", e, bound, altered)
	}
}

func truncated(t *testing.T, b backend) {
	e := New(b.client, b.createKey(t), 0)
	sealed := mustSeal(t, e, bound, plain)
	for n := range sealed {
		mustNotOpen(t, "a truncated text", e, bound, sealed[:n])
	}
	mustNotOpen(t, "an extended text", e, bound, append(append([]byte(nil), sealed...), 0))
	mustNotOpen(t, "a doubled text", e, bound, append(append([]byte(nil), sealed...), sealed...))
}

func foreignDataKey(t *testing.T, b backend) {
	e := New(b.client, b.createKey(t), 0)
	one, two := mustSeal(t, e, bound, plain), mustSeal(t, e, bound, plain)
	key, err := decode(one)
	if err != nil {
		t.Fatal(err)
	}
	box, err := decode(two)
	if err != nil {
		t.Fatal(err)
	}
	header, err := key.header()
	if err != nil {
		t.Fatal(err)
	}
	mustNotOpen(t, "the data key of one text with the box of another", e, bound, append(header, box.box...))
}

func unequal(t *testing.T, b backend) {
	e := New(b.client, b.createKey(t), 0)
	one, two := mustSeal(t, e, bound, plain), mustSeal(t, e, bound, plain)
	if string(one) == string(two) {
		t.Error("the same material sealed twice is the same text")
	}
}

// movedToAnotherKey: after that the former key is not needed any more.
func movedToAnotherKey(t *testing.T, b backend) {
	was, is := b.createKey(t), b.createKey(t)
	sealed := mustSeal(t, New(b.client, was, 0), bound, plain)
	e := New(b.client, is, 0)
	mustNotOpen(t, "under a key that is no former one", e, bound, sealed)
	both := New(b.client, is, 0, was)
	if value, err := both.Open(t.Context(), bound, sealed); err != nil || !value.Equal(secret.New(plain)) {
		t.Fatalf("under a former key: %v", err)
	}
	moved, ok, err := both.Reseal(t.Context(), bound.Environment, sealed)
	if err != nil || !ok {
		t.Fatalf("moved %t, %v", ok, err)
	}
	if b.disable != nil {
		b.disable(t, was)
	}
	if value, err := e.Open(t.Context(), bound, moved); err != nil || !value.Equal(secret.New(plain)) {
		t.Fatalf("under the key alone: %v", err)
	}
	other := bound
	other.ID = "jira-token"
	mustNotOpen(t, "moved, and under another context", e, other, moved)
	if again, ok, err := e.Reseal(t.Context(), bound.Environment, moved); ok || err != nil || again != nil {
		t.Errorf("it was moved again: %v", err)
	}
	if _, _, err := e.Reseal(t.Context(), "staging", moved); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("of another environment: %v", err)
	}
}

func alteredIsNotMoved(t *testing.T, b backend) {
	was := b.createKey(t)
	sealed := mustSeal(t, New(b.client, was, 0), bound, plain)
	e := New(b.client, b.createKey(t), 0, was)
	for _, part := range []string{bound.Environment, bound.Purpose, broker.Digest("sealed", bound.Environment, bound.Purpose, bound.Origin, bound.ID)} {
		altered := bytes.Replace(sealed, []byte(part), bytes.Repeat([]byte("x"), len(part)), 1)
		if _, ok, err := e.Reseal(t.Context(), bound.Environment, altered); ok || !errors.Is(err, broker.ErrKeyUnavailable) {
			t.Errorf("moved %t, %v", ok, err)
		}
	}
}
