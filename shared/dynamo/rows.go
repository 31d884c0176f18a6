package dynamo

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"

	"bindery/shared/broker"
)

// item is what every row begins with.
type item struct {
	PK     string `dynamodbav:"pk"`
	SK     string `dynamodbav:"sk"`
	Schema int    `dynamodbav:"schema"`
}

func (k key) item() item { return item{PK: k.pk, SK: k.sk, Schema: schema} }

func (i item) begin() item { return i }

// decode reads an item into a row, makes of it what it stands for, and holds
// the result to its own rules and to the key it was found under: a row that
// was copied to another place, by whatever means, is not read.
func decode[R interface{ begin() item }, T interface{ Check() error }](a attributes, value func(R) (T, error), at func(T) key) (T, error) {
	var row R
	var none T
	if err := attributevalue.UnmarshalMap(a, &row); err != nil {
		return none, fmt.Errorf("%w: an attribute has the wrong type", broker.ErrUndecodable)
	}
	i := row.begin()
	if i.Schema != schema {
		return none, fmt.Errorf("%w: schema %d is unknown", broker.ErrUndecodable, i.Schema)
	}
	v, err := value(row)
	if err != nil {
		return none, fmt.Errorf("%w: %w", broker.ErrUndecodable, err)
	}
	if err := v.Check(); err != nil {
		return none, fmt.Errorf("%w: %w", broker.ErrUndecodable, err)
	}
	if at(v) != (key{i.PK, i.SK}) {
		return none, fmt.Errorf("%w: it belongs to another key", broker.ErrUndecodable)
	}
	return v, nil
}

// versioned refuses a stored row without a version.
func versioned[T any](v T, version int64) (T, error) {
	if version < 1 {
		return v, fmt.Errorf("%w version: it is missing", broker.ErrInvalid)
	}
	return v, nil
}

// stampForm has fixed width, so that times compare as text.
const stampForm = "2006-01-02T15:04:05.000000000Z"

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stampForm)
}

func parseStamp(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(stampForm, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w time", broker.ErrInvalid)
	}
	return t, nil
}

type environmentRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Version     int64  `dynamodbav:"version"`
	State       string `dynamodbav:"state"`
	Policies    string `dynamodbav:"policies,omitempty"`
	Shadow      string `dynamodbav:"shadow,omitempty"`
}

func newEnvironmentRow(e broker.Environment, shard int) environmentRow {
	return environmentRow{environmentKey(e.Name, shard).item(), e.Name, e.Version, string(e.State), e.Policies, e.Shadow}
}

func (r environmentRow) value() (broker.Environment, error) {
	return versioned(broker.Environment{Name: r.Environment, Version: r.Version, State: broker.State(r.State),
		Policies: r.Policies, Shadow: r.Shadow}, r.Version)
}

type storeRow struct {
	item
	Environment string   `dynamodbav:"environment"`
	Name        string   `dynamodbav:"name"`
	Kind        string   `dynamodbav:"kind"`
	Paths       []string `dynamodbav:"paths"`
	Version     int64    `dynamodbav:"version"`
	State       string   `dynamodbav:"state"`
	Address     string   `dynamodbav:"address,omitempty"`
	Namespace   string   `dynamodbav:"namespace,omitempty"`
	Networks    []string `dynamodbav:"networks,omitempty"`
	Method      string   `dynamodbav:"auth_method,omitempty"`
	Mount       string   `dynamodbav:"auth_mount,omitempty"`
	Role        string   `dynamodbav:"auth_role,omitempty"`
	Credential  string   `dynamodbav:"auth_credential,omitempty"`
	ServerID    string   `dynamodbav:"auth_server_id,omitempty"`
	MaxValueAge int64    `dynamodbav:"max_value_age,omitempty"` // seconds
}

