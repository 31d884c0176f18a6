package broker_test

import (
	"context"
	"testing"
	"time"

	"bindery/shared/broker"
)

func user(id string) broker.Actor   { return broker.Actor{Principal: id} }
func group(id string) broker.Actor  { return broker.Actor{Group: id} }
func agent(id string) broker.Actor  { return broker.Actor{Agent: id} }
func suspended(b *broker.Binding)   { b.State = broker.Suspended }
func agentScoped(b *broker.Binding) { b.Mode = broker.AgentScoped }

func TestMostSpecificActorWins(t *testing.T) {
	caller := viaAgent(alice, "corp:bot", false)
	caller.Kind = broker.Workload // so that the attribute rank takes part
	caller.Attributes = map[string]string{"service": "ci"}
	order := []broker.Binding{
		card(t, "user-agent", broker.Actor{Principal: "p-alice", Agent: "corp:bot"}),
		card(t, "user", user("p-alice")),
		card(t, "agent", agent("corp:bot")),
		card(t, "group", group("ops")),
		card(t, "attribute", broker.Actor{Attribute: broker.Attribute{Name: "service", Value: "ci"}}),
		card(t, "anyone", broker.Actor{Anyone: true}),
	}
	for i := range order {
		w := newWorld()
		w.snapshot.Agent = &broker.Agent{ID: "corp:bot", State: broker.Active, Ceiling: broker.Critical}
		for j := len(order) - 1; j >= i; j-- {
			w.snapshot.Shared = append(w.snapshot.Shared, order[j])
		}
		d, err := w.broker().Decide(context.Background(), call(caller))
		if err != nil {
			t.Fatalf("%s: %v", order[i].Name, err)
		}
		if d.Binding.Name != order[i].Name {
			t.Errorf("chose %s, want %s", d.Binding.Name, order[i].Name)
		}
		if len(d.Candidates) != len(order)-i {
			t.Errorf("%d candidates recorded, want %d", len(d.Candidates), len(order)-i)
		}
	}
}

func TestSelection(t *testing.T) {
	high := func(b *broker.Binding) { b.Priority = 10 }
	cases := map[string]struct {
		bindings []broker.Binding
		name     string
		caller   broker.Principal
		want     string
		reason   broker.Reason
	}{
		"priority breaks a tie":                            {bindings: []broker.Binding{card(t, "a", group("dev")), card(t, "b", group("ops"), high)}, want: "b"},
		"a tie that remains is refused":                    {bindings: []broker.Binding{card(t, "a", group("dev")), card(t, "b", group("ops"))}, reason: broker.BindingTie},
		"a caller names one of two of their own":           {bindings: []broker.Binding{card(t, "a", user("p-alice")), card(t, "b", user("p-alice"))}, name: "b", want: "b"},
		"naming somebody else's binding":                   {bindings: []broker.Binding{card(t, "a", user("p-alice")), card(t, "b", user("p-bob"))}, name: "b", reason: broker.NotOwnBinding},
		"naming a binding that does not exist":             {bindings: []broker.Binding{card(t, "a", user("p-alice"))}, name: "zzz", reason: broker.NotOwnBinding},
		"no binding at all":                                {reason: broker.NoBinding},
		"no binding at all, naming one":                    {name: "a", reason: broker.NotOwnBinding},
		"suspended higher rank never falls to a wider one": {bindings: []broker.Binding{card(t, "a", user("p-alice"), suspended), card(t, "b", group("dev"))}, reason: broker.BindingClosed},
		"naming cannot reach below a dead card":            {bindings: []broker.Binding{card(t, "a", user("p-alice"), suspended), card(t, "b", group("dev"))}, name: "b", reason: broker.BindingClosed},
		"naming may reach below a living card":             {bindings: []broker.Binding{card(t, "a", user("p-alice")), card(t, "b", group("dev"))}, name: "b", want: "b"},
		"expired":                                          {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Expires = start })}, reason: broker.BindingExpired},
		"not yet expired":                                  {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Expires = start.Add(time.Second) })}, want: "a"},
		"revoked":                                          {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.State = broker.Revoked })}, reason: broker.BindingClosed},
		"a tombstone is no candidate":                      {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.State = broker.Deleted }), card(t, "b", group("dev"))}, want: "b"},
		"a binding for another tool is none":               {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Allow.Tools = []string{"other"} }), card(t, "b", group("dev"))}, want: "b"},
		"origin changed makes it pending":                  {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Origin = "other" })}, reason: broker.BindingPending},
		"group names differ by case":                       {bindings: []broker.Binding{card(t, "a", group("DEV"))}, reason: broker.NoBinding},
		"an attribute binding is not for persons":          {bindings: []broker.Binding{card(t, "a", broker.Actor{Attribute: broker.Attribute{Name: "service", Value: ""}})}, reason: broker.NoBinding},
		"an empty actor covers nobody":                     {bindings: []broker.Binding{card(t, "a", broker.Actor{})}, reason: broker.NoBinding},
		"reference outside the store's scope":              {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Fields[0].Reference = reference(t, "aws-sm:staging/github#token") })}, reason: broker.ReferenceOutside},
		"reference into an unregistered store":             {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Fields[0].Reference = reference(t, "vault:prod/github#token") })}, reason: broker.StoreUnregistered},
		"a field without reference":                        {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Fields = nil })}, reason: broker.FieldsIncomplete},
		"an unknown credential mode":                       {bindings: []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Mode = "borrowed" })}, reason: broker.ModeUnknown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.snapshot.Shared = c.bindings
			w.obtain = nil // no secret may be touched
			request := call(alice)
			request.BindingName = c.name
			d, err := w.broker().Decide(context.Background(), request)
			if c.reason != "" {
				wantReason(t, err, c.reason)
				if got := w.phases(); got != "refusal:"+string(c.reason)+" " {
					t.Errorf("recorded %q", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d.Binding.Name != c.want {
				t.Errorf("chose %s, want %s", d.Binding.Name, c.want)
			}
		})
	}
}

