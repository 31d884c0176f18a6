package credential

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// issuer issues a new token each time it is asked.
type issuer struct {
	mu       sync.Mutex
	asks     []TokenAsk
	subjects []string
	agents   []string
	life     time.Duration
	scopes   []string
	err      error
	slow     time.Duration
}

func (i *issuer) issue(a TokenAsk, subject, agent string) (TokenSet, error) {
	time.Sleep(i.slow)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asks, i.subjects, i.agents = append(i.asks, a), append(i.subjects, subject), append(i.agents, agent)
	if i.err != nil {
		return TokenSet{}, i.err
	}
	return TokenSet{Access: secret.New(accessToken(len(i.asks))), Expires: time.Now().Add(i.life), Scopes: i.scopes}, nil
}

func (i *issuer) ClientCredentials(_ context.Context, a TokenAsk) (TokenSet, error) {
	return i.issue(a, "", "")
}

func (i *issuer) Exchange(_ context.Context, a TokenAsk, subject secret.Value, agent string) (TokenSet, error) {
	return i.issue(a, subject.Reveal(), agent)
}

// issuing runs a test in a bubble of time of its own.
func issuing(t *testing.T, source broker.SourceKind, test func(*testing.T, *Issued, *issuer, *acme, broker.Ask)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		i, a := &issuer{life: time.Hour}, &acme{state: broker.Active}
		ask := broker.Ask{
			Binding: broker.Binding{Environment: "prod", Server: "files", Name: "ours", Version: 1, Source: source, Provider: "acme", Scopes: []string{"read", "write"}},
			Server:  broker.Server{URL: grantServerURL, Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}},
			Principal: broker.Principal{ID: "p-alice", Kind: broker.User, Issuer: "https://idp.example.com", Agent: "idp:agent",
				Expires: time.Now().Add(30 * time.Minute)},
			Recorded: func(context.Context) error { return nil },
		}
		if source == broker.TokenExchange {
			ask.Token = secret.New(canary + "-inbound-1")
		}
		test(t, NewIssued(IssuedParts{Providers: a, Tokens: i, Check: check, Now: time.Now}), i, a, ask)
	})
}

func TestIssuedTokenIsKeptWhileItLives(t *testing.T) {
	issuing(t, broker.ClientCredentials, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
		for range 3 {
			c, err := s.Obtain(t.Context(), a)
			wantToken(t, c, err, 1)
			if len(c.Access) != 1 || c.Access[0].Reference != "token:acme" || c.Access[0].Version == "" {
				t.Errorf("access %+v", c.Access)
			}
			a.Principal.ID += "x" // whoever calls
		}
		time.Sleep(58 * time.Minute)
		c, err := s.Obtain(t.Context(), a)
		wantToken(t, c, err, 1)
		time.Sleep(time.Minute)
		c, err = s.Obtain(t.Context(), a)
		wantToken(t, c, err, 2)
	})
}

func TestExchangedTokenDoesNotOutliveTheCallersOwn(t *testing.T) {
	issuing(t, broker.TokenExchange, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
		c, err := s.Obtain(t.Context(), a)
		wantToken(t, c, err, 1)
		if i.subjects[0] != canary+"-inbound-1" || i.agents[0] != "idp:agent" {
			t.Errorf("exchanged %q for %q", i.subjects[0], i.agents[0])
		}
		for _, e := range s.cache.entries {
			if e.until.After(a.Principal.Expires) {
				t.Error("it is kept for longer than it can be used")
			}
		}
		time.Sleep(30*time.Minute - time.Second)
		c, err = s.Obtain(t.Context(), a)
		wantToken(t, c, err, 1)
		time.Sleep(time.Second)
		c, err = s.Obtain(t.Context(), a)
		wantNone(t, c, err, broker.ErrProviderRefused)
		if len(i.asks) != 1 {
			t.Error("a token that is over was sent")
		}
	})
}

