package handler

import (
	"context"
	"encoding/json"
	"fmt"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// ImportBody is a file as MCP clients keep it, and what it does not say.
type ImportBody struct {
	Document map[string]any `json:"document" doc:"A JSON file with the member mcpServers. It may hold secrets: they go to the store, and nowhere else"`
	Store    string         `json:"store" pattern:"^[a-z0-9-]{1,40}$" doc:"A registered store of kind sealed, for the literals"`
	Owner    string         `json:"owner" minLength:"1" maxLength:"256" doc:"Team that is to own servers and bindings: a group name"`
	Actor    Actor          `json:"actor" doc:"Whom the bindings are for"`
	Allow    Allow          `json:"allow"`
}

// Imported says what was done with a file, or with a dry run what would be done.
// It never holds a value.
type Imported struct {
	DryRun     bool              `json:"dry_run"`
	Objects    []Step            `json:"objects" doc:"As apply says it; each value is one object"`
	References []ImportReference `json:"references" doc:"Literals of the file, and the references that stand for them"`
	Inputs     []ImportInput     `json:"inputs" doc:"Values that the file leaves open: put them, and then the binding"`
	Left       []LeftOut         `json:"left" doc:"What was not taken over, and why"`
}

// importedName is what each binding of an import is called; the value of a
// server is named after both.
const importedName = "imported"

func (h *Handler) importServers(ctx context.Context, in *struct {
	DryRun bool `query:"dry_run" doc:"Say what would be done; store and change nothing"`
	Body   ImportBody
}) (*struct{ Body Imported }, error) {
	end := h.now().Add(applyTime)
	if err := h.ask(ctx, "import", storeObject(in.Body.Store)); err != nil {
		return nil, err
	}
	entries, ok := in.Body.Document["mcpServers"].(map[string]any)
	if !ok {
		return nil, fault(fmt.Errorf("%w document: it has no member mcpServers with servers by name", broker.ErrInvalid))
	}
	if len(entries) > maxImport {
		return nil, fault(fmt.Errorf("%w document: it has more than %d servers: import it in parts", broker.ErrInvalid, maxImport))
	}
	if err := h.takesValues(ctx, in.Body.Store); err != nil {
		return nil, fault(err)
	}
	u := readServers(entries)
	document := u.catalogue(in.Body)
	s, err := h.standing(ctx, func(server string) bool { _, named := document.Servers[server]; return named })
	if err != nil {
		return nil, fault(err)
	}
	h.avoid(ctx, u, document, s)
	pieces := h.importPieces(ctx, u, document, s)
	return &struct{ Body Imported }{Imported{DryRun: in.DryRun, Objects: h.steps(ctx, pieces, in.DryRun, end), References: u.references, Inputs: u.inputs, Left: u.left}}, nil
}

// maxImport bounds the servers of one file: each is three objects.
const maxImport = 300

// takesValues refuses stores to which Bindery cannot write. It has no right to
// write to Secrets Manager or to a Vault, on purpose.
func (h *Handler) takesValues(ctx context.Context, name string) error {
	s, err := h.reader.Store(ctx, h.environment, name)
	switch {
	case isMissing(err), err == nil && s.State == broker.Deleted:
		return fmt.Errorf("%w store: it is not registered: literals go to the store sealed: PUT /stores/sealed with kind sealed first, then import into it", broker.ErrInvalid)
	case err != nil:
		return err
	case s.Kind != "sealed" || s.Name != "sealed" || s.State != broker.Active:
		return fmt.Errorf("%w store: literals go to the active store sealed alone, since Bindery may not write to any other; import into it, put the secrets where they belong yourself, and give the cards their references then", broker.ErrInvalid)
	}
	return nil
}

// catalogue makes servers and bindings of what was read, and fills in the
// references.
func (u *clientFile) catalogue(b ImportBody) Catalogue {
	c := Catalogue{Servers: map[string]ServerPart{}}
	for name, server := range u.servers {
		server.Owner = b.Owner
		u.servers[name] = server
		c.Servers[name] = ServerPart{ServerBody: server, Bindings: map[string]BindingBody{importedName: {Actor: b.Actor, Allow: b.Allow, Mode: string(broker.ServiceAccount),
			Source: string(broker.Static), Fields: []Field{}, Owner: b.Owner, State: string(broker.Active)}}}
	}
	for i, r := range u.references {
		r.Reference = b.Store + ":" + valueName(r.Server) + "#" + r.Field
		u.references[i] = r
		card := c.Servers[r.Server].Bindings[importedName]
		card.Fields = append(card.Fields, Field{r.Field, r.Reference})
		c.Servers[r.Server].Bindings[importedName] = card
	}
	for _, i := range u.inputs { // a card that lacks a field cannot be made
		if _, there := c.Servers[i.Server].Bindings[importedName]; there {
			u.leave(i.Server, "", leftBindings)
		}
		delete(c.Servers[i.Server].Bindings, importedName)
	}
	return c
}

// valueName names the value that holds all literals of a server: a name that no
// other server's has.
func valueName(server string) string {
	if len(server)+len(importedName) < broker.MaxName {
		return server + "-" + importedName
	}
	return server[:20] + "-" + digest([]byte(server))[:10] + "-" + importedName
}

// avoid leaves out servers that exist and are others: no literal of the file is
// sealed for an upstream that the file does not name.
func (h *Handler) avoid(ctx context.Context, u *clientFile, c Catalogue, s standing) {
	for _, name := range sortedKeys(c.Servers) {
		row := s.servers[name]
		p := h.serverPiece(name, c.Servers[name].ServerBody, row)
		if row.Version == 0 || !h.desk.Sees(callerOf(ctx), need(policy.Read, p.on)) || p.current != nil && len(differences(p.current, p.next)) == 0 {
			continue
		}
		delete(c.Servers, name)
		delete(u.values, name)
		u.references = without(u.references, func(r ImportReference) bool { return r.Server == name })
		u.inputs = without(u.inputs, func(i ImportInput) bool { return i.Server == name })
		u.left = without(u.left, func(l LeftOut) bool { return l.Entry == u.given[name] })
		u.leave(name, "", leftExists)
	}
}

func without[T any](list []T, gone func(T) bool) []T {
	kept := []T{}
	for _, item := range list {
		if !gone(item) {
			kept = append(kept, item)
		}
	}
	return kept
}

// importPieces are the pieces of the document, and before each binding the value
// that it refers to. What belongs to a server is put only if the server is.
func (h *Handler) importPieces(ctx context.Context, u *clientFile, c Catalogue, s standing) (pieces []piece) {
	for _, p := range h.dismantle(ctx, c, s) {
		if p.on.Kind == bindingKind {
			p.only = serverObject(p.on.Server, "").Path()
			pieces = append(pieces, h.valuePieces(u, p.on.Server)...)
		}
		pieces = append(pieces, p)
	}
	for _, i := range u.inputs { // values of servers without a binding
		if _, there := c.Servers[i.Server].Bindings[importedName]; !there {
			pieces = append(pieces, h.valuePieces(u, i.Server)...)
			delete(u.values, i.Server)
		}
	}
	return pieces
}

// valuePieces is the one value of a server, if it has any.
func (h *Handler) valuePieces(u *clientFile, server string) []piece {
	if len(u.values[server]) == 0 {
		return nil
	}
	text, err := json.Marshal(u.values[server])
	name := valueName(server)
	path := serverObject(server, "").Path()
	return []piece{{on: admin.Object{Kind: valueKind, Name: name}, fault: err, after: []string{path}, only: path, next: map[string]any{"value": ""},
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putValue(ctx, &putValueInput{ValuePath: ValuePath{name}, DryRun: c.DryRun, Body: ValueBody{server, string(text)}})
			return err
		}}}
}
