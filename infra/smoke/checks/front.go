package checks

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func frontChecks() []Check {
	discovery := "Look at the API's gateway responses and authorizer as deployed; docs/discovery.md says what should be there."
	return []Check{
		{"challenge", "a request without a token gets 401 with WWW-Authenticate under its own name", discovery, challenge},
		{"challenge-bad-token", "a token that is none gets the same answer: the authorizer's word Unauthorized is understood", discovery, badToken},
		{"metadata", "the metadata of a server resolves at the root of the domain and names the address that clients use",
			"Map the domain with an empty base path, and see that PublicUrl is what clients type.", metadata},
		{"metadata-admin", "the metadata of the admin API and of people's connections resolve as well",
			"Map the domain with an empty base path, and see that PublicUrl is what clients type.", metadataOthers},
		{"unknown-route", "a path that is no route is answered as docs/errors.md says", discovery, unknownRoute},
		{"cors", "the preflight of an allowed page is answered by the proxy, that of a foreign one is refused, and a 401 can be read by pages",
			"See that OPTIONS asks no authorizer, and what BINDERY_ORIGINS holds.", cors},
		{"tls", "connections below TLS 1.2 are refused", "Set the domain's security policy to TLS_1_2 or a later one.", oldTLS},
		{"second-address", "the execute-api address is switched off where a domain was given",
			"Deploy again: DisableExecuteApiEndpoint takes effect with a new deployment of the stage.", secondAddress},
	}
}

// authorized leaves out what only the authorizer makes true.
func (s *Subject) authorized() error {
	if s.Parameters["Authorizer"] == "none" {
		return leftOut("the stack was deployed with Authorizer=none: challenges are renamed (docs/discovery.md)")
	}
	return nil
}

func challenge(ctx context.Context, s *Subject) (string, error) { return s.unauthorized(ctx, "") }

func badToken(ctx context.Context, s *Subject) (string, error) {
	return s.unauthorized(ctx, "smoke.is.none")
}

func (s *Subject) unauthorized(ctx context.Context, token string) (string, error) {
	if err := s.authorized(); err != nil {
		return "", err
	}
	a, err := s.send(ctx, request{method: http.MethodPost, url: s.address(s.anyServer()), token: token, body: []byte("{}")})
	if err != nil {
		return "", err
	}
	return "401, WWW-Authenticate under its own name", errors.Join(a.is(http.StatusUnauthorized, 14010), a.challenges())
}

func metadata(ctx context.Context, s *Subject) (string, error) {
	return s.resource(ctx, s.metadata(s.anyServer()), s.address(s.anyServer()))
}

func metadataOthers(ctx context.Context, s *Subject) (string, error) {
	for _, path := range []string{"/admin/v1", "/connections"} {
		if _, err := s.resource(ctx, s.at("/.well-known/oauth-protected-resource"+path), s.at(path)); err != nil {
			return "", fmt.Errorf("of %s: %w", path, err)
		}
	}
	return "both resolve", nil
}

// resource reads metadata (RFC 9728) and compares the resource it names.
func (s *Subject) resource(ctx context.Context, from, want string) (string, error) {
	a, err := s.send(ctx, request{method: http.MethodGet, url: from})
	if err != nil {
		return "", err
	}
	var m struct {
		Resource string
		Issuers  []string `json:"authorization_servers"`
	}
	switch {
	case a.status != http.StatusOK:
		return "", fmt.Errorf("HTTP %d instead of 200", a.status)
	case json.Unmarshal(a.body, &m) != nil:
		return "", errors.New("the metadata is no JSON document")
	case m.Resource != want:
		return "", errors.New("it names another resource than the address it was asked at")
	case len(m.Issuers) == 0:
		return "", errors.New("it names no issuer")
	}
	return fmt.Sprintf("resolves at the root, names %d issuers", len(m.Issuers)), nil
}

