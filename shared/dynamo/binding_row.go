package dynamo

import (
	"time"

	"bindery/shared/broker"
)

// bindingRow is a binding as it is now, or one of its versions.
type bindingRow struct {
	item
	Environment    string     `dynamodbav:"environment"`
	Server         string     `dynamodbav:"server"`
	Name           string     `dynamodbav:"name"`
	Version        int64      `dynamodbav:"version"`
	State          string     `dynamodbav:"state"`
	Principal      string     `dynamodbav:"actor_principal,omitempty"`
	Agent          string     `dynamodbav:"actor_agent,omitempty"`
	Group          string     `dynamodbav:"actor_group,omitempty"`
	AttributeName  string     `dynamodbav:"actor_attribute_name,omitempty"`
	AttributeValue string     `dynamodbav:"actor_attribute_value,omitempty"`
	Anyone         bool       `dynamodbav:"actor_anyone,omitempty"`
	Priority       int        `dynamodbav:"priority"`
	Tools          []string   `dynamodbav:"allow_tools,omitempty"`
	Prompts        []string   `dynamodbav:"allow_prompts,omitempty"`
	Resources      []string   `dynamodbav:"allow_resources,omitempty"`
	Mode           string     `dynamodbav:"mode"`
	Source         string     `dynamodbav:"source"`
	Fields         []fieldRow `dynamodbav:"fields,omitempty"`
	Provider       string     `dynamodbav:"provider,omitempty"`
	Scopes         []string   `dynamodbav:"scopes,omitempty"`
	Audience       string     `dynamodbav:"audience,omitempty"`
	Owner          string     `dynamodbav:"owner,omitempty"`
	Origin         string     `dynamodbav:"origin,omitempty"`
	Expires        *string    `dynamodbav:"expires"` // always there: its absence must not read as "never"
	MaxAge         int64      `dynamodbav:"max_age_ns,omitempty"`
}

type fieldRow struct {
	Name      string `dynamodbav:"name"`
	Reference string `dynamodbav:"reference"`
}

func routeOf(b broker.Binding) broker.Route {
	return broker.Route{Environment: b.Environment, Server: b.Server}
}

// currentKey is where the binding is if it is the current version.
func currentKey(b broker.Binding) key { return bindingKey(routeOf(b), b.Actor.Principal, b.Name) }

func historyKey(b broker.Binding) key { return versionKey(routeOf(b), b.Name, b.Version) }

func newBindingRow(b broker.Binding, at key) bindingRow {
	expires := stamp(b.Expires)
	r := bindingRow{item: at.item(),
		Environment: b.Environment, Server: b.Server, Name: b.Name, Version: b.Version, State: string(b.State),
		Principal: b.Actor.Principal, Agent: b.Actor.Agent, Group: b.Actor.Group,
		AttributeName: b.Actor.Attribute.Name, AttributeValue: b.Actor.Attribute.Value, Anyone: b.Actor.Anyone,
		Priority: b.Priority, Tools: b.Allow.Tools, Prompts: b.Allow.Prompts, Resources: b.Allow.Resources,
		Mode: string(b.Mode), Source: string(b.Source), Provider: b.Provider, Scopes: b.Scopes, Audience: b.Audience,
		Owner: b.Owner, Origin: b.Origin, Expires: &expires, MaxAge: int64(b.MaxAge)}
	for _, f := range b.Fields {
		r.Fields = append(r.Fields, fieldRow{f.Name, f.Reference.String()})
	}
	return r
}

func (r bindingRow) value() (broker.Binding, error) {
	b := broker.Binding{
		Environment: r.Environment, Server: r.Server, Name: r.Name, Version: r.Version, State: broker.State(r.State),
		Actor: broker.Actor{Principal: r.Principal, Agent: r.Agent, Group: r.Group,
			Attribute: broker.Attribute{Name: r.AttributeName, Value: r.AttributeValue}, Anyone: r.Anyone},
		Priority: r.Priority, Allow: broker.Allow{Tools: r.Tools, Prompts: r.Prompts, Resources: r.Resources},
		Mode: broker.Mode(r.Mode), Source: broker.SourceKind(r.Source), Provider: r.Provider, Scopes: r.Scopes, Audience: r.Audience,
		Owner: r.Owner, Origin: r.Origin, MaxAge: time.Duration(r.MaxAge)}
	for _, f := range r.Fields {
		reference, err := broker.StoredReference(f.Reference)
		if err != nil {
			return b, err
		}
		b.Fields = append(b.Fields, broker.Field{Name: f.Name, Reference: reference})
	}
	if r.Expires == nil {
		return versioned(b, 0)
	}
	var err error
	if b.Expires, err = parseStamp(*r.Expires); err != nil {
		return b, err
	}
	return versioned(b, b.Version)
}

// headRow claims a binding's name for ever and says where its current version is.
type headRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Server      string `dynamodbav:"server"`
	Name        string `dynamodbav:"name"`
	Version     int64  `dynamodbav:"version"`
	State       string `dynamodbav:"state"`
	Principal   string `dynamodbav:"actor_principal,omitempty"`
}

// head is the decoded headRow.
type head struct {
	environment, server, name string
	version                   int64
	state                     broker.State
	principal                 string
}

func newHeadRow(b broker.Binding) headRow {
	return headRow{headKey(routeOf(b), b.Name).item(), b.Environment, b.Server, b.Name, b.Version, string(b.State), b.Actor.Principal}
}

func (r headRow) value() (head, error) {
	return versioned(head{r.Environment, r.Server, r.Name, r.Version, broker.State(r.State), r.Principal}, r.Version)
}

// Check leaves nothing to check: the key says all that matters.
func (h head) Check() error { return nil }

func decodeHead(a attributes) (head, error) { return decode(a, headRow.value, head.key) }

func decodeCurrent(a attributes) (broker.Binding, error) {
	return decode(a, bindingRow.value, currentKey)
}

func (h head) key() key {
	return headKey(broker.Route{Environment: h.environment, Server: h.server}, h.name)
}
