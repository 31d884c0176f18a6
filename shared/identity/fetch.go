package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"
)

// Limits on what an issuer may answer.
const (
	maxDocument  = 256 << 10       // bytes of a discovery document or key set
	fetchTimeout = 5 * time.Second // discovery and key set together
)

var (
	errTooLarge   = errors.New("the issuer's answer is too large")
	errNotJSON    = errors.New("the issuer's answer is not JSON")
	errDiscovery  = errors.New("the discovery document is malformed")
	errMisissued  = errors.New("the discovery document is of another issuer")
	errKeysScheme = errors.New("the discovery document's jwks_uri is not https")
)

// statusError is an answer other than 200. A redirect is one.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("the issuer answered %d", int(s)) }

// unreached is a connection that was not made or broke. Its text is fixed,
// because what lies beneath can quote the other side; its cause is for
// errors.Is.
type unreached struct{ cause error }

func (u unreached) Error() string { return "the issuer could not be reached" }
func (u unreached) Unwrap() error { return u.cause }

// fetcher reads published keys. No error of it carries what an issuer sent.
type fetcher struct {
	client *http.Client
}

func newFetcher(c *http.Client) *fetcher {
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own.Jar = nil
	return &fetcher{client: &own}
}

// keys fetches an issuer's keys as of now.
func (f *fetcher) keys(ctx context.Context, i *Issuer, now time.Time) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	uri := i.JWKSURI
	if uri == "" {
		var err error
		if uri, err = f.discover(ctx, i.Issuer); err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
	}
	raw, err := f.get(ctx, uri)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	set, err := parseKeys(raw, now)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return set, nil
}

// discover asks OpenID Connect Discovery 1.0, and RFC 8414 where that is not
// there. The issuer named in the answer must be the one that was asked for.
func (f *fetcher) discover(ctx context.Context, issuer string) (string, error) {
	raw, err := f.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if errors.Is(err, statusError(http.StatusNotFound)) {
		var u *url.URL
		if u, err = url.Parse(issuer); err != nil {
			return "", errDiscovery
		}
		u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
		raw, err = f.get(ctx, u.String())
	}
	if err != nil {
		return "", err
	}
	var found struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := strict.Unmarshal(raw, &found); err != nil {
		return "", errDiscovery
	}
	if found.Issuer != issuer {
		return "", errMisissued
	}
	var bad faults
	checkURL("jwks_uri", found.JWKSURI, strings.HasPrefix(issuer, "http:"), &bad)
	if len(bad) > 0 {
		return "", errKeysScheme
	}
	return found.JWKSURI, nil
}

func (f *fetcher) get(ctx context.Context, uri string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, errDiscovery
	}
	req.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, unreached{err}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return nil, errNotJSON
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, unreached{err}
	case len(body) > maxDocument:
		return nil, errTooLarge
	}
	return body, nil
}
