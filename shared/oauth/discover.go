package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"

	strict "github.com/go-jose/go-jose/v4/json"
)

// Resource is what an upstream says about itself (RFC 9728).
type Resource struct {
	Resource string   // the value for resource indicators: the upstream's own address, or one above it
	Issuers  []string // its authorization servers; which to use is the caller's to choose
	Scopes   []string // scopes_supported
}

// Resource asks an upstream for its protected resource metadata: at the address
// that its challenge names, below the path form of the well-known address, and at its root
// form.
func (r *Requester) Resource(ctx context.Context, upstream string, challenge Challenge) (Resource, error) {
	const doing = "find the upstream's metadata"
	at, err := url.Parse(upstream)
	if err != nil || !r.isEndpoint(upstream) {
		return Resource{}, fault(doing, ErrInvalid, "the upstream's address")
	}
	var addresses []string
	if challenge.ResourceMetadata != "" {
		if !r.isEndpoint(challenge.ResourceMetadata) {
			return Resource{}, fault(doing, ErrMetadata, "the challenge names no https address")
		}
		addresses = append(addresses, challenge.ResourceMetadata)
	}
	addresses = append(addresses, wellKnown(at, "oauth-protected-resource")...)
	for _, address := range slices.Compact(addresses) {
		o, absent, err := r.document(ctx, doing, address)
		if err != nil {
			return Resource{}, err
		}
		if absent {
			continue
		}
		return r.resource(doing, at, o)
	}
	return Resource{}, fault(doing, ErrMetadata, "it has none")
}

// wellKnown is the path form of a well-known address, then its root form.
func wellKnown(at *url.URL, name string) []string {
	root := at.Scheme + "://" + at.Host + "/.well-known/" + name
	path := strings.TrimSuffix(at.EscapedPath(), "/")
	query := ""
	if at.RawQuery != "" {
		query = "?" + at.RawQuery
	}
	return []string{root + path + query, root}
}

func (r *Requester) resource(doing string, upstream *url.URL, o object) (Resource, error) {
	name, ok := o.text("resource")
	if !ok || !r.isEndpoint(name) || !covers(name, upstream) {
		return Resource{}, fault(doing, ErrMetadata, "the document is about another resource")
	}
	found := Resource{Resource: name}
	if found.Issuers, ok = o.texts("authorization_servers"); !ok || len(found.Issuers) == 0 {
		return Resource{}, fault(doing, ErrMetadata, "it names no authorization server")
	}
	for _, issuer := range found.Issuers {
		if !r.isIssuer(issuer) {
			return Resource{}, fault(doing, ErrMetadata, "an authorization server's issuer is not an https address")
		}
	}
	if found.Scopes, ok = o.texts("scopes_supported"); !ok {
		return Resource{}, fault(doing, ErrMetadata, "its scopes are malformed")
	}
	return found, nil
}

// covers reports whether a resource is the upstream's address or one above it at
// the same origin. RFC 9728 wants the very address; official servers behind one
// well-known address at their root name their origin, and a token for an origin
// is good nowhere else.
func covers(resource string, upstream *url.URL) bool {
	at, err := url.Parse(resource)
	if err != nil || !strings.EqualFold(at.Scheme, upstream.Scheme) || !strings.EqualFold(at.Host, upstream.Host) {
		return false
	}
	own, above := strings.TrimSuffix(upstream.EscapedPath(), "/"), strings.TrimSuffix(at.EscapedPath(), "/")
	if strings.Contains(above+"/", "/../") || strings.Contains(above+"/", "/./") {
		return false
	}
	if own == above {
		return at.RawQuery == upstream.RawQuery || at.RawQuery == ""
	}
	return at.RawQuery == "" && strings.HasPrefix(own, above+"/")
}

// texts reads a member that is a list of strings, or is not there.
func (o object) texts(name string) (list []string, ok bool) {
	raw := o.members[name]
	if raw == nil || string(raw) == "null" {
		return nil, true
	}
	return list, strict.Unmarshal(raw, &list) == nil && !slices.ContainsFunc(list, func(s string) bool { return s == "" || !visible(s) })
}

// Provider asks an issuer for its metadata: RFC 8414 first, then OpenID Connect
// Discovery with the path inserted and appended, in the order that MCP gives.
// The document's issuer must be the very same text.
func (r *Requester) Provider(ctx context.Context, issuer string) (Provider, error) {
	const doing = "find the provider's metadata"
	at, err := url.Parse(issuer)
	if err != nil || !r.isIssuer(issuer) {
		return Provider{}, fault(doing, ErrInvalid, "the issuer")
	}
	inserted, openID := wellKnown(at, "oauth-authorization-server"), wellKnown(at, "openid-configuration")
	addresses := []string{inserted[0], openID[0]}
	if strings.TrimSuffix(at.EscapedPath(), "/") != "" {
		addresses = append(addresses, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	}
	for _, address := range addresses {
		o, absent, err := r.document(ctx, doing, address)
		if err != nil {
			return Provider{}, err
		}
		if absent {
			continue
		}
		return r.provider(doing, issuer, o)
	}
	return Provider{}, fault(doing, ErrMetadata, "it has none")
}

func (r *Requester) provider(doing, issuer string, o object) (Provider, error) {
	var document struct {
		Issuer              string   `json:"issuer"`
		Authorization       string   `json:"authorization_endpoint"`
		Token               string   `json:"token_endpoint"`
		Revocation          string   `json:"revocation_endpoint"`
		Registration        string   `json:"registration_endpoint"`
		Scopes              []string `json:"scopes_supported"`
		AuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
		CodeChallenge       []string `json:"code_challenge_methods_supported"`
		SendsIssuer         bool     `json:"authorization_response_iss_parameter_supported"`
		ClientIDMetadataDoc bool     `json:"client_id_metadata_document_supported"`
	}
	if !o.into(&document) {
		return Provider{}, fault(doing, ErrMetadata, "a member is of the wrong type")
	}
	if document.Issuer != issuer {
		return Provider{}, fault(doing, ErrMetadata, "the document is of another issuer")
	}
	p := Provider{
		Issuer: issuer, AuthorizationURL: document.Authorization, TokenURL: document.Token,
		RevocationURL: document.Revocation, RegistrationURL: document.Registration,
		Scopes: document.Scopes, S256: slices.Contains(document.CodeChallenge, "S256"),
		SendsIssuer: document.SendsIssuer, Documents: document.ClientIDMetadataDoc,
	}
	if document.AuthMethods == nil { // what RFC 8414 gives as the default
		document.AuthMethods = []string{string(SecretBasic)}
	}
	for _, method := range document.AuthMethods {
		if m := AuthMethod(method); m.known() {
			p.AuthMethods = append(p.AuthMethods, m)
		}
	}
	if why := r.endpoints(p); why != "" {
		return Provider{}, fault(doing, ErrMetadata, why)
	}
	return p, nil
}
