package broker

import (
	"fmt"
	"slices"
	"strings"
)

// How many parameters a provider's quirks may add, and error codes.
const (
	maxParameters = 32
	maxDeadCodes  = 16
)

// Check refuses what no backend may keep, and registrations that contradict
// themselves.
func (p Provider) Check() error {
	c := rowCheck{row: "provider"}
	c.name("environment", p.Environment)
	c.name("name", p.Name)
	c.standing(p.Version, p.State)
	c.text("registration", string(p.Registration), string(p.ClientAuth), p.ClientID, p.ClientSecret.String(), p.SigningKey)
	c.networks(p.Networks)
	c.keep(opensOnlyPrivate("provider", p.Networks))
	c.keep(p.checkAddresses())
	c.keep(p.checkRegistration())
	c.quirks(p.Quirks)
	return c.err
}

func (p Provider) checkAddresses() error {
	bad := func(rule string) error { return fmt.Errorf("%w provider: %s", ErrInvalid, rule) }
	e := p.Endpoints
	for _, address := range []string{p.Issuer, e.Authorization, e.Token, e.Revocation} {
		if address == "" {
			continue
		}
		if _, err := OriginDigest(address); err != nil || len(address) > maxText {
			return bad("issuer and endpoints must be https URLs without user or fragment")
		}
	}
	switch {
	case len(p.Issuer) > MaxID:
		return bad("the issuer must have at most 256 bytes")
	case (e.Authorization == "") != (e.Token == ""), e.Revocation != "" && e.Token == "":
		return bad("its endpoints are authorization and token, with or without revocation, or none")
	}
	return nil
}

// checkRegistration holds the way of being registered and the way of
// authenticating to each other: exactly what both use, and nothing else. A
// client that is a metadata document has no secret to share (its document is
// public), and whoever registers by itself needs the metadata that say where.
func (p Provider) checkRegistration() error {
	bad := func(rule string) error { return fmt.Errorf("%w provider: %s", ErrInvalid, rule) }
	shared := p.ClientAuth == ClientSecretBasic || p.ClientAuth == ClientSecretPost
	prior := p.Registration == Preregistered
	switch {
	case !slices.Contains([]RegistrationKind{Preregistered, MetadataDocument, Dynamic}, p.Registration):
		return bad("it registers preregistered, by metadata_document or dynamic")
	case !shared && p.ClientAuth != ClientNone && p.ClientAuth != ClientPrivateKeyJWT:
		return bad("clients authenticate by none, client_secret_basic, client_secret_post or private_key_jwt")
	case prior == (p.ClientID == ""):
		return bad("preregistered needs a client id; the others take none")
	case (prior && shared) == p.ClientSecret.IsZero():
		return bad("preregistered with client_secret needs the reference of a secret; nothing else takes one")
	case p.Registration == MetadataDocument && shared:
		return bad("a metadata_document authenticates by none or private_key_jwt")
	case (p.ClientAuth == ClientPrivateKeyJWT) == (p.SigningKey == ""):
		return bad("private_key_jwt needs a signing key; nothing else takes one")
	case p.Authority() == "" && (prior && shared || p.Quirks.AssertionAudience != ""):
		return bad("a client's secret, or an assertion for a fixed audience, needs the issuer or endpoints it is for: an upstream could name itself")
	case p.Registration == Dynamic && p.Endpoints != Endpoints{}:
		return bad("dynamic needs the provider's metadata, and takes no endpoints")
	}
	return nil
}

// protocol are the parameters of an authorization request that decide who is
// asked for what, and where the answer goes.
var protocol = []string{"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "resource", "request", "request_uri"}

func (c *rowCheck) quirks(q Quirks) {
	for _, s := range []string{q.ScopeSeparator, q.GrantedSeparator} {
		c.require("scope separator", len(s) <= 1 && (s == "" || s[0] >= ' ' && s[0] <= '~'), "it must be one visible character or a space")
	}
	c.keep(CheckScopes(q.ImpliedScopes))
	c.require("dead codes", len(q.DeadCodes) <= maxDeadCodes, "they must be at most 16")
	for _, code := range q.DeadCodes {
		c.require("dead code", isErrorCode(code) && !slices.Contains(ofOthers, code), "it must be an error code that does not blame the client or the moment")
	}
	c.text("audience of assertions", q.AssertionAudience)
	c.require("life of access tokens", q.AccessTokenLife >= 0, "it must not be negative")
	c.require("parameters", len(q.AuthorizationParameters) <= maxParameters, "they must be at most 32")
	for name, value := range q.AuthorizationParameters {
		c.text("parameter", name, value)
		c.require("parameter", name != "" && !slices.Contains(protocol, strings.ToLower(name)), "it must have a name that the protocol does not use itself")
	}
}

// ofOthers are error codes (RFC 6749, section 5.2, and what providers add) that
// say nothing of a grant. If one of them counted as the grant's end, one wrong
// client secret, or one bad hour of the provider, would end everybody's.
var ofOthers = []string{"invalid_client", "unauthorized_client", "server_error", "temporarily_unavailable", "slow_down"}

// isErrorCode accepts what an error code may be.
func isErrorCode(code string) bool {
	return code != "" && len(code) <= MaxID && !strings.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// Check refuses what no backend may keep.
func (r Registered) Check() error {
	c := rowCheck{row: "registration"}
	c.keep(CheckRegistered(r.Environment, r.Provider, r.Issuer))
	c.text("client id", r.ClientID)
	c.require("client id", r.ClientID != "", "it is missing")
	c.require("text", len(r.Sealed) <= maxSealed, "it is longer than 64 KiB")
	c.time("time", r.At)
	c.timeOrNone("expiry", r.Expires)
	return c.err
}

// CheckRegistered refuses what no registration could be for.
func CheckRegistered(environment, provider, issuer string) error {
	c := rowCheck{row: "registration"}
	c.name("environment", environment)
	c.name("provider", provider)
	c.id("issuer", issuer)
	return c.err
}