func newStoreRow(v broker.Store, shard int) storeRow {
	return storeRow{storeKey(v.Environment, v.Name, shard).item(), v.Environment, v.Name, v.Kind, v.Paths, v.Version, string(v.State),
		v.Address, v.Namespace, networkTexts(v.Networks),
		string(v.Auth.Method), v.Auth.Mount, v.Auth.Role, v.Auth.Credential.String(), v.Auth.ServerID,
		int64(v.MaxValueAge / time.Second)}
}

func (r storeRow) value() (broker.Store, error) {
	v := broker.Store{Environment: r.Environment, Name: r.Name, Kind: r.Kind, Paths: r.Paths, Version: r.Version, State: broker.State(r.State),
		Address: r.Address, Namespace: r.Namespace, MaxValueAge: time.Duration(r.MaxValueAge) * time.Second,
		Auth: broker.StoreAuth{Method: broker.AuthMethod(r.Method), Mount: r.Mount, Role: r.Role, ServerID: r.ServerID}}
	var err error
	if v.Networks, err = parseNetworks(r.Networks); err != nil {
		return v, err
	}
	if r.Credential != "" {
		if v.Auth.Credential, err = broker.StoredReference(r.Credential); err != nil {
			return v, err
		}
	}
	return versioned(v, v.Version)
}

func networkTexts(networks []netip.Prefix) []string {
	var texts []string
	for _, n := range networks {
		texts = append(texts, n.String())
	}
	return texts
}

func parseNetworks(texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range texts {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%w network", broker.ErrInvalid)
		}
		networks = append(networks, n)
	}
	return networks, nil
}

type serverRow struct {
	item
	Environment string           `dynamodbav:"environment"`
	Name        string           `dynamodbav:"name"`
	Version     int64            `dynamodbav:"version"`
	State       string           `dynamodbav:"state"`
	Owner       string           `dynamodbav:"owner,omitempty"`
	Description string           `dynamodbav:"description,omitempty"`
	URL         string           `dynamodbav:"url"`
	Attach      []attachmentRow  `dynamodbav:"attach,omitempty"`
	Propagate   []propagationRow `dynamodbav:"propagate,omitempty"`
	Networks    []string         `dynamodbav:"networks,omitempty"`
	Timeout     time.Duration    `dynamodbav:"timeout_ns,omitempty"`
	Proposer    string           `dynamodbav:"proposer,omitempty"`
	limitsRow
}

// limitsRow is part of the rows of servers and agents. What is not there is
// zero: no limit of its own.
type limitsRow struct {
	CallsPerMinute int   `dynamodbav:"calls_per_minute,omitempty"`
	Streams        int   `dynamodbav:"streams,omitempty"`
	RequestBytes   int64 `dynamodbav:"request_bytes,omitempty"`
	AnswerBytes    int64 `dynamodbav:"answer_bytes,omitempty"`
}

type attachmentRow struct {
	In       broker.Placement `dynamodbav:"in"`
	Name     string           `dynamodbav:"name,omitempty"`
	Template string           `dynamodbav:"template"`
}

type propagationRow struct {
	Attribute string `dynamodbav:"attribute"`
	Header    string `dynamodbav:"header"`
}

func newServerRow(v broker.Server) serverRow {
	r := serverRow{item: serverKey(broker.Route{Environment: v.Environment, Server: v.Name}).item(),
		Environment: v.Environment, Name: v.Name, Version: v.Version, State: string(v.State),
		Owner: v.Owner, Description: v.Description, URL: v.URL, Networks: networkTexts(v.Networks), Timeout: v.Timeout, Proposer: v.Proposer,
		limitsRow: limitsRow(v.Limits)}
	for _, a := range v.Attach {
		r.Attach = append(r.Attach, attachmentRow(a))
	}
	for _, p := range v.Propagate {
		r.Propagate = append(r.Propagate, propagationRow(p))
	}
	return r
}

