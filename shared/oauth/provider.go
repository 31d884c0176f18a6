package oauth

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Provider is an authorization server: what its metadata says (Requester.Provider),
// or what an administrator configured, in which case Configured is set and no
// document was read.
type Provider struct {
	Issuer           string // may be empty if configured; then an answer that names an issuer is refused
	AuthorizationURL string
	TokenURL         string
	RevocationURL    string
	RegistrationURL  string

	Scopes      []string     // scopes_supported
	AuthMethods []AuthMethod // token_endpoint_auth_methods_supported, of those known here
	S256        bool         // whether it says that it checks PKCE
	SendsIssuer bool         // whether it says that its answers name the issuer (RFC 9207)
	Documents   bool         // whether a client identifier may be the address of a metadata document
	Configured  bool

	Quirks Quirks
}

// Quirks are where a provider differs from the standards. The zero Quirks are a
// provider that does not.
type Quirks struct {
	Authorize         map[string]string // further parameters of the authorization request
	ScopeSeparator    string            // between scopes in requests; "" is a space
	GrantedSeparator  string            // between scopes in answers; "" is as in requests
	ImpliedScopes     []string          // scopes it grants besides those asked for, or by another name
	NoResource        bool              // it does not know resource indicators (RFC 8707)
	NoScopeOnRefresh  bool              // it refuses scopes in a refresh
	NoTokenType       bool              // its answers have no token_type
	DeadCodes         []string          // further error codes that mean invalid_grant
	AssertionAudience string            // of private_key_jwt; "" is the issuer, or the token endpoint if it has none
}

func (q Quirks) dead(code string) bool { return code != "" && slices.Contains(q.DeadCodes, code) }

func (q Quirks) joinScopes(scopes []string) string {
	if q.ScopeSeparator == "" {
		return strings.Join(scopes, " ")
	}
	return strings.Join(scopes, q.ScopeSeparator)
}

func (q Quirks) splitScopes(granted string) []string {
	separator := q.GrantedSeparator
	if separator == "" {
		separator = q.ScopeSeparator
	}
	return strings.FieldsFunc(granted, func(r rune) bool { return r == ' ' || strings.ContainsRune(separator, r) })
}

// wider reports whether scopes were granted that nobody asked for. Who asked for
// none left them to the provider.
func (q Quirks) wider(granted, asked []string) bool {
	return len(asked) > 0 && slices.ContainsFunc(granted, func(scope string) bool {
		return !slices.Contains(asked, scope) && !slices.Contains(q.ImpliedScopes, scope)
	})
}

// Auth is the first of the methods that the provider takes. One that was
// configured without a list takes any.
func (p Provider) Auth(preferred ...AuthMethod) (AuthMethod, error) {
	for _, method := range preferred {
		if slices.Contains(p.AuthMethods, method) || p.Configured && len(p.AuthMethods) == 0 {
			return method, nil
		}
	}
	return "", fault("choose how the client authenticates", ErrMetadata, "the provider takes none of its methods")
}

// Check holds a configured provider to what a discovered one is held to.
func (r *Requester) Check(p Provider) error {
	if why := r.endpoints(p); why != "" {
		return fault("check a provider", ErrMetadata, why)
	}
	return nil
}

func (r *Requester) endpoints(p Provider) (why string) {
	if p.Issuer != "" && !r.isIssuer(p.Issuer) {
		return "its issuer is not an https address without query and fragment"
	}
	if p.TokenURL == "" {
		return "it has no token endpoint"
	}
	for _, endpoint := range []string{p.AuthorizationURL, p.TokenURL, p.RevocationURL, p.RegistrationURL} {
		if endpoint != "" && !r.isEndpoint(endpoint) {
			return "an endpoint is not an https address"
		}
	}
	return ""
}

func (r *Requester) isIssuer(address string) bool {
	return r.isEndpoint(address) && !strings.ContainsAny(address, "?#")
}

// isEndpoint accepts an absolute https address in printable ASCII; plain http to
// loopback where that is allowed. Whether it may be dialed is the HTTP client's
// to say.
func (r *Requester) isEndpoint(address string) bool {
	if len(address) > maxAddress || !visible(address) || strings.ContainsAny(address, `\#`) {
		return false
	}
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && r.loopback && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// visible reports whether s is visible ASCII: what may go into a header as a
// token (RFC 6750, 2.1 allows less), and into an address.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}