// Whatever decides a token is part of what it is kept under.
func TestTokenOfOneIsNeverGivenToAnother(t *testing.T) {
	for name, change := range map[string]func(*broker.Ask, *acme){
		"another person":        func(a *broker.Ask, _ *acme) { a.Principal.ID = "p-bob" },
		"another agent":         func(a *broker.Ask, _ *acme) { a.Principal.Agent = "" },
		"another token":         func(a *broker.Ask, _ *acme) { a.Token = secret.New(canary + "-inbound-2") },
		"another binding":       func(a *broker.Ask, _ *acme) { a.Binding.Name = "theirs" },
		"a changed binding":     func(a *broker.Ask, _ *acme) { a.Binding.Version++ },
		"fewer scopes":          func(a *broker.Ask, _ *acme) { a.Binding.Scopes = []string{"read"} },
		"scopes joined":         func(a *broker.Ask, _ *acme) { a.Binding.Scopes = []string{"read write"} },
		"another audience":      func(a *broker.Ask, _ *acme) { a.Binding.Audience = "x" },
		"another server":        func(a *broker.Ask, _ *acme) { a.Binding.Server = "mail" },
		"the server moved":      func(a *broker.Ask, _ *acme) { a.Server.URL += "/2" },
		"another environment":   func(a *broker.Ask, _ *acme) { a.Binding.Environment = "dev" },
		"as an own token":       func(a *broker.Ask, _ *acme) { a.Binding.Source = broker.ClientCredentials },
		"another kind of actor": func(a *broker.Ask, _ *acme) { a.Principal.Agent, a.Principal.ID = "p-alice", "idp:agent" },
	} {
		t.Run(name, func(t *testing.T) {
			issuing(t, broker.TokenExchange, func(t *testing.T, s *Issued, i *issuer, p *acme, a broker.Ask) {
				c, err := s.Obtain(t.Context(), a)
				wantToken(t, c, err, 1)
				change(&a, p)
				c, err = s.Obtain(t.Context(), a)
				wantToken(t, c, err, 2)
			})
		})
	}
}

func TestCallersTokenGoesToItsOwnIssuerOnly(t *testing.T) {
	for name, change := range map[string]func(*broker.Ask){
		"another issuer":    func(a *broker.Ask) { a.Principal.Issuer = "https://idp.example.com/" },
		"no issuer":         func(a *broker.Ask) { a.Principal.Issuer = "" },
		"no token":          func(a *broker.Ask) { a.Token = secret.Value{} },
		"it is over":        func(a *broker.Ask) { a.Principal.Expires = time.Now() },
		"nobody knows when": func(a *broker.Ask) { a.Principal.Expires = time.Time{} },
	} {
		issuing(t, broker.TokenExchange, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
			change(&a)
			c, err := s.Obtain(t.Context(), a)
			wantNone(t, c, err, broker.ErrProviderRefused)
			if len(i.asks) > 0 {
				t.Errorf("%s: the token was sent", name)
			}
		})
	}
	for token, sent := range map[string]int{"https://login.evil.example/token": 0, "https://idp.example.com.evil.example/token": 0, "https://idp.example.com/oauth/token": 1} {
		issuing(t, broker.TokenExchange, func(t *testing.T, s *Issued, i *issuer, p *acme, a broker.Ask) {
			p.token = token
			if _, err := s.Obtain(t.Context(), a); len(i.asks) != sent {
				t.Errorf("an endpoint at %s: asked %d times, %v", token, len(i.asks), err)
			}
		})
	}
	issuing(t, broker.TokenExchange, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
		a.Principal.AgentOnly = true
		if _, err := s.Obtain(t.Context(), a); broker.ReasonOf(err) != broker.PersonRequired || len(i.asks) > 0 {
			t.Errorf("no person: %v", err)
		}
	})
}

func TestClosedProviderGivesNothingFromMemory(t *testing.T) {
	issuing(t, broker.ClientCredentials, func(t *testing.T, s *Issued, i *issuer, p *acme, a broker.Ask) {
		c, err := s.Obtain(t.Context(), a)
		wantToken(t, c, err, 1)
		p.state = broker.Suspended
		c, err = s.Obtain(t.Context(), a)
		wantNone(t, c, err, broker.ErrProviderRefused)
		p.state, p.err = broker.Active, broker.ErrUnavailable
		c, err = s.Obtain(t.Context(), a)
		wantNone(t, c, err, broker.ErrUnavailable)
	})
}

