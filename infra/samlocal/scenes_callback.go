package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/credential"
	"bindery/shared/secret"
)

// callbackNames are what the golden answers call issuer and provider by, and how
// their addresses differ from those of the issuer that runs here.
func callbackNames() []string {
	return []string{sampleIssuer + "/authorize?", "ISSUER/auth?", sampleIssuer, "ISSUER", "https://acme.example.com:1/authorize?", "PROVIDER/auth?",
		"https://acme.example.com:1", "PROVIDER", "acme.example.com:1", "PROVIDER-HOST"}
}

// seedCallback has servers where everybody uses their own, a person who is logged
// in, two links of theirs, and a connection that they have.
func seedCallback(ctx context.Context, s *stage) error {
	s.issuer.Client("bindery", sampleURL+"/connect/login")
	servers := map[string]broker.Server{
		"acme":  {URL: "https://acme.example.com/mcp", Description: "files <b>& folders</b>", Attach: bearer()},
		"other": {URL: "https://other.example.com/mcp", Attach: bearer()},
		"keyed": {URL: "https://keyed.example.com/mcp", Attach: []broker.Attachment{{In: broker.InHeader, Name: "X-Key", Template: "{key}"},
			{In: broker.InHeader, Name: "X-Sign", Template: "{signing}"}}},
	}
	scopes := map[string][]string{"acme": {"files:read", "files:write"}, "other": {"mail"}}
	if err := s.DB.PutAgent(ctx, broker.Agent{Environment: sampleEnvironment, ID: "corp:desk", State: broker.Active, Team: "tools", Ceiling: broker.High}); err != nil {
		return err
	}
	for name, server := range servers {
		server.Environment, server.Name, server.State, server.Owner = sampleEnvironment, name, broker.Active, "tools"
		card := s.ownCard(&server, scopes[name])
		if err := fill(
			func() error { return s.DB.PutServer(ctx, server) },
			func() error {
				if card.Provider == "" {
					return nil
				}
				return s.DB.PutProvider(ctx, broker.Provider{Environment: sampleEnvironment, Name: name, State: broker.Active, Issuer: s.provider,
					Registration: broker.Preregistered, ClientID: "bindery-" + name, ClientAuth: broker.ClientNone, Networks: s.w.bridge.networks()})
			},
			func() error { return s.DB.PutBinding(ctx, card) },
		); err != nil {
			return err
		}
	}
	if err := s.consented(ctx, "other", servers["other"].URL, scopes["other"]); err != nil {
		return fmt.Errorf("a connection: %w", err)
	}
	return s.logIn(ctx)
}

// ownCard is for everybody's own credential at a server: a key where no provider
// has scopes for it.
func (s *stage) ownCard(server *broker.Server, scopes []string) broker.Binding {
	origin, _ := broker.OriginDigest(server.URL) // of addresses that stand above
	card := broker.Binding{Environment: sampleEnvironment, Server: server.Name, Name: "own", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: broker.PersonalKey, Origin: origin, Owner: "tools"}
	if len(scopes) > 0 {
		card.Source, card.Provider, card.Scopes = broker.AuthorizationCode, server.Name, scopes
	}
	return card
}

func (s *stage) alice() string { return broker.PrincipalID(s.login, "alice") }

// consented stores what a consent leads to.
func (s *stage) consented(ctx context.Context, server, address string, scopes []string) error {
	origin, err := broker.OriginDigest(address)
	if err != nil {
		return err
	}
	key := broker.GrantKey{Environment: sampleEnvironment, Principal: s.alice(), Server: server, Origin: origin}
	now := time.Now().UTC()
	set := credential.TokenSet{Access: secret.New("made-up-access-token-0001"), Refresh: secret.New("made-up-refresh-token-0001"), Expires: now.Add(time.Hour)}
	tokens, err := credential.SealTokens(ctx, s.Sealer, key, set, scopes)
	if err != nil {
		return err
	}
	return s.DB.BeginGrant(ctx, broker.Grant{GrantKey: key, State: broker.Active, Provider: server, Authority: s.provider, Resource: address, Scopes: tokens.Scopes,
		Consented: now, Sealed: tokens.Sealed, Expires: tokens.Expires, Refreshes: tokens.Refreshes}, broker.Consent{Generation: 1, At: now})
}

// link is what a call of alice's is answered with that lacks her consent.
func (s *stage) link(ctx context.Context, server string) (string, error) {
	card, err := s.DB.Binding(ctx, broker.Route{Environment: sampleEnvironment, Server: server}, "own")
	if err != nil {
		return "", err
	}
	who := broker.Principal{ID: s.alice(), Kind: broker.User, Issuer: s.login, Subject: "alice", Agent: "corp:desk", Groups: []string{"corp:staff"}}
	desk := connect.Desk{Handles: s.DB, Environment: sampleEnvironment, PublicURL: sampleURL, Now: time.Now}
	return desk.Issue(ctx, &broker.ConsentNeeded{Why: broker.ConsentNone, Grant: broker.GrantKey{Environment: sampleEnvironment, Principal: who.ID, Server: server, Origin: card.Origin},
		Provider: card.Provider, Scopes: card.Scopes}, &broker.Decision{Call: broker.Call{Principal: who}, Binding: card})
}

// logIn goes through the login as a browser, at the very handler that the function
// runs, and leaves what the samples' words stand for.
func (s *stage) logIn(ctx context.Context) error {
	pages, err := s.Callback(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	opened, err := s.link(ctx, "acme")
	if err != nil {
		return err
	}
	keyed, err := s.link(ctx, "keyed")
	if err != nil {
		return err
	}
	cookies := map[string]string{}
	get := func(address string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, address, nil)
		for name, value := range cookies {
			r.Header.Add("Cookie", name+"="+value)
		}
		answer := httptest.NewRecorder()
		pages.ServeHTTP(answer, r)
		for _, c := range answer.Result().Cookies() {
			cookies[c.Name] = c.Value
		}
		return answer
	}
	back, err := s.agree(ctx, get(opened).Header().Get("Location"))
	if err != nil {
		return err
	}
	get(back)
	field := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(get(opened).Body.String())
	if field == nil || cookies["__Host-bindery"] == "" {
		return errors.New("the login at the callback function led nowhere")
	}
	token, err := s.issuer.Token("alice own")
	if err != nil {
		return err
	}
	ticket := func(link string) string { return link[strings.LastIndex(link, "/")+1:] }
	s.given = map[string]string{"TICKET": ticket(opened), "KEYED": ticket(keyed), "SESSION": "__Host-bindery=" + cookies["__Host-bindery"], "CSRF": field[1], "TOKEN": token}
	return nil
}

// agree says at the issuer who is there, and gives the way back.
func (s *stage) agree(ctx context.Context, address string) (string, error) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: time.Minute}
	form := url.Values{"account": {"alice own"}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form))
	if err != nil {
		return "", fmt.Errorf("the login leads nowhere: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.Header.Get("Location"), nil
}
