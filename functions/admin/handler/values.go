package handler

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/mask"
	"bindery/shared/policy"
	"bindery/shared/secret"
)

// ValueBody is a value and the server it is for. It is write-only.
type ValueBody struct {
	Server string `json:"server" pattern:"^[a-z0-9-]{1,40}$" doc:"The only server whose upstream can get it"`
	Value  string `json:"value" minLength:"1" maxLength:"65536" writeOnly:"true" doc:"The secret, or a JSON object of secrets"`
}

// ValueView says what was stored. It never holds the value.
type ValueView struct {
	Reference string `json:"reference" example:"sealed:github-token"`
	Version   int64  `json:"version"`
}

// valueRecord is what the audit record of a value says.
type valueRecord struct {
	Server string `json:"server"`
	Origin string `json:"origin"`
}

type ValuePath struct {
	Value string `path:"value" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) valueOperations() {
	huma.Register(h.api, operation("put-value", http.MethodPut, "/values/{value}", "Seal a value; nobody reads it back", 404, 409, 412, 413, 415), h.putValue)
	huma.Register(h.api, operation("delete-value", http.MethodDelete, "/values/{value}", "Delete a value with its earlier versions, for good; put again it is a new version", 404, 409, 412, 413), h.deleteValue)
}

// Unconditional is what a change takes that replaces whatever is there: whoever
// sends a condition expects it to be kept.
type Unconditional struct {
	IfMatch     string `header:"If-Match" doc:"Refused: a value takes no condition"`
	IfNoneMatch string `header:"If-None-Match" doc:"Refused: a value takes no condition"`
}

func (u Unconditional) check() error {
	if u != (Unconditional{}) {
		return fmt.Errorf("%w condition: a value takes neither If-Match nor If-None-Match; put again it is a new version", broker.ErrInvalid)
	}
	return nil
}

type putValueInput struct {
	ValuePath
	Unconditional
	DryRun bool `query:"dry_run" doc:"Judge and record the request, store nothing"`
	Body   ValueBody
}

func (h *Handler) putValue(ctx context.Context, in *putValueInput) (*one[ValueView], error) {
	reference, err := broker.ParseReference("sealed:" + in.Value)
	if err != nil {
		return nil, fault(err)
	}
	server, wrong := h.liveServer(ctx, in.Body.Server)
	origin, _ := broker.OriginDigest(server.URL)
	needs := []admin.Need{need(policy.PutValue, admin.Object{Kind: valueKind, Name: in.Value})}
	if needs, err = h.claimed(ctx, needs, []broker.Reference{reference}, server); err != nil {
		return nil, fault(err)
	}
	if isMissing(wrong) {
		wrong = told{wrong, "body.server: there is no server of this name"}
	}
	wrong = cmp.Or(in.check(), wrong, maskable(in.Body.Value))
	if read := need(policy.Read, serverObject(in.Body.Server, server.Owner)); !h.permits(ctx, []admin.Need{read}) {
		named, err := h.namedTo(ctx, reference, in.Body.Server)
		if err != nil {
			return nil, fault(err)
		}
		if !named {
			needs = append(needs, read) // or the answer would tell which servers there are
		}
	}
	if wrong == nil && h.permits(ctx, needs) {
		wrong = cmp.Or(h.readElsewhere(ctx, reference, in.Body.Server, origin), h.stoppedValue(ctx, reference))
	}
	op := admin.Operation{ID: "put-value", Needs: needs}
	var version int64
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{After: valueRecord{in.Body.Server, origin}, Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) (err error) {
			version, err = h.values.Put(ctx, h.environment, in.Value, origin, secret.New(in.Body.Value))
			return err
		},
	})
	if err != nil {
		return nil, fault(err)
	}
	return &one[ValueView]{tag(version), ValueView{Reference: "sealed:" + in.Value, Version: version}}, nil
}

// namedTo reports whether an assignment of a reference names both a group of the
// caller and a server. Who owns a secret enters it for that server: they can read
// the assignment, so that there is such a server is no news to them.
func (h *Handler) namedTo(ctx context.Context, r broker.Reference, server string) (bool, error) {
	groups := callerOf(ctx).Principal.Groups
	for a, err := range h.assignmentList(ctx).after("") {
		if err != nil {
			return false, err
		}
		if a.Assigns(r, "", server) && slices.ContainsFunc(groups, func(group string) bool { return a.Assigns(r, group, "") }) {
			return true, nil
		}
	}
	return false, nil
}

// maskable refuses what no binding could use. The members of an object are for
// the binding to judge: it may use some of them.
func maskable(value string) error {
	var members map[string]any
	if json.Unmarshal([]byte(value), &members) == nil {
		return nil
	}
	if err := mask.Check(secret.New(value)); err != nil {
		return fmt.Errorf("%w body.value: %w", broker.ErrInvalid, err)
	}
	return nil
}

// readElsewhere refuses to seal for one origin what cards of another server read
// at theirs: they could not open it from then on.
func (h *Handler) readElsewhere(ctx context.Context, r broker.Reference, server, origin string) error {
	for after := ""; ; {
		uses, next, err := h.uses.UsesOfReference(ctx, h.environment, r, after, broker.MaxPage)
		if err != nil {
			return err
		}
		for _, u := range uses {
			if u.Route.Server == server {
				continue
			}
			b, now, err := h.usedNow(ctx, u)
			if err != nil {
				return err
			}
			if now && b.Origin != origin {
				return fmt.Errorf("%w value: a card of a server with another origin reads it and could not from then on; take another name", broker.ErrInvalid)
			}
		}
		if after = next; next == "" {
			return nil
		}
	}
}

// stoppedValue refuses to seal what is revoked: no call could use it, and it would
// be deleted together with what leaked.
func (h *Handler) stoppedValue(ctx context.Context, r broker.Reference) error {
	id, err := h.stoppedBy(ctx, broker.ReferenceMarker, r.String())
	if err != nil || id == "" {
		return err
	}
	return told{broker.ErrConflict, "revocation " + id + " stops this value: when its work is done and the text from before is deleted, lift it, and put the value then"}
}

// deleteValue takes no condition: nobody can read which version there is. What
// is deleted already is deleted.
func (h *Handler) deleteValue(ctx context.Context, in *struct {
	ValuePath
	Unconditional
	DryRun bool `query:"dry_run" doc:"Judge and record the request, change nothing"`
}) (*struct{}, error) {
	op := admin.Operation{ID: "delete-value", Needs: []admin.Need{need(policy.DeleteValue, admin.Object{Kind: valueKind, Name: in.Value})}}
	return nil, h.erase(ctx, op, nil, in.DryRun, in.check(), func(ctx context.Context) error { return h.values.Delete(ctx, h.environment, in.Value) })
}
