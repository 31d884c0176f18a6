package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"bindery/shared/secret"
)

// Metadata is what a client says about itself (RFC 7591, 2).
type Metadata struct {
	Name            string          `json:"client_name,omitempty"`
	URI             string          `json:"client_uri,omitempty"`
	RedirectURIs    []string        `json:"redirect_uris"`
	GrantTypes      []string        `json:"grant_types,omitempty"`
	ResponseTypes   []string        `json:"response_types,omitempty"`
	Auth            AuthMethod      `json:"token_endpoint_auth_method"`
	ApplicationType string          `json:"application_type"` // "web" or "native"
	Scope           string          `json:"scope,omitempty"`
	JWKS            json.RawMessage `json:"jwks,omitempty"` // public keys, for private_key_jwt
}

// Document is a client ID metadata document: what is served at the address that
// is the client's identifier (draft-ietf-oauth-client-id-metadata-document).
type Document struct {
	ID string `json:"client_id"`
	Metadata
}

// NewDocument makes the document for its address. There is nobody to share a
// secret with: the client is public, or has a key.
func NewDocument(address string, m Metadata) (Document, error) {
	const doing = "make the client's metadata document"
	u, err := url.Parse(address)
	if err != nil || len(address) > maxAddress || !visible(address) || u.Scheme != "https" || u.Host == "" || u.User != nil ||
		strings.ContainsAny(address, `#?\`) || u.Path == "" || u.Path == "/" || path.Clean(u.Path) != u.Path {
		return Document{}, fault(doing, ErrInvalid, "the address must be https with a path, without query, fragment, user and dots")
	}
	if m.Auth != NoAuth && (m.Auth != PrivateKeyJWT || len(m.JWKS) == 0) {
		return Document{}, fault(doing, ErrInvalid, "such a client is public, or has a key")
	}
	if why := m.fault(); why != "" {
		return Document{}, fault(doing, ErrInvalid, why)
	}
	return Document{address, m}, nil
}

// Client is how the document's client is known to a provider that reads it.
func (d Document) Client(key Key) Client { return Client{ID: d.ID, Auth: d.Auth, Key: key} }

func (m Metadata) fault() string {
	if len(m.RedirectURIs) == 0 || slices.ContainsFunc(m.RedirectURIs, func(s string) bool { return s == "" || !visible(s) }) {
		return "the redirect addresses"
	}
	if m.ApplicationType != "web" && m.ApplicationType != "native" || !m.Auth.known() {
		return "application type or way to authenticate"
	}
	return ""
}

// Registration is a client that registered itself, and what changes or deletes
// the registration (RFC 7592).
type Registration struct {
	Client        Client
	SecretExpires time.Time    // zero: never, or there is no secret
	URL           string       // of the registration; "" if the provider has no such thing
	Token         secret.Value // for requests to URL
}

// Register registers a client (RFC 7591); key is for private_key_jwt.
// ErrOutcomeUnknown leaves a client behind that nobody uses.
func (r *Requester) Register(ctx context.Context, p Provider, m Metadata, key Key) (Registration, error) {
	const doing = "register the client"
	switch why := r.endpoints(p); {
	case why != "":
		return Registration{}, fault(doing, ErrMetadata, why)
	case p.RegistrationURL == "":
		return Registration{}, fault(doing, ErrMetadata, "it has no registration endpoint")
	case m.fault() != "":
		return Registration{}, fault(doing, ErrInvalid, m.fault())
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	body, err := json.Marshal(m)
	if err != nil {
		return Registration{}, fault(doing, ErrInvalid, "the client's metadata")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.RegistrationURL, bytes.NewReader(body))
	if err != nil {
		return Registration{}, fault(doing, ErrMetadata, "its address cannot be asked")
	}
	req.Header.Set("Content-Type", "application/json")
	got, sent, err := r.send(req)
	switch {
	case err != nil && got.status == 0:
		return Registration{}, unanswered(ctx, doing, sent)
	case got.status != http.StatusCreated && got.status != http.StatusOK:
		return Registration{}, refusal(doing, got, errorCode(got), p.Quirks)
	}
	o, ok := parse(got.body)
	if err != nil || !ok || !got.json {
		return Registration{}, fault(doing, ErrOutcomeUnknown, "the answer is not one JSON object")
	}
	registered, why := r.registration(o, m, key)
	if why != "" {
		return Registration{}, fault(doing, ErrOutcomeUnknown, why)
	}
	return registered, nil
}

// registration reads what a provider made of the metadata: it may answer with
// other values than were asked for, and must not where that matters.
func (r *Requester) registration(o object, m Metadata, key Key) (made Registration, why string) {
	var read struct {
		ID           string     `json:"client_id"`
		Secret       string     `json:"client_secret"`
		SecretEnds   int64      `json:"client_secret_expires_at"`
		Auth         AuthMethod `json:"token_endpoint_auth_method"`
		RedirectURIs []string   `json:"redirect_uris"`
		URL          string     `json:"registration_client_uri"`
		Token        string     `json:"registration_access_token"`
	}
	if !o.into(&read) {
		return Registration{}, "a member is of the wrong type"
	}
	if read.Auth == "" { // it left out what was asked for
		read.Auth = m.Auth
	}
	if !read.Auth.known() || (read.Auth == PrivateKeyJWT) != (m.Auth == PrivateKeyJWT) {
		return Registration{}, "the client would have to authenticate otherwise"
	}
	for _, uri := range m.RedirectURIs {
		if read.RedirectURIs != nil && !slices.Contains(read.RedirectURIs, uri) {
			return Registration{}, "a redirect address is not registered"
		}
	}
	made.Client = Client{ID: read.ID, Auth: read.Auth}
	if read.Auth == SecretBasic || read.Auth == SecretPost {
		made.Client.Secret = secret.New(read.Secret)
		if read.SecretEnds > 0 {
			made.SecretExpires = time.Unix(read.SecretEnds, 0)
		}
	}
	if read.Auth == PrivateKeyJWT {
		made.Client.Key = key
	}
	if why := made.Client.fault(); why != "" {
		return Registration{}, why
	}
	if read.URL != "" && (!r.isEndpoint(read.URL) || !printable(read.Token) || len(read.Token) > maxToken) {
		return Registration{}, "the registration's own address or token"
	}
	made.URL, made.Token = read.URL, secret.New(read.Token)
	return made, ""
}

// Unregister deletes a registration (RFC 7592, 2.3). One that is not there any
// more is deleted.
func (r *Requester) Unregister(ctx context.Context, made Registration) error {
	const doing = "delete the client's registration"
	if !r.isEndpoint(made.URL) || made.Token.IsZero() || !visible(made.Token.Reveal()) {
		return fault(doing, ErrInvalid, "the registration's own address or token")
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, made.URL, nil)
	if err != nil {
		return fault(doing, ErrInvalid, "the registration's own address")
	}
	req.Header.Set("Authorization", "Bearer "+made.Token.Reveal())
	got, sent, err := r.send(req)
	switch {
	case err != nil && got.status == 0:
		return unanswered(ctx, doing, sent)
	case got.status == http.StatusNoContent || got.status == http.StatusNotFound:
		return nil
	}
	return refusal(doing, got, errorCode(got), Quirks{})
}
