package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// managed is a provider with one registration, by RFC 7592: the token rolls with
// each change.
type managed struct {
	*httptest.Server
	secret, token string
	changes       int
	keeps         bool                                              // it changes no secret
	answer        func(w http.ResponseWriter, r *http.Request) bool // takes the answer's place
}

func newManaged(t *testing.T) *managed {
	m := &managed{secret: "made-up-secret-0", token: "made-up-token-0"}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+m.token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPut {
			var sent map[string]any
			if json.Unmarshal(body, &sent) != nil || sent["client_id"] != "c-1" || sent["custom"] != "kept" || sent["client_secret"] != nil || sent[managedWith] != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			if m.changes++; !m.keeps {
				m.secret = fmt.Sprint("made-up-secret-", m.changes)
			}
		}
		if m.answer != nil && m.answer(w, r) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"client_id":"c-1","custom":"kept","client_secret":%q,"client_secret_expires_at":0,%q:%q,%q:%q}`,
			m.secret, managedAt, m.URL+"/registration", managedWith, m.token)
	}))
	t.Cleanup(m.Close)
	return m
}

// maker stores what it reads: the secret, and where it is managed.
func (m *managed) maker(present string) *SecretMaker {
	stored := map[string]secret.Value{"": secret.New(present), managedAt: secret.New(m.URL + "/registration"), managedWith: secret.New("made-up-token-0")}
	return &SecretMaker{HTTP: func([]netip.Prefix) *http.Client { return m.Client() }, Now: time.Now, Loopback: true,
		Provider: func(_ context.Context, environment, name string) (broker.Provider, error) {
			return broker.Provider{Environment: environment, Name: name}, nil
		},
		Read: func(context.Context, broker.Provider, broker.Making, ...string) (map[string]secret.Value, error) {
			return stored, nil
		}}
}

func TestAProviderIssuesAnotherSecretForItsClient(t *testing.T) {
	m := newManaged(t)
	made, err := m.maker("made-up-secret-0").Make(t.Context(), broker.Making{})
	if err != nil || !made.Value.Equal(secret.New("made-up-secret-1")) {
		t.Fatal(err)
	}
	m.token = "made-up-token-1"
	if _, err := m.maker("made-up-secret-1").Make(t.Context(), broker.Making{Kept: made.Keep}); !errors.Is(err, broker.ErrProviderRefused) {
		t.Errorf("a token that is over: %v", err)
	}
}

func TestARegistrationsNewTokenIsKept(t *testing.T) {
	m := newManaged(t)
	m.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			m.token = "made-up-token-1"
		}
		return false
	}
	made, err := m.maker("made-up-secret-0").Make(t.Context(), broker.Making{})
	if err != nil {
		t.Fatal(err)
	}
	m.answer = nil
	again, err := m.maker("made-up-secret-1").Make(t.Context(), broker.Making{Kept: made.Keep})
	if err != nil || !again.Value.Equal(secret.New("made-up-secret-2")) {
		t.Error(err)
	}
}

// TestASecretWhoseAnswerWasLostIsFoundAgain: it is not changed a second time. Its
// provider has ended the one before, so nothing may keep the next attempt waiting.
func TestASecretWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	m := newManaged(t)
	m.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if _, err := m.maker("made-up-secret-0").Make(t.Context(), broker.Making{}); !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Fatal(err)
	}
	m.answer = nil
	made, err := m.maker("made-up-secret-0").Make(t.Context(), broker.Making{})
	if err != nil || !made.Value.Equal(secret.New("made-up-secret-1")) || m.changes != 1 {
		t.Errorf("changed %d times, %v", m.changes, err)
	}
}

func TestHostileAnswersAboutARegistration(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		answer func(http.ResponseWriter)
		want   error
	}{
		"reading: no JSON":     {"GET", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "canary") }, broker.ErrUnavailable},
		"reading: it fails":    {"GET", func(w http.ResponseWriter) { w.WriteHeader(503) }, broker.ErrUnavailable},
		"reading: it refuses":  {"GET", func(w http.ResponseWriter) { w.WriteHeader(403) }, broker.ErrProviderRefused},
		"changing: it fails":   {"PUT", func(w http.ResponseWriter) { w.WriteHeader(500) }, broker.ErrUnavailable},
		"changing: it refuses": {"PUT", func(w http.ResponseWriter) { w.WriteHeader(400) }, broker.ErrProviderRefused},
		"changing: another's address": {"PUT", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"client_secret":"x","registration_client_uri":"ftp://canary"}`)
		}, broker.ErrUnavailable},
		"changing: to another origin": {"PUT", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"client_secret":"x","registration_client_uri":"https://canary.internal.example/registration"}`)
		}, broker.ErrUnavailable},
		"reading: to another origin": {"GET", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"client_secret":"x","registration_client_uri":"https://canary.internal.example/registration"}`)
		}, broker.ErrUnavailable},
		"changing: a repeated name": {"PUT", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"client_secret":"canary","client_secret":"b"}`)
		}, broker.ErrUnavailable},
		"changing: a secret of lines": {"PUT", func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"client_secret":"canary\r\nx"}`) }, broker.ErrUnavailable},
		"changing: endless":           {"PUT", func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"a":"`+strings.Repeat("canary", 20<<10)) }, broker.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			m.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != c.method {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				c.answer(w)
				return true
			}
			made, err := m.maker("made-up-secret-0").Make(t.Context(), broker.Making{})
			if !errors.Is(err, c.want) || !made.Value.IsZero() || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAProviderThatKeepsTheSecretIsNoRotation(t *testing.T) {
	m := newManaged(t)
	m.keeps = true
	if _, err := m.maker("made-up-secret-0").Make(t.Context(), broker.Making{}); !errors.Is(err, broker.ErrProviderRefused) {
		t.Error(err)
	}
	if err := m.maker("x").Withdraw(t.Context(), broker.Making{}, broker.Made{}); !errors.Is(err, broker.ErrProviderRefused) {
		t.Error(err)
	}
}
