package identity

import (
	"encoding/json"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// Document is the deployment document of trusted issuers. It comes with the
// deployment and no admin can edit it; its digest is in every audit record.
type Document struct {
	Issuers []Issuer `json:"issuers"`
	// RoleGroups lists for each role of the admin API the groups that have it.
	// Without it nobody has a role. See Roles.
	RoleGroups map[string][]string `json:"roles,omitempty"`
	// AdminAgents are the agents ("<issuer name>:<client>") through which a
	// person may administer. Without it none may act for a person there.
	AdminAgents []string `json:"admin_agents,omitempty"`
	digest      string
}

// Digest names the document's content: equal for two texts that say the same.
func (d *Document) Digest() string { return d.digest }

// Issuer is one trusted issuer. In every claim path a name is that of a top
// level claim, taken literally, unless it begins with a slash: then it is a
// JSON Pointer (RFC 6901), as in "/act/sub".
type Issuer struct {
	// Name prefixes agents and unmapped groups. a-z, 0-9, hyphen; unique.
	Name string `json:"name"`
	// Issuer is compared with iss byte by byte; a trailing slash matters.
	Issuer string `json:"issuer"`
	// Kind of principals. At a "user" issuer a token without a person behind
	// it (see Claims.Person) is that of its client, a workload.
	Kind broker.Kind `json:"kind"`
	// Environments where this issuer's tokens are good.
	Environments []string `json:"environments"`
	// Audiences, if any, replace the default audience, which is the route's
	// resource URL.
	Audiences []Audience `json:"audiences,omitempty"`
	// AdminAudiences, if any, replace the default audience of the admin API,
	// which is its URL. None of them can open a server.
	AdminAudiences []string `json:"admin_audiences,omitempty"`
	// ConnectionsAudiences, if any, replace the default audience of the API of a
	// person's own connections, which is its URL. None of them can open anything else.
	ConnectionsAudiences []string `json:"connections_audiences,omitempty"`
	// Login is how its people log in at Bindery's connect page. Without it they
	// cannot connect anything.
	Login *Login `json:"login,omitempty"`
	// Algorithms allowed, of RS, PS and ES 256, 384, 512 and EdDSA.
	Algorithms []string `json:"algorithms"`
	// TokenTypes are the typ header values accepted, whatever their case; ""
	// stands for a token without typ. Default: at+jwt, application/at+jwt, JWT.
	TokenTypes []string `json:"token_types,omitempty"`
	// MaxAge since iat, which is then required.
	MaxAge Duration `json:"max_age,omitempty"`
	// ClockSkew tolerated in exp, nbf and iat. Default 30s, at most 5m.
	ClockSkew Duration `json:"clock_skew,omitempty"`
	// KeysMaxAge is how long the last good key set serves while the issuer
	// cannot be reached. Default 24h, between 30m and 168h.
	KeysMaxAge Duration `json:"keys_max_age,omitempty"`
	// JWKSURI replaces discovery.
	JWKSURI string `json:"jwks_uri,omitempty"`
	Claims  Claims `json:"claims"`
	// Require lists claims that must hold exactly this text.
	Require map[string]string `json:"require,omitempty"`
	// EmailTrusted believes the e-mail claim without email_verified: true.
	EmailTrusted bool `json:"email_trusted,omitempty"`
	// ActTrusted believes the act claim (RFC 8693); else it is ignored.
	ActTrusted bool `json:"act_trusted,omitempty"`
	// Groups maps the issuer's group ids to names. What is not in it becomes
	// "<issuer name>:<group id>".
	Groups map[string]string `json:"groups,omitempty"`
	// Agents: "registered" takes the client software as an agent, and a
	// person's token that names none is refused; "ignored" does not. A client
	// that calls for itself at a "user" issuer is an agent in both cases.
	// Default: registered for users, ignored for workloads.
	Agents string `json:"agents,omitempty"`
	// Scopes are required of every token (scope, scp; roles too where a client
	// calls for itself) and advertised.
	Scopes []string `json:"scopes,omitempty"`
}

// Audience is one accepted aud value and the servers it opens ("*": all).
type Audience struct {
	Audience string   `json:"audience"`
	Servers  []string `json:"servers"`
}

// Claims says where things stand in the issuer's tokens.
type Claims struct {
	// Principal claims together identify the principal for good. Default: sub.
	Principal []string `json:"principal,omitempty"`
	Email     string   `json:"email,omitempty"`
	Groups    string   `json:"groups,omitempty"`
	// Agent claims: the first one present is the client. Those under /act
	// count only with ActTrusted. Default: /act/sub, client_id, azp, cid, appid.
	Agent []string `json:"agent,omitempty"`
	// Person claims are in every person's token and in no other: a token that
	// lacks one is its client's own. So is one whose sub is the client's id
	// (RFC 9068, 5), whose idtyp is "app" (Entra ID) or whose gty is
	// "client-credentials" (Auth0).
	Person []string `json:"person,omitempty"`
	// Attributes by the name that bindings use. Text claims only.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// What Agents may say.
const (
	AgentsRegistered = "registered"
	AgentsIgnored    = "ignored"
)

// Duration is written like "1h30m" and is above zero where it is written.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v <= 0 {
		return fmt.Errorf("a duration like \"30s\" or \"1h\", above zero, is expected")
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Parse reads the document strictly and reports every fault it finds at once.
// local allows plain http to loopback.
func Parse(raw []byte, local bool) (*Document, error) {
	d := &Document{}
	var f faults
	decodeStrict(raw, d, &f)
	if len(f) == 0 {
		d.setDefaults()
		d.check(local, &f)
	}
	if len(f) > 0 {
		return nil, f.err("issuer document")
	}
	canonical, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("issuer document: %w", err)
	}
	d.digest = broker.Digest("issuers", string(canonical))
	return d, nil
}

func (d *Document) setDefaults() {
	for n := range d.Issuers {
		i := &d.Issuers[n]
		defaultTo(&i.TokenTypes, "at+jwt", "application/at+jwt", "jwt")
		defaultTo(&i.Claims.Principal, "sub")
		defaultTo(&i.Claims.Agent, "/act/sub", "client_id", "azp", "cid", "appid")
		i.Login.setDefaults()
		if i.ClockSkew == 0 {
			i.ClockSkew = Duration(30 * time.Second)
		}
		if i.KeysMaxAge == 0 {
			i.KeysMaxAge = Duration(24 * time.Hour)
		}
		if i.Agents == "" && i.Kind == broker.Workload {
			i.Agents = AgentsIgnored
		} else if i.Agents == "" {
			i.Agents = AgentsRegistered
		}
	}
}

func defaultTo(list *[]string, values ...string) {
	if len(*list) == 0 {
		*list = values
	}
}