func TestLiveness(t *testing.T) {
	cases := map[string]struct {
		change func(*world)
		reason broker.Reason
	}{
		"no environment row":    {func(w *world) { w.snapshot.Environment = nil }, broker.EnvironmentClosed},
		"environment suspended": {func(w *world) { w.snapshot.Environment.State = broker.Suspended }, broker.EnvironmentClosed},
		"another environment":   {func(w *world) { w.snapshot.Environment.Name = "staging" }, broker.EnvironmentClosed},
		"no server row":         {func(w *world) { w.snapshot.Server = nil }, broker.ServerUnknown},
		"server deleted":        {func(w *world) { w.snapshot.Server.State = broker.Deleted }, broker.ServerUnknown},
		"server pending":        {func(w *world) { w.snapshot.Server.State = broker.Pending }, broker.ServerClosed},
		"server moved":          {func(w *world) { w.snapshot.Server.URL = "https://evil.example.net/mcp" }, broker.BindingPending},
		"principal revoked": {func(w *world) {
			w.snapshot.Markers = []broker.Marker{{Kind: broker.PrincipalMarker, ID: alice.ID, Revoked: true}}
		}, broker.PrincipalRevoked},
		"tool suspended":         {func(w *world) { w.snapshot.Tool = &broker.Tool{State: broker.Suspended} }, broker.ToolClosed},
		"catalogue not readable": {func(w *world) { w.readErr = broker.ErrUnavailable }, broker.CatalogueUnread},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"))}
			c.change(w)
			_, err := w.broker().Decide(context.Background(), call(alice))
			wantReason(t, err, c.reason)
		})
	}
	t.Run("un-revoked by a later epoch", func(t *testing.T) {
		w := newWorld()
		w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"))}
		w.snapshot.Markers = []broker.Marker{{Kind: broker.PrincipalMarker, Epoch: 2}}
		if _, err := w.broker().Decide(context.Background(), call(alice)); err != nil {
			t.Error(err)
		}
	})
}

