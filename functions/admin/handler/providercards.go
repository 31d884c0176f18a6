package handler

import (
	"fmt"
	"time"

	"bindery/shared/broker"
)

// ProviderBody registers an authorization server that issues tokens for
// upstreams, and says how Bindery is a client there. It never holds a secret.
type ProviderBody struct {
	Issuer       string     `json:"issuer,omitempty" format:"uri" maxLength:"256" doc:"Its issuer identifier; its metadata are read there. Absent: endpoints say it all, or the upstream's own metadata name it"`
	Endpoints    *Endpoints `json:"endpoints,omitempty" doc:"Of a provider without metadata"`
	Registration string     `json:"registration" enum:"preregistered,metadata_document,dynamic" doc:"How Bindery is registered there: by an administrator, by a document that Bindery serves, or by itself"`
	ClientID     string     `json:"client_id,omitempty" maxLength:"2048" doc:"Of preregistered, and only there"`
	ClientSecret string     `json:"client_secret,omitempty" maxLength:"1024" doc:"Reference of the client's secret" example:"aws-sm:prod/clients/acme#secret"`
	ClientAuth   string     `json:"client_auth" enum:"none,client_secret_basic,client_secret_post,private_key_jwt" doc:"How Bindery authenticates at the token endpoint"`
	SigningKey   string     `json:"signing_key,omitempty" maxLength:"2048" doc:"ARN of the KMS key that signs for private_key_jwt"`
	Quirks       *Quirks    `json:"quirks,omitempty" doc:"Where it differs from the specifications"`
	Networks     []string   `json:"networks,omitempty" maxItems:"16" doc:"Private ranges opened for it (CIDR); super_admin only"`
	State        string     `json:"state" enum:"active,suspended" doc:"A suspended provider issues nothing, whatever bindings name it"`
}

// Endpoints are the addresses of a provider without metadata.
type Endpoints struct {
	Authorization string `json:"authorization" format:"uri" maxLength:"2048"`
	Token         string `json:"token" format:"uri" maxLength:"2048"`
	Revocation    string `json:"revocation,omitempty" format:"uri" maxLength:"2048"`
}

// Quirks say where a provider differs from the specifications.
type Quirks struct {
	Parameters             []Parameter `json:"authorization_parameters,omitempty" maxItems:"32" doc:"Added to the authorization request; none that the protocol uses itself"`
	ScopeSeparator         string      `json:"scope_separator,omitempty" maxLength:"1" doc:"Between scopes in requests; a space unless told"`
	GrantedSeparator       string      `json:"granted_separator,omitempty" maxLength:"1" doc:"Between scopes in answers; as in requests unless told"`
	ImpliedScopes          []string    `json:"implied_scopes,omitempty" maxItems:"64" doc:"Scopes that it grants besides those asked for, or by another name; any other is refused"`
	NoResource             bool        `json:"no_resource,omitempty" doc:"It refuses the resource parameter (RFC 8707)"`
	NoScopeOnRefresh       bool        `json:"no_scope_on_refresh,omitempty" doc:"It refuses scopes in a refresh"`
	NoTokenType            bool        `json:"no_token_type,omitempty" doc:"Its answers have no token_type"`
	DeadCodes              []string    `json:"dead_codes,omitempty" maxItems:"16" doc:"Further error codes that mean invalid_grant: the person is asked again"`
	AssertionAudience      string      `json:"assertion_audience,omitempty" maxLength:"2048" doc:"Of private_key_jwt; the issuer unless told, or the token endpoint if there is none"`
	AccessTokenLifeSeconds int         `json:"access_token_life_seconds,omitempty" minimum:"0" maximum:"31536000" doc:"Where its answers have no expires_in; 0: an hour"`
}

// Parameter is one parameter of an authorization request.
type Parameter struct {
	Name  string `json:"name" minLength:"1" maxLength:"128" example:"access_type"`
	Value string `json:"value" maxLength:"1024" example:"offline"`
}