func (r serverRow) value() (broker.Server, error) {
	v := broker.Server{Environment: r.Environment, Name: r.Name, Version: r.Version, State: broker.State(r.State),
		Owner: r.Owner, Description: r.Description, URL: r.URL, Timeout: r.Timeout, Proposer: r.Proposer,
		Limits: broker.Limits(r.limitsRow)}
	for _, a := range r.Attach {
		v.Attach = append(v.Attach, broker.Attachment(a))
	}
	for _, p := range r.Propagate {
		v.Propagate = append(v.Propagate, broker.Propagation(p))
	}
	var err error
	if v.Networks, err = parseNetworks(r.Networks); err != nil {
		return v, err
	}
	return versioned(v, v.Version)
}

type agentRow struct {
	item
	Environment string `dynamodbav:"environment"`
	ID          string `dynamodbav:"id"`
	Version     int64  `dynamodbav:"version"`
	State       string `dynamodbav:"state"`
	Team        string `dynamodbav:"team,omitempty"`
	Ceiling     int    `dynamodbav:"ceiling"`
	limitsRow
}

func newAgentRow(v broker.Agent) agentRow {
	return agentRow{agentKey(v.Environment, v.ID).item(), v.Environment, v.ID, v.Version, string(v.State), v.Team, int(v.Ceiling), limitsRow(v.Limits)}
}

func (r agentRow) value() (broker.Agent, error) {
	return versioned(broker.Agent{Environment: r.Environment, ID: r.ID, Version: r.Version, State: broker.State(r.State),
		Team: r.Team, Ceiling: broker.Risk(r.Ceiling), Limits: broker.Limits(r.limitsRow)}, r.Version)
}

type toolRow struct {
	item
	Environment string   `dynamodbav:"environment"`
	Server      string   `dynamodbav:"server"`
	Name        string   `dynamodbav:"name"`
	Version     int64    `dynamodbav:"version"`
	State       string   `dynamodbav:"state"`
	Owner       string   `dynamodbav:"owner,omitempty"`
	Risk        int      `dynamodbav:"risk"`
	Teams       []string `dynamodbav:"teams,omitempty"`
}

func newToolRow(v broker.Tool) toolRow {
	k := toolKey(broker.Route{Environment: v.Environment, Server: v.Server}, v.Name)
	return toolRow{k.item(), v.Environment, v.Server, v.Name, v.Version, string(v.State), v.Owner, int(v.Risk), v.Teams}
}

func (r toolRow) value() (broker.Tool, error) {
	return versioned(broker.Tool{Environment: r.Environment, Server: r.Server, Name: r.Name, Version: r.Version,
		State: broker.State(r.State), Owner: r.Owner, Risk: broker.Risk(r.Risk), Teams: r.Teams}, r.Version)
}

type markerRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Kind        string `dynamodbav:"kind"`
	ID          string `dynamodbav:"id"`
	Epoch       int64  `dynamodbav:"epoch"`
	Revoked     *bool  `dynamodbav:"revoked"` // its absence must not read as "not revoked"
	At          string `dynamodbav:"at"`
	By          string `dynamodbav:"by,omitempty"`
	Reason      string `dynamodbav:"reason,omitempty"`
	Revocation  string `dynamodbav:"revocation,omitempty"`
}

func newMarkerRow(m broker.Marker) markerRow {
	return markerRow{markerKey(m.Environment, m.Key()).item(), m.Environment, string(m.Kind), m.ID, m.Epoch,
		&m.Revoked, stamp(m.At), m.By, m.Reason, m.Revocation}
}

func (r markerRow) value() (broker.Marker, error) {
	at, err := parseStamp(r.At)
	if err != nil || r.Revoked == nil {
		return broker.Marker{}, fmt.Errorf("%w marker: an attribute is missing", broker.ErrInvalid)
	}
	return broker.Marker{Environment: r.Environment, Kind: broker.MarkerKind(r.Kind), ID: r.ID, Epoch: r.Epoch,
		Revoked: *r.Revoked, At: at, By: r.By, Reason: r.Reason, Revocation: r.Revocation}, nil
}