func unknownRoute(ctx context.Context, s *Subject) (string, error) {
	a, err := s.send(ctx, request{method: http.MethodGet, url: s.at("/smoke-is-no-route")})
	if err != nil {
		return "", err
	}
	return "404 with code 14040", a.is(http.StatusNotFound, 14040)
}

func cors(ctx context.Context, s *Subject) (string, error) {
	own, err := url.Parse(s.Base)
	if err != nil {
		return "", errors.New("the public URL is none")
	}
	const asked = "authorization,mcp-param-smoke"
	preflight := func(origin string) (answer, error) {
		return s.send(ctx, request{method: http.MethodOptions, url: s.address(s.anyServer()), header: []string{"Origin", origin,
			"Access-Control-Request-Method", http.MethodPost, "Access-Control-Request-Headers", asked}})
	}
	page, err := preflight(own.Scheme + "://" + own.Host)
	if err != nil {
		return "", err
	}
	foreign, err := preflight("https://smoke.invalid")
	if err != nil {
		return "", err
	}
	denied, err := s.send(ctx, request{method: http.MethodPost, url: s.address(s.anyServer()), body: []byte("{}"), header: []string{"Origin", own.Scheme + "://" + own.Host}})
	if err != nil {
		return "", err
	}
	var wrong []string
	if page.status != http.StatusNoContent || page.header.Get("Access-Control-Allow-Headers") != asked || page.header.Get("Access-Control-Allow-Origin") == "" {
		wrong = append(wrong, fmt.Sprintf("the own page's preflight: HTTP %d, or its headers are not allowed", page.status))
	}
	if foreign.status != http.StatusForbidden || foreign.header.Get("Access-Control-Allow-Origin") != "" {
		wrong = append(wrong, fmt.Sprintf("a foreign page's preflight: HTTP %d", foreign.status))
	}
	if denied.status != http.StatusUnauthorized || denied.header.Get("Access-Control-Allow-Origin") == "" {
		wrong = append(wrong, fmt.Sprintf("HTTP %d without a token, which a page cannot read", denied.status))
	}
	return "own page 204, foreign page 403, a 401 can be read", together(wrong)
}

// oldTLS connects twice: a refusal counts only where a newer version is accepted.
func oldTLS(ctx context.Context, s *Subject) (string, error) {
	u, err := url.Parse(s.Base)
	if err != nil || u.Scheme != "https" {
		return "", leftOut("the public URL is not https")
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	try := func(minimum, maximum uint16) error {
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{MinVersion: minimum, MaxVersion: maximum, RootCAs: s.roots}}
		connection, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err == nil {
			_ = connection.Close()
		}
		return err
	}
	if try(tls.VersionTLS12, tls.VersionTLS13) != nil {
		return "", errors.New("there is no connection with TLS 1.2 or 1.3 either, or its certificate is not good")
	}
	if try(tls.VersionTLS10, tls.VersionTLS11) == nil {
		return "", errors.New("a connection with TLS 1.1 is accepted")
	}
	return "TLS 1.1 is refused, a later one accepted", nil
}

func secondAddress(ctx context.Context, s *Subject) (string, error) {
	switch {
	case s.Parameters["DomainName"] == "":
		return "", leftOut("the stack has no DomainName, so something in front needs the execute-api address")
	case s.Outputs["ApiUrl"] == "":
		return "", leftOut("the stack has no output ApiUrl")
	}
	a, err := s.send(ctx, request{method: http.MethodGet, url: strings.TrimSuffix(s.Outputs["ApiUrl"], "/") + "/.well-known/oauth-protected-resource/mcp/" + s.Environment + "/" + s.anyServer()})
	if err != nil {
		return "", leftOut("the execute-api address gave no answer from here, not even a refusal")
	}
	if a.status != http.StatusForbidden {
		return "", fmt.Errorf("it answers HTTP %d", a.status)
	}
	return "403", nil
}
