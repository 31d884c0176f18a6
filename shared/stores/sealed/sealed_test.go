package sealed

import (
	"errors"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func want(t *testing.T, path string) broker.Want {
	t.Helper()
	r, err := broker.ParseReference("sealed:" + path)
	if err != nil {
		t.Fatal(err)
	}
	return broker.Want{Reference: r, Keys: []string{""}, Environment: environment, Origin: origin}
}

func put(t *testing.T, s *Store, id, value string) int64 {
	t.Helper()
	version, err := s.Put(t.Context(), environment, id, origin, secret.New(value))
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func TestPutCountsVersionsAndKeepsTheTime(t *testing.T) {
	values := newValues()
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	s := New(values, newSealer(), func() time.Time { return at })
	for version := int64(1); version <= 3; version++ {
		if got := put(t, s, "token", "made-up-value-one"); got != version {
			t.Errorf("version %d, want %d", got, version)
		}
	}
	rows, err := values.Latest(t.Context(), environment, "token")
	if err != nil || rows[0].State != broker.Active || !rows[0].At.Equal(at) || rows[0].At.Location() != time.UTC {
		t.Errorf("stored %v (%v), want an active row of %v in UTC", rows[0].At, err, at)
	}
	found, err := s.Fetch(t.Context(), want(t, "token"))
	if err != nil || found.Version != "3" {
		t.Errorf("version %q (%v), want 3", found.Version, err)
	}
}

func TestPutThatLosesARaceIsAConflictAndChangesNothing(t *testing.T) {
	values := newValues()
	s := New(values, newSealer(), time.Now)
	put(t, s, "token", "made-up-value-one")
	values.beforePut = func() {
		values.beforePut = nil
		put(t, s, "token", "made-up-value-two")
	}
	if _, err := s.Put(t.Context(), environment, "token", origin, secret.New("made-up-value-late")); !errors.Is(err, broker.ErrConflict) {
		t.Fatalf("%v, want ErrConflict", err)
	}
	found, err := s.Fetch(t.Context(), want(t, "token"))
	if err != nil || !found.Values[""].Equal(secret.New("made-up-value-two")) {
		t.Errorf("the loser changed the value (%v)", err)
	}
}

func TestPutDoesNotBringAClosedValueBack(t *testing.T) {
	for _, state := range []broker.State{broker.Suspended, broker.Revoked, broker.Pending, ""} {
		values := newValues()
		s := New(values, newSealer(), time.Now)
		put(t, s, "token", "made-up-value-one")
		values.edit("prod/token", func(v *broker.SealedValue) { v.State = state })
		if _, err := s.Put(t.Context(), environment, "token", origin, secret.New("made-up-value-two")); !errors.Is(err, broker.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", state, err)
		}
		if _, err := s.Fetch(t.Context(), want(t, "token")); !errors.Is(err, broker.ErrSecretMissing) {
			t.Errorf("%s: %v, want ErrSecretMissing", state, err)
		}
	}
}

// TestADeletedValueIsGoneForEver, and its text with it, also where the deletion
// broke off in between. What is typed in under its name is another version.
func TestADeletedValueIsGoneForEver(t *testing.T) {
	values := newValues()
	s := New(values, newSealer(), time.Now)
	if err := s.Delete(t.Context(), environment, "token"); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("what never was: %v, want ErrNotFound", err)
	}
	put(t, s, "token", "made-up-value-one")
	put(t, s, "token", "made-up-value-two")
	values.err = broker.ErrUnavailable
	if err := s.Delete(t.Context(), environment, "token"); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	values.err = nil
	if err := values.PutSealed(t.Context(), broker.SealedValue{Environment: environment, ID: "token", Version: 3, State: broker.Deleted, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), environment, "token"); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := values.Latest(t.Context(), environment, "token")
	if err != nil || rows[0].Version != 4 {
		t.Fatalf("%d rows, %v: it was deleted more often than needed", len(rows), err)
	}
	for _, row := range rows {
		if row.State != broker.Deleted || len(row.Sealed) > 0 {
			t.Errorf("version %d stands as %s with %d bytes", row.Version, row.State, len(row.Sealed))
		}
	}
	if _, err := s.Fetch(t.Context(), want(t, "token")); !errors.Is(err, broker.ErrSecretMissing) {
		t.Errorf("%v, want ErrSecretMissing", err)
	}
	if version, err := s.Put(t.Context(), environment, "token", origin, secret.New("made-up-value-three")); err != nil || version != 5 {
		t.Errorf("typed in anew as version %d, %v", version, err)
	}
	found, err := s.Fetch(t.Context(), want(t, "token"))
	if err != nil || found.Version != "5" || len(found.Previous) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestAValueTypedInDuringItsDeletion: the text that was to go goes in either
// order, and the deletion, where it is finished, ends the new one too.
func TestAValueTypedInDuringItsDeletion(t *testing.T) {
	values := newValues()
	s := New(values, newSealer(), time.Now)
	put(t, s, "token", "made-up-value-one")
	if err := values.PutSealed(t.Context(), broker.SealedValue{Environment: environment, ID: "token", Version: 2, State: broker.Deleted, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "token", "made-up-value-two")
	if rows, err := values.Latest(t.Context(), environment, "token"); err != nil || len(rows) != 2 || len(rows[1].Sealed) > 0 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if err := s.Delete(t.Context(), environment, "token"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context(), want(t, "token")); !errors.Is(err, broker.ErrSecretMissing) {
		t.Errorf("%v, want ErrSecretMissing", err)
	}
}

func TestPutRefusesWhatItCannotBind(t *testing.T) {
	s := New(newValues(), newSealer(), time.Now)
	for name, args := range map[string][4]string{
		"no environment":        {"", "token", origin, "made-up-value-one"},
		"environment with path": {"prod/x", "token", origin, "made-up-value-one"},
		"no id":                 {environment, "", origin, "made-up-value-one"},
		"id with upper case":    {environment, "Token", origin, "made-up-value-one"},
		"id with path":          {environment, "a/b", origin, "made-up-value-one"},
		"id too long":           {environment, strings.Repeat("a", 41), origin, "made-up-value-one"},
		"no origin":             {environment, "token", "", "made-up-value-one"},
		"no value":              {environment, "token", origin, ""},
	} {
		if _, err := s.Put(t.Context(), args[0], args[1], args[2], secret.New(args[3])); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestFetchRefusesPathsThatAreNoID(t *testing.T) {
	s := New(newValues(), newSealer(), time.Now)
	for _, path := range []string{"Token", "a/b", "/a", "a_b", strings.Repeat("a", 41), "token?version=1"} {
		if _, err := s.Fetch(t.Context(), want(t, path)); !errors.Is(err, broker.ErrSecretMalformed) {
			t.Errorf("%s: %v, want ErrSecretMalformed", path, err)
		}
	}
	w := want(t, "token")
	w.Origin = ""
	if _, err := s.Fetch(t.Context(), w); !errors.Is(err, broker.ErrSecretMalformed) {
		t.Errorf("no origin: %v, want ErrSecretMalformed", err)
	}
}

// The row says one thing, the decision another: the decision counts.
func TestRowMovedToAnotherIDEnvironmentOrOriginDoesNotOpen(t *testing.T) {
	values := newValues()
	s := New(values, newSealer(), time.Now)
	put(t, s, "token", "made-up-value-one")
	stolen := values.rows["prod/token"][0]
	values.rows["prod/other"] = []broker.SealedValue{stolen}
	values.rows["dev/token"] = []broker.SealedValue{stolen}

	moved := map[string]broker.Want{"id": want(t, "other"), "environment": want(t, "token"), "origin": want(t, "token")}
	w := moved["environment"]
	w.Environment = "dev"
	moved["environment"] = w
	w = moved["origin"]
	w.Origin = "digest-of-https-evil-example"
	moved["origin"] = w
	for what, w := range moved {
		if _, err := s.Fetch(t.Context(), w); !errors.Is(err, broker.ErrKeyUnavailable) {
			t.Errorf("moved to another %s: %v, want ErrKeyUnavailable", what, err)
		}
	}
}

// After a server moved, its value is typed in again for the new origin. The
// version before was never given to that origin and must not block it.
func TestValueStoredAgainForANewOrigin(t *testing.T) {
	s := New(newValues(), newSealer(), time.Now)
	put(t, s, "token", "made-up-value-one")
	if _, err := s.Put(t.Context(), environment, "token", "digest-of-new-origin", secret.New("made-up-value-two")); err != nil {
		t.Fatal(err)
	}
	w := want(t, "token")
	w.Origin = "digest-of-new-origin"
	found, err := s.Fetch(t.Context(), w)
	if err != nil || !found.Values[""].Equal(secret.New("made-up-value-two")) || len(found.Previous) != 0 {
		t.Errorf("%v, %d earlier values, want the new value alone", err, len(found.Previous))
	}
	if _, err := s.Fetch(t.Context(), want(t, "token")); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("the old origin: %v, want ErrKeyUnavailable", err)
	}
}
