package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// canary is in every secret of these tests and must be in no error.
const canary = "canary-5b1f0e7a93"

var errShort = errors.New("too short to mask")

func check(v secret.Value) error {
	if v.Len() < 16 {
		return errShort
	}
	return nil
}

// fakeStore holds secrets by path, as members.
type fakeStore struct {
	mu      sync.Mutex
	secrets map[string]map[string]string
	earlier map[string][]string
	wants   []broker.Want
	// before runs without the lock; an error is the answer.
	before func(ctx context.Context, path string) error
}

func (s *fakeStore) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	path := w.Reference.Path()
	s.mu.Lock()
	s.wants = append(s.wants, w)
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(ctx, path); err != nil {
			return broker.Secret{}, err
		}
	}
	found := broker.Secret{Values: map[string]secret.Value{}, Version: "v-" + path, RequestID: "r-" + path}
	for _, key := range w.Keys {
		found.Values[key] = secret.New(s.secrets[path][key])
	}
	for _, earlier := range s.earlier[path] {
		found.Previous = append(found.Previous, secret.New(earlier))
	}
	return found, nil
}

func value(n int) string { return fmt.Sprintf("%s-%04d", canary, n) }

// ask is a binding with fields "name=reference" and one store of kind "fake"
// registered under the name "aws-sm".
func ask(t testing.TB, fields ...string) broker.Ask {
	t.Helper()
	a := broker.Ask{
		Binding: broker.Binding{Environment: "prod", Origin: "digest-of-origin"},
		Stores: []broker.Store{{Environment: "prod", Name: "aws-sm", Kind: "fake", Paths: broker.Scope{"prod/*"}, State: broker.Active},
			{Environment: "prod", Name: "old", Kind: "fake", Paths: broker.Scope{"*"}, State: broker.Revoked},
			{Environment: "dev", Name: "foreign", Kind: "fake", Paths: broker.Scope{"*"}, State: broker.Active},
			{Environment: "prod", Name: "vault", Kind: "vault", Paths: broker.Scope{"*"}, State: broker.Active}},
	}
	for _, f := range fields {
		name, reference, _ := strings.Cut(f, "=")
		r, err := broker.ParseReference(reference)
		if err != nil {
			t.Fatal(err)
		}
		a.Binding.Fields = append(a.Binding.Fields, broker.Field{Name: name, Reference: r})
	}
	return a
}

func static(s broker.SecretStore) *Static {
	return NewStatic(map[string]broker.SecretStore{"fake": s}, check)
}

func mustRefuse(t *testing.T, what string, c broker.Credential, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if c.Fields != nil || c.Previous != nil || c.Access != nil {
		t.Errorf("%s: part of a credential came with the error", what)
	}
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("%s: the error holds a value", what)
	}
}

func TestEachSecretIsReadOnceForAllItsFields(t *testing.T) {
	s := &fakeStore{secrets: map[string]map[string]string{
		"prod/db": {"user": value(1), "password": value(2)}, "prod/api": {"": value(3)},
	}, earlier: map[string][]string{"prod/db": {value(4), "short"}, "prod/api": {value(5)}}}
	c, err := static(s).Obtain(t.Context(), ask(t, "user=aws-sm:prod/db#user", "key=aws-sm:prod/api",
		"password=aws-sm:prod/db#password", "again=aws-sm:prod/db#password"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"user": value(1), "password": value(2), "again": value(2), "key": value(3)} {
		if !c.Fields[name].Equal(secret.New(want)) {
			t.Errorf("field %s has another value", name)
		}
	}
	access := []broker.Access{
		{Reference: "aws-sm:prod/api", Version: "v-prod/api", RequestID: "r-prod/api"},
		{Reference: "aws-sm:prod/db", Version: "v-prod/db", RequestID: "r-prod/db"},
	}
	if len(c.Fields) != 4 || !slices.Equal(c.Access, access) {
		t.Errorf("%d fields, access %v, want 4 and %v", len(c.Fields), c.Access, access)
	}
	if len(c.Previous) != 2 || !slices.ContainsFunc(c.Previous, secret.New(value(4)).Equal) || !slices.ContainsFunc(c.Previous, secret.New(value(5)).Equal) {
		t.Errorf("%d earlier values, want the two that could have been released", len(c.Previous))
	}
	if len(s.wants) != 2 {
		t.Fatalf("%d reads of two secrets", len(s.wants))
	}
	for _, w := range s.wants {
		if w.Environment != "prod" || w.Origin != "digest-of-origin" || w.Reference.Key() != "" {
			t.Errorf("the store was asked %+v", w)
		}
		if w.Reference.Path() == "prod/db" && !slices.Equal(w.Keys, []string{"user", "password"}) {
			t.Errorf("keys %q, want each once", w.Keys)
		}
	}
}

func TestBindingWithoutFieldsGivesAnEmptyCredential(t *testing.T) {
	c, err := static(&fakeStore{}).Obtain(t.Context(), ask(t))
	if err != nil || len(c.Fields)+len(c.Access) != 0 {
		t.Errorf("%v, %d fields", err, len(c.Fields))
	}
}

func TestValueThatCannotBeMaskedIsNotReleased(t *testing.T) {
	s := &fakeStore{secrets: map[string]map[string]string{"prod/a": {"": "short"}, "prod/b": {"": value(1)}}}
	c, err := static(s).Obtain(t.Context(), ask(t, "key=aws-sm:prod/a", "other=aws-sm:prod/b"))
	mustRefuse(t, "rotated to a short value", c, err, broker.ErrSecretMalformed)
	if !errors.Is(err, errShort) || !strings.Contains(err.Error(), `"key"`) {
		t.Errorf("%v does not say which field and why", err)
	}
	c, err = static(s).Obtain(t.Context(), ask(t, "other=aws-sm:prod/b", "gone=aws-sm:prod/b#gone"))
	mustRefuse(t, "a store that gives less than asked", c, err, broker.ErrSecretMalformed)
}

func TestNothingIsReadUnlessEveryStoreIsRegistered(t *testing.T) {
	for what, reference := range map[string]string{
		"unregistered store":           "nobody:prod/a",
		"revoked registration":         "old:prod/a",
		"registration of elsewhere":    "foreign:prod/a",
		"kind this deployment has not": "vault:prod/a",
		"path outside the scope":       "aws-sm:staging/a",
	} {
		s := &fakeStore{secrets: map[string]map[string]string{"prod/b": {"": value(1)}}}
		c, err := static(s).Obtain(t.Context(), ask(t, "good=aws-sm:prod/b", "bad="+reference))
		mustRefuse(t, what, c, err, broker.ErrStoreDenied)
		if len(s.wants) != 0 {
			t.Errorf("%s: %d requests left", what, len(s.wants))
		}
	}
}

func TestSecretsAreReadSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{secrets: map[string]map[string]string{"prod/a": {"": value(1)}, "prod/b": {"": value(2)}, "prod/c": {"": value(3)}}}
		s.before = func(context.Context, string) error { time.Sleep(time.Second); return nil }
		began := time.Now()
		if _, err := static(s).Obtain(t.Context(), ask(t, "a=aws-sm:prod/a", "b=aws-sm:prod/b", "c=aws-sm:prod/c")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("three reads of a second took %s", took)
		}
	})
}