// ProviderView is a provider as it is read.
type ProviderView struct {
	Name        string `json:"name" doc:"What bindings call it"`
	Environment string `json:"environment"`
	Version     int64  `json:"version"`
	ProviderBody
}

func (b ProviderBody) row(environment, name string, version int64) (p broker.Provider, err error) {
	p = broker.Provider{Environment: environment, Name: name, Version: version, State: broker.State(b.State), Issuer: b.Issuer,
		Registration: broker.RegistrationKind(b.Registration), ClientID: b.ClientID, ClientAuth: broker.ClientAuth(b.ClientAuth), SigningKey: b.SigningKey}
	if e := b.Endpoints; e != nil {
		p.Endpoints = broker.Endpoints{Authorization: e.Authorization, Token: e.Token, Revocation: e.Revocation}
	}
	if b.ClientSecret != "" {
		if p.ClientSecret, err = broker.ParseReference(b.ClientSecret); err != nil {
			return p, fmt.Errorf("client_secret: it does not parse as a reference, and is never taken literally: %w", err)
		}
	}
	if p.Quirks, err = b.Quirks.row(); err != nil {
		return p, err
	}
	p.Networks, err = networks(b.Networks)
	return p, err
}

func (q *Quirks) row() (r broker.Quirks, err error) {
	if q == nil {
		return r, nil
	}
	r = broker.Quirks{ScopeSeparator: q.ScopeSeparator, GrantedSeparator: q.GrantedSeparator, ImpliedScopes: q.ImpliedScopes, NoResource: q.NoResource,
		NoScopeOnRefresh: q.NoScopeOnRefresh, NoTokenType: q.NoTokenType, DeadCodes: q.DeadCodes, AssertionAudience: q.AssertionAudience,
		AccessTokenLife: time.Duration(q.AccessTokenLifeSeconds) * time.Second}
	for _, p := range q.Parameters {
		if _, twice := r.AuthorizationParameters[p.Name]; twice {
			return r, fmt.Errorf("%w authorization_parameters: one name stands twice", broker.ErrInvalid)
		}
		if r.AuthorizationParameters == nil {
			r.AuthorizationParameters = map[string]string{}
		}
		r.AuthorizationParameters[p.Name] = p.Value
	}
	return r, nil
}

func viewProvider(p broker.Provider) ProviderView {
	v := ProviderView{Name: p.Name, Environment: p.Environment, Version: p.Version, ProviderBody: ProviderBody{Issuer: p.Issuer,
		Registration: string(p.Registration), ClientID: p.ClientID, ClientAuth: string(p.ClientAuth), SigningKey: p.SigningKey,
		Quirks: viewQuirks(p.Quirks), State: string(p.State)}}
	if e := p.Endpoints; e != (broker.Endpoints{}) {
		v.Endpoints = &Endpoints{Authorization: e.Authorization, Token: e.Token, Revocation: e.Revocation}
	}
	if !p.ClientSecret.IsZero() {
		v.ClientSecret = p.ClientSecret.String()
	}
	for _, n := range p.Networks {
		v.Networks = append(v.Networks, n.String())
	}
	return v
}

// viewQuirks gives nothing where there are none.
func viewQuirks(q broker.Quirks) *Quirks {
	v := &Quirks{ScopeSeparator: q.ScopeSeparator, GrantedSeparator: q.GrantedSeparator, ImpliedScopes: q.ImpliedScopes, NoResource: q.NoResource,
		NoScopeOnRefresh: q.NoScopeOnRefresh, NoTokenType: q.NoTokenType, DeadCodes: q.DeadCodes, AssertionAudience: q.AssertionAudience,
		AccessTokenLifeSeconds: int(q.AccessTokenLife / time.Second)}
	for _, name := range sortedKeys(q.AuthorizationParameters) {
		v.Parameters = append(v.Parameters, Parameter{name, q.AuthorizationParameters[name]})
	}
	if len(members(v)) == 0 {
		return nil
	}
	return v
}
