package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// maxExport is the longest document that one answer can carry.
const maxExport = 5 << 20

// declarations registers the operations on whole documents.
func (h *Handler) declarations() {
	huma.Register(h.api, h.exportOperation(), h.export)
	huma.Register(h.api, operation("apply", http.MethodPost, "/apply", "Make the catalogue what a document says; what the document does not name stays", 413, 415), h.apply)
	huma.Register(h.api, operation("import", http.MethodPost, "/import", "Take over the servers of an mcpServers file: its literals are sealed, and references take their places", 413, 415), h.importServers)
}

// exportOperation describes an answer that is written here, for people to read.
func (h *Handler) exportOperation() huma.Operation {
	o := operation("export", http.MethodGet, "/export", "Read the catalogue as one document, to keep and to apply")
	page := reflect.TypeFor[Catalogue]()
	o.Responses = map[string]*huma.Response{"200": {
		Description: http.StatusText(http.StatusOK),
		Content:     map[string]*huma.MediaType{"application/json": {Schema: h.api.OpenAPI().Components.Schemas.Schema(page, true, page.Name())}},
	}}
	return o
}

// exported is a document as text.
type exported struct {
	ETag string `header:"ETag"`
	Type string `header:"Content-Type"`
	Body []byte
}

// export needs no permission of its own: what is in it is asked row by row.
func (h *Handler) export(ctx context.Context, in *struct {
	Server string `query:"server" pattern:"^[a-z0-9-]{1,40}$" doc:"Only this server, with what belongs to it"`
}) (*exported, error) {
	if err := h.askList(ctx, "export", h.environmentObject()); err != nil {
		return nil, err
	}
	s, err := h.standing(ctx, func(server string) bool { return in.Server == "" || server == in.Server })
	if err != nil {
		return nil, fault(err)
	}
	document, err := (&exporting{h: h, ctx: ctx, only: in.Server}).document(s)
	if err != nil {
		return nil, fault(err)
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return nil, fault(err)
	}
	if len(text) > maxExport {
		return nil, fault(fmt.Errorf("%w export: the catalogue is larger than 5 MiB: export it server by server", broker.ErrInvalid))
	}
	return &exported{`"` + digest(text)[:32] + `"`, "application/json", append(text, '\n')}, nil
}

// exporting leaves out what the caller may not read, and knows whether it did.
type exporting struct {
	h       *Handler
	ctx     context.Context
	only    string
	partial bool
}

func (e *exporting) shows(state broker.State, on admin.Object) bool {
	if state == broker.Deleted || e.only != "" && on.Name != e.only && on.Server != e.only {
		return false
	}
	readable := e.h.desk.Sees(callerOf(e.ctx), need(policy.Read, on))
	e.partial = e.partial || !readable
	return readable
}

func (e *exporting) document(s standing) (c Catalogue, err error) {
	c.Servers = map[string]ServerPart{}
	for name, row := range s.servers {
		if e.shows(row.State, serverObject(name, row.Owner)) {
			c.Servers[name] = e.server(s, row)
		}
	}
	if e.only == "" {
		e.shared(s, &c)
		err = e.environment(s.environment, &c)
	}
	c.Partial = e.partial
	return c, err
}

// shared adds what belongs to no server.
func (e *exporting) shared(s standing, c *Catalogue) {
	c.Providers = map[string]ProviderBody{}
	for name, row := range s.providers {
		if e.shows(row.State, providerObject(name)) {
			c.Providers[name] = viewProvider(row).ProviderBody
		}
	}
	c.Stores, c.Agents, c.Assignments = map[string]StoreBody{}, map[string]AgentBody{}, map[string]AssignmentBody{}
	for name, row := range s.stores {
		if e.shows(row.State, storeObject(name)) {
			c.Stores[name] = viewStore(row).StoreBody
		}
	}
	for id, row := range s.agents {
		if e.shows(row.State, agentObject(id, row.Team)) {
			c.Agents[id] = viewAgent(row).AgentBody
		}
	}
	for name, row := range s.assignments {
		if e.shows(row.State, assignmentObject(e.ctx, name, row)) {
			c.Assignments[name] = viewAssignment(row).AssignmentBody
		}
	}
}

// environment adds the environment and the policies that it names, both or
// neither.
func (e *exporting) environment(row broker.Environment, c *Catalogue) error {
	if row.Version == 0 || !e.shows(row.State, e.h.environmentObject()) {
		return nil
	}
	c.Environment = &EnvironmentPart{string(row.State)}
	for _, id := range []string{row.Policies, row.Shadow} {
		if id != "" && !e.shows(row.State, policyObject(id)) {
			return nil
		}
	}
	sets, err := e.h.policiesInForce(e.ctx, row)
	c.PolicySets = &sets
	return err
}

func (e *exporting) server(s standing, row broker.Server) ServerPart {
	p := ServerPart{ServerBody: viewServer(row).ServerBody, Tools: map[string]ToolBody{}, Bindings: map[string]BindingBody{}}
	for name, t := range s.tools[row.Name] {
		if e.shows(t.State, toolObject(ToolPath{ServerPath{row.Name}, name}, row)) {
			p.Tools[name] = viewTool(t).ToolBody
		}
	}
	for name, b := range s.bindings[row.Name] {
		if e.shows(b.State, bindingObject(BindingPath{ServerPath{row.Name}, name}, row)) {
			p.Bindings[name] = viewBinding(b, row).BindingBody
		}
	}
	return p
}