// The caller learns why it failed, not that the others were stopped for it.
func TestFirstErrorEndsTheOthersAndIsTheAnswer(t *testing.T) {
	for _, fault := range []error{broker.ErrSecretMissing, broker.ErrSecretMalformed, broker.ErrStoreDenied, broker.ErrKeyUnavailable, broker.ErrUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeStore{secrets: map[string]map[string]string{"prod/done": {"": value(1)}}}
			stopped := make(chan error, 8)
			s.before = func(ctx context.Context, path string) error {
				switch path {
				case "prod/done":
					return nil
				case "prod/faulty":
					synctest.Wait()
					return fmt.Errorf("read: %w", fault)
				}
				<-ctx.Done()
				stopped <- ctx.Err()
				return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
			}
			c, err := static(s).Obtain(t.Context(), ask(t, "a=aws-sm:prod/slow-1", "b=aws-sm:prod/done", "c=aws-sm:prod/faulty", "d=aws-sm:prod/slow-2"))
			mustRefuse(t, "one of four failed", c, err, fault)
			if errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), `"c"`) {
				t.Errorf("%v is not the first error", err)
			}
			if len(stopped) != 2 {
				t.Errorf("%d of 2 slow reads were stopped", len(stopped))
			}
		})
	}
}

func TestCallerGoneGivesNothing(t *testing.T) {
	s := &fakeStore{secrets: map[string]map[string]string{"prod/a": {"": value(1)}, "prod/b": {"": value(2)}}}
	ctx, cancel := context.WithCancel(t.Context())
	s.before = func(ctx context.Context, _ string) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}
	c, err := static(s).Obtain(ctx, ask(t, "a=aws-sm:prod/a", "b=aws-sm:prod/b"))
	mustRefuse(t, "two secrets", c, err, context.Canceled)
	c, err = static(s).Obtain(ctx, ask(t, "a=aws-sm:prod/a"))
	mustRefuse(t, "one secret", c, err, context.Canceled)
}

func BenchmarkObtainOneSecretTwoFields(b *testing.B) {
	s := &fakeStore{secrets: map[string]map[string]string{"prod/db": {"user": value(1), "password": value(2)}}}
	a, source := ask(b, "user=aws-sm:prod/db#user", "password=aws-sm:prod/db#password"), static(s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.Obtain(b.Context(), a); err != nil {
			b.Fatal(err)
		}
		s.wants = s.wants[:0]
	}
}

func BenchmarkObtainTwoSecrets(b *testing.B) {
	s := &fakeStore{secrets: map[string]map[string]string{"prod/a": {"": value(1)}, "prod/b": {"": value(2)}}}
	a, source := ask(b, "a=aws-sm:prod/a", "b=aws-sm:prod/b"), static(s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.Obtain(b.Context(), a); err != nil {
			b.Fatal(err)
		}
		s.wants = s.wants[:0]
	}
}
