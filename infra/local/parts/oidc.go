package parts

import (
	"context"
	_ "embed" // the pinned provider
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bindery/shared/secret"
)

//go:embed oidc/package.json
var oidcPackage string

//go:embed oidc/package-lock.json
var oidcLock string

//go:embed oidc/op.mjs
var oidcProgram string

// OIDCConfig is what a provider serves.
type OIDCConfig struct {
	Users     []OIDCUser
	Clients   []OIDCClient
	Resources []OIDCResource
	// AccessTokenTTL is the life of access tokens, in whole seconds; 0 means five minutes.
	AccessTokenTTL time.Duration
	// Registration lets anybody register a client (RFC 7591) and manage it (RFC 7592).
	Registration bool
}

// OIDCUser is a person. The claims are in ID tokens and in access tokens alike.
type OIDCUser struct {
	Subject       string   `json:"sub"` // also the login name
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Groups        []string `json:"groups"`
}

// OIDCClient is software known to the provider. With a Secret or a Key it is a
// confidential client that gets tokens for itself (client credentials) and for
// person and agent (token exchange); with neither it is a public client that logs
// people in (authorization code with PKCE, rotating refresh tokens).
type OIDCClient struct {
	ID     string
	Secret secret.Value
	Key    json.RawMessage // its public half, as a JWK: private_key_jwt
	Post   bool            // the secret is in the body (client_secret_post) and not in the header
	// RedirectURI is where a public client gets its code; empty means one that
	// UserToken reads and nobody serves.
	RedirectURI string
}

// OIDCResource is an audience for which the provider issues JWT access tokens.
type OIDCResource struct {
	Audience string `json:"audience"` // an absolute URI without a fragment (RFC 8707)
	Scope    string `json:"scope"`    // scopes that may be granted, separated by spaces; may be empty
}

// OIDC is a started OpenID provider. URL is its issuer.
type OIDC struct {
	*Process
	config OIDCConfig
}

// OIDCProvider starts the certified npm oidc-provider with the given users,
// clients and resources, and a signing key of its own (RS256). It needs Node 20
// or newer with npm (about 4 MB to install, once).
func OIDCProvider(ctx context.Context, p Progress, config OIDCConfig) (*OIDC, error) {
	h, err := findHome()
	if err != nil {
		return nil, err
	}
	return h.oidcProvider(ctx, p, config)
}

func (h home) oidcProvider(ctx context.Context, p Progress, config OIDCConfig) (*OIDC, error) {
	if config.AccessTokenTTL == 0 {
		config.AccessTokenTTL = 5 * time.Minute
	}
	node, err := findNode(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := h.install(ctx, p, "oidc-provider", []string{oidcPackage, oidcLock, oidcProgram},
		func(dir string) error { return installOIDC(ctx, p, dir) })
	if err != nil {
		return nil, err
	}
	p.say("oidc-provider: starting")
	proc, err := h.start(ctx, program{
		name:  "oidc-provider",
		dir:   dir,
		argv:  func(string) []string { return []string{node, "op.mjs"} },
		stdin: config.document,
		ready: func(port string) string { return "listening on 127.0.0.1:" + port },
		wait:  startTime,
	})
	if err != nil {
		return nil, err
	}
	return &OIDC{Process: proc, config: config}, nil
}

// document is the program's input: the configuration in the provider's own
// words. Client secrets leave this process here, and only through the pipe.
func (c OIDCConfig) document(port string) (string, error) {
	clients := []oidcClient{}
	for _, known := range c.Clients {
		clients = append(clients, known.document())
	}
	if c.AccessTokenTTL < time.Second || c.AccessTokenTTL%time.Second != 0 {
		return "", fmt.Errorf("the life of access tokens is %s: it must be whole seconds", c.AccessTokenTTL)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", err
	}
	document, err := json.Marshal(map[string]any{
		"issuer": "http://127.0.0.1:" + port, "port": number, "accessTokenTTL": int(c.AccessTokenTTL.Seconds()),
		"users": orEmpty(c.Users), "clients": clients, "resources": orEmpty(c.Resources),
		"registration": c.Registration,
	})
	return string(document), err
}

// oidcClient is a client in the provider's own words.
type oidcClient struct {
	ID        string     `json:"client_id"`
	Secret    string     `json:"client_secret,omitempty"`
	Keys      *publicSet `json:"jwks,omitempty"`
	Auth      string     `json:"token_endpoint_auth_method"`
	Type      string     `json:"application_type"`
	Grants    []string   `json:"grant_types"`
	Responses []string   `json:"response_types"`
	Redirects []string   `json:"redirect_uris"`
}

type publicSet struct {
	Keys []json.RawMessage `json:"keys"`
}

func (c OIDCClient) document() oidcClient {
	d := oidcClient{ID: c.ID, Auth: "none", Type: "native", Grants: []string{"authorization_code", "refresh_token"},
		Responses: []string{"code"}, Redirects: []string{c.redirect()}}
	if c.Secret.IsZero() && c.Key == nil {
		return d
	}
	d.Type, d.Responses, d.Redirects = "web", []string{}, []string{}
	d.Grants = []string{"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"}
	switch {
	case c.Key != nil:
		d.Auth, d.Keys = "private_key_jwt", &publicSet{[]json.RawMessage{c.Key}}
	case c.Post:
		d.Auth, d.Secret = "client_secret_post", c.Secret.Reveal()
	default:
		d.Auth, d.Secret = "client_secret_basic", c.Secret.Reveal()
	}
	return d
}

// orEmpty makes a nil list an empty one, which JSON tells apart.
func orEmpty[T any](list []T) []T { return append([]T{}, list...) }

// redirect is where the client gets its code. Port 9 of loopback serves nobody.
func (c OIDCClient) redirect() string {
	if c.RedirectURI == "" {
		return "http://127.0.0.1:9/callback"
	}
	return c.RedirectURI
}

func (c OIDCConfig) client(id string) (OIDCClient, bool) {
	i := slices.IndexFunc(c.Clients, func(known OIDCClient) bool { return known.ID == id })
	if i < 0 {
		return OIDCClient{}, false
	}
	return c.Clients[i], true
}

func (c OIDCConfig) hasUser(subject string) bool {
	return slices.ContainsFunc(c.Users, func(known OIDCUser) bool { return known.Subject == subject })
}

// findNode returns the node to run.
func findNode(ctx context.Context) (string, error) {
	const instead = "install Node 20 or newer with npm"
	node, err := exec.LookPath("node")
	if err != nil {
		return "", fmt.Errorf("%w: node was not found: %s", ErrRuntime, instead)
	}
	out, err := exec.CommandContext(ctx, node, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%w: node on PATH does not run: %s", ErrRuntime, instead)
	}
	if major, ok := nodeMajor(string(out)); !ok || major < 20 {
		return "", fmt.Errorf("%w: node is %.20q, which is too old: %s", ErrRuntime, strings.TrimSpace(string(out)), instead)
	}
	return node, nil
}

// nodeMajor reads "v20.20.2" as 20.
func nodeMajor(version string) (int, bool) {
	found := regexp.MustCompile(`^v(\d+)\.`).FindStringSubmatch(version)
	if found == nil {
		return 0, false
	}
	major, err := strconv.Atoi(found[1])
	return major, err == nil
}

func installOIDC(ctx context.Context, p Progress, dir string) error {
	p.say("oidc-provider: installing the pinned release from the npm registry (about 1 MB to download, once)")
	return npmInstall(ctx, dir, "oidc-provider",
		map[string]string{"package.json": oidcPackage, "package-lock.json": oidcLock, "op.mjs": oidcProgram})
}
