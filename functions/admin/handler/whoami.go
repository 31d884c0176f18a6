package handler

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
)

// Me says who asks, as Bindery sees them.
type Me struct {
	Principal string   `json:"principal"`
	Kind      string   `json:"kind"`
	Groups    []string `json:"groups"`
	Roles     []string `json:"roles"`
}

func (h *Handler) whoami() {
	huma.Register(h.api, operation("whoami", http.MethodGet, "/me", "Who am I, and which roles have I"), h.me)
}

// me needs no permission: it says what the caller's own token says.
func (h *Handler) me(ctx context.Context, _ *struct{}) (*struct{ Body Me }, error) {
	c := callerOf(ctx)
	if err := h.askList(ctx, "whoami", admin.Object{Kind: "Principal", Name: c.Principal.ID}); err != nil {
		return nil, err
	}
	me := Me{Principal: c.Principal.ID, Kind: string(c.Principal.Kind), Groups: append([]string{}, c.Principal.Groups...), Roles: append([]string{}, c.Roles...)}
	return &struct{ Body Me }{me}, nil
}
