package handler

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
)

// PrincipalBody says who is meant as their issuer says it.
type PrincipalBody struct {
	Issuer string   `json:"issuer" minLength:"1" maxLength:"1024" doc:"Name or URL of a trusted issuer"`
	Claims []string `json:"claims" minItems:"1" maxItems:"16" doc:"Values of the issuer's principal claims, in the order of the issuer document: usually one, the sub"`
}

// PrincipalID is an id as cards and audit records have it.
type PrincipalID struct {
	Principal string `json:"principal" example:"p-..."`
}

func (h *Handler) principals() {
	huma.Register(h.api, operation("lookup-principal", http.MethodPost, "/principals/lookup",
		"From what an issuer says of a person or workload to their id", 413, 415), h.lookupPrincipal)
}

// lookupPrincipal computes; nothing is looked up, so the answer does not say
// whether there is such a person, and everybody may ask. The record names the id
// and not the claims, which may be an e-mail.
func (h *Handler) lookupPrincipal(ctx context.Context, in *struct{ Body PrincipalBody }) (*struct{ Body PrincipalID }, error) {
	id, err := h.principalOf(in.Body.Issuer, in.Body.Claims)
	if asked := h.askList(ctx, "lookup-principal", admin.Object{Kind: "Principal", Name: id}); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &struct{ Body PrincipalID }{PrincipalID{id}}, nil
}
