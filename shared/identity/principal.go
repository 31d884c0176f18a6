package identity

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"bindery/shared/broker"
)

// PrincipalID is the id of a person or workload of this issuer, given the
// values of its principal claims in the document's order.
func (i *Issuer) PrincipalID(values ...string) string {
	return broker.PrincipalID(i.Issuer, strings.Join(values, "\x00")) // no claim holds a control character
}

// PrincipalOf is the id of a person or workload, given the name or URL of a
// trusted issuer and the values of its principal claims in the document's order:
// the one that their tokens lead to.
func (d *Document) PrincipalOf(issuer string, values []string) (string, error) {
	i := slices.IndexFunc(d.Issuers, func(i Issuer) bool { return i.Name == issuer || i.Issuer == issuer })
	if i < 0 {
		return "", fmt.Errorf("%w issuer: none of that name or URL is trusted", broker.ErrInvalid)
	}
	if need := max(1, len(d.Issuers[i].Claims.Principal)); len(values) != need {
		return "", fmt.Errorf("%w claims: the issuer identifies people by %d", broker.ErrInvalid, need)
	}
	for _, v := range values {
		if v == "" || strings.ContainsFunc(v, unicode.IsControl) {
			return "", fmt.Errorf("%w claims: none is empty or has control characters", broker.ErrInvalid)
		}
	}
	return d.Issuers[i].PrincipalID(values...), nil
}

// IssuerOf is the identifier of a trusted issuer, given its name or URL.
func (d *Document) IssuerOf(nameOrURL string) (string, error) {
	i := slices.IndexFunc(d.Issuers, func(i Issuer) bool { return i.Name == nameOrURL || i.Issuer == nameOrURL })
	if i < 0 {
		return "", fmt.Errorf("%w issuer: none of that name or URL is trusted", broker.ErrInvalid)
	}
	return d.Issuers[i].Issuer, nil
}

// CheckGroup says whether a principal of some issuer can have the group.
func (d *Document) CheckGroup(name string) error {
	if !d.gives(name) {
		return fmt.Errorf("%w group: no issuer gives it; a group is a name from an issuer's table, or <issuer name>:<group id>", broker.ErrInvalid)
	}
	return nil
}

// ClientID is the principal id of a client of this issuer that calls for
// itself. It can never be that of a person: no claim begins with a control
// character.
func (i *Issuer) ClientID(client string) string {
	return broker.PrincipalID(i.Issuer, "\x00client\x00"+client)
}

// AgentID names a client of this issuer as an agent.
func (i *Issuer) AgentID(client string) string { return i.Name + ":" + client }

// principal reads who calls from verified claims.
func (t *trusted) principal(c *claimSet) (broker.Principal, error) {
	p := broker.Principal{Kind: t.Kind, Issuer: t.Issuer.Issuer, Expires: t.expires(c)}
	var err error
	if p.Subject, err = c.text(path{"sub"}); err != nil {
		return p, err
	}
	if p.Subject == "" {
		return p, invalid(ClaimMissing)
	}
	client, err := c.first(t.clients)
	if err != nil {
		return p, err
	}
	own := t.ownToken(c, p.Subject, client)
	if own && t.Kind == broker.User {
		p.Kind, p.AgentOnly = broker.Workload, true
		p.ID, p.Agent = t.ClientID(client), t.AgentID(client)
		if client == "" {
			return p, invalid(AgentMissing)
		}
	} else if err := t.identify(c, client, &p); err != nil {
		return p, err
	}
	if len(p.Agent) > broker.MaxID {
		return p, invalid(ClaimMalformed) // no record could hold it
	}
	if err := t.describe(c, own, &p); err != nil {
		return p, err
	}
	for _, scope := range t.Scopes {
		if !slices.Contains(c.scopes(own), scope) {
			return p, &fault{ErrInsufficientScope, ScopeMissing}
		}
	}
	return p, nil
}

// ownToken tells a client's own token from that of a person.
func (t *trusted) ownToken(c *claimSet, subject, client string) bool {
	if t.Kind == broker.Workload || client != "" && subject == client ||
		c.MapClaims["idtyp"] == "app" || c.MapClaims["gty"] == "client-credentials" {
		return true
	}
	return slices.ContainsFunc(t.person, func(p path) bool {
		v := c.lookup(p)
		return v == nil || v == any("")
	})
}

// personID is the principal id that the principal claims make.
func (t *trusted) personID(c *claimSet) (string, error) {
	values := make([]string, len(t.principals))
	for n, path := range t.principals {
		v, err := c.text(path)
		if err != nil {
			return "", err
		}
		if v == "" {
			return "", invalid(ClaimMissing)
		}
		values[n] = v
	}
	return t.PrincipalID(values...), nil
}

// identify takes the principal claims and the agent.
func (t *trusted) identify(c *claimSet, client string, p *broker.Principal) error {
	var err error
	if p.ID, err = t.personID(c); err != nil {
		return err
	}
	if t.Agents == AgentsIgnored {
		return nil
	}
	actor, err := c.first(t.actors)
	if err != nil {
		return err
	}
	if actor == "" {
		actor = client
	}
	if actor == "" {
		return invalid(AgentMissing)
	}
	p.Agent, p.AgentOnly = t.AgentID(actor), t.Kind == broker.Workload
	return nil
}

// describe takes e-mail, groups and attributes.
func (t *trusted) describe(c *claimSet, own bool, p *broker.Principal) error {
	if !own || t.Kind == broker.Workload {
		p.Email = t.believedEmail(c)
	}
	for name, path := range t.attributes {
		v, err := c.text(path)
		if err != nil {
			return err
		}
		if v != "" {
			if p.Attributes == nil {
				p.Attributes = map[string]string{}
			}
			p.Attributes[name] = v
		}
	}
	if t.groups == nil {
		return nil
	}
	if overage(c, t.Claims.Groups) {
		return invalid(GroupsOverage)
	}
	raw, err := c.texts(t.groups, maxGroups)
	if err != nil {
		return err
	}
	for _, id := range raw {
		name, mapped := t.Issuer.Groups[id]
		if !mapped {
			name = t.Name + ":" + id
		}
		if !slices.Contains(p.Groups, name) {
			p.Groups = append(p.Groups, name)
		}
	}
	return nil
}

// believedEmail gives the e-mail where the issuer is believed for it, or says
// that it has verified it.
func (t *trusted) believedEmail(c *claimSet) string {
	if t.email == nil || !t.EmailTrusted && c.MapClaims["email_verified"] != true {
		return ""
	}
	if s, err := c.text(t.email); err == nil && isEmail(s) {
		return s
	}
	return ""
}

// isEmail is a plausibility check: whoever needs more asks the issuer.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && !strings.Contains(domain, "@") && !strings.ContainsAny(s, " ,;<>\"")
}

// overage is how Entra ID says that a person has more groups than fit: the
// groups are elsewhere (_claim_names, OpenID Connect Core 5.6.2) or only their
// existence is told (hasgroups). Reading that as "no groups" would let a card
// for everyone win over one that was made for a group.
func overage(c *claimSet, groups string) bool {
	if flag, ok := c.MapClaims["hasgroups"]; ok && flag != false {
		return true
	}
	names, ok := c.MapClaims["_claim_names"]
	if !ok {
		return false
	}
	sources, ok := names.(map[string]any)
	_, elsewhere := sources[strings.TrimPrefix(groups, "/")]
	return !ok || elsewhere
}
