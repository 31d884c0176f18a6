// Package oauthclient is shared/oauth as a headless MCP client, for the
// authorization scenarios of the official conformance suite: a person who always
// consents, and a program that follows where the provider leads. The messages
// are the official SDK's; everything about authorization is shared/oauth, through
// egress.
//
// It decides what a caller of shared/oauth has to decide (which issuer, which
// scopes, when to ask again), and it keeps nothing beyond its one run. It never
// judges how a scenario went: the suite does.
package oauthclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/shared/egress"
	"bindery/shared/oauth"
)

// Scenario is what the suite tells its client.
type Scenario struct {
	Name    string // as in auth/scope-step-up
	Version string // revision of the specification
	Context []byte // JSON, of the scenario's own shape; may be empty
	Server  string // address of the MCP server
}

// Run is one run of the client: connect, list the tools, call the one there is.
func Run(ctx context.Context, s Scenario) error {
	if !strings.HasPrefix(s.Name, "auth/") {
		return errors.New("this client is for the authorization scenarios alone")
	}
	var given given
	if len(s.Context) > 0 {
		if err := json.Unmarshal(s.Context, &given); err != nil {
			return errors.New("the scenario's context is not JSON")
		}
	}
	provider := egress.New(egress.Policy{Loopback: true}).HTTP()
	person := &person{requester: oauth.New(provider, time.Now, true), browser: provider, given: given, clients: map[string]oauth.Client{}}
	switch {
	case s.Name == "auth/enterprise-managed-authorization":
		person.obtain = person.byAssertion
	case s.Name == "auth/wif-jwt-bearer":
		person.obtain = person.byWorkload
	case strings.HasPrefix(s.Name, "auth/client-credentials-"):
		person.obtain = person.byCredentials
	default:
		person.obtain = person.byConsent
	}
	options := &mcp.ClientSessionOptions{}
	if s.Version < "2026" { // else the SDK finds out by itself
		options.ProtocolVersion = s.Version
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "bindery-conformance", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: s.Server, OAuthHandler: person, HTTPClient: provider, MaxRetries: -1,
	}, options)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer session.Close()
	if _, err := session.ListTools(ctx, nil); err != nil {
		return fmt.Errorf("list tools: %w", err)
	}
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "test-tool", Arguments: map[string]any{}}); err != nil {
		return fmt.Errorf("call the tool: %w", err)
	}
	return nil
}

// given is what a scenario may hand to the client.
type given struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	PrivateKey   string `json:"private_key_pem"`
	Algorithm    string `json:"signing_algorithm"`
	IDPClientID  string `json:"idp_client_id"`
	IDPIDToken   string `json:"idp_id_token"`
	IDPIssuer    string `json:"idp_issuer"`
	ValidJWT     string `json:"valid_jwt"`
}

var _ auth.OAuthHandler = (*person)(nil)

// visit follows the authorization address as a browser would whose person agrees
// at once, and gives what the provider sends to the redirect address.
func (p *person) visit(ctx context.Context, address string) (url.Values, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.browser.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	location, err := resp.Location()
	if err != nil || !strings.HasPrefix(location.String(), redirect+"?") {
		return nil, errors.New("the provider did not send the browser to the redirect address")
	}
	return url.ParseQuery(location.RawQuery)
}