func TestProviderThatFailsIsLeftAloneForAMoment(t *testing.T) {
	for kind, want := range map[FaultKind]error{
		Transient: broker.ErrProviderUnavailable, InvalidGrant: broker.ErrProviderRefused, Refused: broker.ErrProviderRefused,
		WiderScope: broker.ErrProviderRefused, OutcomeUnknown: broker.ErrOutcomeUnknown, "of tomorrow": broker.ErrOutcomeUnknown,
	} {
		issuing(t, broker.ClientCredentials, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
			i.err = &TokenFault{Kind: kind, RetryAfter: 20 * time.Second}
			for range 3 {
				c, err := s.Obtain(t.Context(), a)
				wantNone(t, c, err, want)
			}
			if len(i.asks) != 1 {
				t.Errorf("%s: asked %d times", kind, len(i.asks))
			}
			i.err = nil
			time.Sleep(20 * time.Second)
			c, err := s.Obtain(t.Context(), a)
			wantToken(t, c, err, 2)
		})
	}
}

func TestWiderTokenIsNotUsed(t *testing.T) {
	issuing(t, broker.ClientCredentials, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
		i.scopes = []string{"read", "admin"}
		c, err := s.Obtain(t.Context(), a)
		wantNone(t, c, err, broker.ErrProviderRefused)
	})
}

func TestIssuedTokenThatCannotBeMaskedIsNotReleased(t *testing.T) {
	issuing(t, broker.ClientCredentials, func(t *testing.T, _ *Issued, i *issuer, p *acme, a broker.Ask) {
		strict := func(secret.Value) error { return errShort }
		s := NewIssued(IssuedParts{Providers: p, Tokens: i, Check: strict, Now: time.Now})
		c, err := s.Obtain(t.Context(), a)
		wantNone(t, c, err, broker.ErrSecretMalformed)
	})
}

func TestManyAtOnceAskOnce(t *testing.T) {
	issuing(t, broker.ClientCredentials, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
		i.slow = time.Second
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { // the first to ask goes away
			c, err := s.Obtain(gone, a)
			wantNone(t, c, err, broker.ErrProviderUnavailable)
		})
		synctest.Wait()
		for range 50 {
			all.Go(func() {
				c, err := s.Obtain(t.Context(), a)
				wantToken(t, c, err, 1)
			})
		}
		all.Wait()
		if len(i.asks) != 1 {
			t.Errorf("asked %d times", len(i.asks))
		}
	})
}

func TestIssuedTokenIsNotAskedForWithoutAStoredIntent(t *testing.T) {
	for _, recorded := range []func(context.Context) error{nil, func(context.Context) error { return broker.ErrUnrecorded }} {
		issuing(t, broker.ClientCredentials, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
			a.Recorded = recorded
			c, err := s.Obtain(t.Context(), a)
			wantNone(t, c, err, broker.ErrUnrecorded)
			if len(i.asks) > 0 {
				t.Error("asked")
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	issuing(t, broker.ClientCredentials, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
		for n := range cacheEntries + 200 {
			a.Binding.Name = fmt.Sprintf("binding-%d", n)
			if n == 5 {
				time.Sleep(time.Second)
			}
			if _, err := s.Obtain(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.cache.entries) > cacheEntries {
			t.Errorf("%d entries", len(s.cache.entries))
		}
		last, err := s.Obtain(t.Context(), a)
		wantToken(t, last, err, cacheEntries+200)
		a.Binding.Name = "binding-0" // what ends first went first
		if _, err := s.Obtain(t.Context(), a); err != nil || len(i.asks) != cacheEntries+201 {
			t.Errorf("asked %d times, %v", len(i.asks), err)
		}
	})
}

func TestFaultsOfProvidersHoldNoToken(t *testing.T) {
	issuing(t, broker.TokenExchange, func(t *testing.T, s *Issued, i *issuer, _ *acme, a broker.Ask) {
		i.err = &TokenFault{Kind: Refused, Err: errors.New("invalid_target")}
		_, err := s.Obtain(t.Context(), a)
		if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "invalid_target") {
			t.Error(err)
		}
	})
}