func TestAgents(t *testing.T) {
	tool := func(r broker.Risk, teams ...string) *broker.Tool {
		return &broker.Tool{Name: "create_issue", State: broker.Active, Risk: r, Teams: teams}
	}
	bot := func(ceiling broker.Risk) *broker.Agent {
		return &broker.Agent{ID: "corp:bot", State: broker.Active, Team: "platform", Ceiling: ceiling}
	}
	person, alone := viaAgent(alice, "corp:bot", false), viaAgent(broker.Principal{ID: "p-bot", Kind: broker.Workload}, "corp:bot", true)
	cases := map[string]struct {
		caller   broker.Principal
		agent    *broker.Agent
		tool     *broker.Tool
		bindings []broker.Binding
		reason   broker.Reason
	}{
		"an agent by itself":                         {alone, bot(broker.Medium), tool(broker.Low, "platform"), []broker.Binding{card(t, "a", agent("corp:bot"), agentScoped)}, ""},
		"tool above the agent's ceiling":             {alone, bot(broker.Medium), tool(broker.High, "platform"), []broker.Binding{card(t, "a", agent("corp:bot"), agentScoped)}, broker.AgentAboveCeiling},
		"a tool without a record is critical":        {alone, bot(broker.High), nil, []broker.Binding{card(t, "a", agent("corp:bot"))}, broker.AgentAboveCeiling},
		"an agent without a ceiling":                 {alone, bot(0), tool(broker.Low, "platform"), []broker.Binding{card(t, "a", agent("corp:bot"))}, broker.AgentAboveCeiling},
		"an unregistered agent":                      {alone, nil, tool(broker.Low), []broker.Binding{card(t, "a", agent("corp:bot"))}, broker.AgentUnknown},
		"an unregistered agent with a person":        {person, nil, tool(broker.Low), []broker.Binding{card(t, "a", user("p-alice"))}, broker.AgentUnknown},
		"a suspended agent":                          {alone, &broker.Agent{ID: "corp:bot", State: broker.Suspended, Ceiling: broker.Critical}, tool(broker.Low), []broker.Binding{card(t, "a", agent("corp:bot"))}, broker.AgentClosed},
		"a card of another team":                     {alone, bot(broker.Medium), tool(broker.Low, "platform"), []broker.Binding{card(t, "a", agent("corp:bot"), agentScoped, func(b *broker.Binding) { b.Owner = "finance" })}, broker.AgentTeamMismatch},
		"a tool not open to the team":                {alone, bot(broker.Medium), tool(broker.Low, "finance"), []broker.Binding{card(t, "a", agent("corp:bot"), agentScoped)}, broker.ToolNotOfTeam},
		"a person needs more than the agent's card":  {person, bot(broker.Medium), tool(broker.Low), []broker.Binding{card(t, "a", agent("corp:bot"))}, broker.PersonNotAllowed},
		"person and agent both allowed":              {person, bot(broker.Medium), tool(broker.Low), []broker.Binding{card(t, "a", agent("corp:bot")), card(t, "b", group("dev"))}, ""},
		"a person's dead card does not allow them":   {person, bot(broker.Medium), tool(broker.Low), []broker.Binding{card(t, "a", agent("corp:bot")), card(t, "b", group("dev"), suspended)}, broker.BindingClosed},
		"nor does a wider card below a dead one":     {person, bot(broker.Medium), tool(broker.Low), []broker.Binding{card(t, "a", agent("corp:bot")), card(t, "b", group("dev"), suspended), card(t, "c", broker.Actor{Anyone: true})}, broker.BindingClosed},
		"a card for this person through this agent":  {person, bot(broker.Medium), tool(broker.Low), []broker.Binding{card(t, "a", broker.Actor{Principal: "p-alice", Agent: "corp:bot"})}, ""},
		"the same person through another agent":      {viaAgent(alice, "corp:other", false), &broker.Agent{ID: "corp:other", State: broker.Active, Ceiling: broker.Critical}, nil, []broker.Binding{card(t, "a", broker.Actor{Principal: "p-alice", Agent: "corp:bot"})}, broker.NoBinding},
		"mode agent_scoped without an agent":         {alice, nil, tool(broker.Low), []broker.Binding{card(t, "a", user("p-alice"), agentScoped)}, broker.AgentUnknown},
		"a binding of the person also meets the cap": {person, bot(broker.Low), tool(broker.High), []broker.Binding{card(t, "a", user("p-alice"))}, broker.AgentAboveCeiling},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.snapshot.Agent, w.snapshot.Tool, w.snapshot.Shared = c.agent, c.tool, c.bindings
			_, err := w.broker().Decide(context.Background(), call(c.caller))
			if c.reason == "" && err != nil {
				t.Error(err)
			} else if c.reason != "" {
				wantReason(t, err, c.reason)
			}
		})
	}
}

func TestAResourcePrefixCoversNoURIThatCanBeReadAsAnother(t *testing.T) {
	for uri, allowed := range map[string]bool{
		"file:///public/a.txt": true, "file:///public/a..b/c.": true, "file:///private/key": false,
		"file:///public/../private/key": false, "file:///public/%2e%2e/private/key": false, "file:///public/.%2E/private/key": false,
		`file:///public/..\private/key`: false, "file:///public/..%2fprivate/key": false, "file:///public/..%5Cprivate/key": false,
		"file:///public/..;x/private/key": false, "file:///public/%252e%252e/private": false, "file:///public/.\t./private/key": false,
		"file:///public/..": false, "file:///public/..?x": false, " file:///public/a": false,
	} {
		w := newWorld()
		w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Allow.Resources = []string{"file:///public/*"} })}
		c := call(alice)
		c.Action, c.Method, c.Target = broker.ReadResource, "resources/read", uri
		if _, err := w.broker().Decide(context.Background(), c); (err == nil) != allowed {
			t.Errorf("%q: %v", uri, err)
		}
		w.snapshot.Shared[0].Allow.Resources = []string{"*"}
		if _, err := w.broker().Decide(context.Background(), c); err != nil {
			t.Errorf("%q under *: %v", uri, err)
		}
	}
}
