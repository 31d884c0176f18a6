package handler

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// RotationPlanBody says how one secret is rotated.
type RotationPlanBody struct {
	Reference    string      `json:"reference" minLength:"1" maxLength:"1024" example:"aws-sm:prod/github#token" doc:"With a key the member that changes; without, the whole value. It never changes"`
	Maker        string      `json:"maker" enum:"random,recipe,client_secret,store" doc:"Who makes the new value: Bindery, the upstream on a declared request, a provider (RFC 7592), or the store. It never changes"`
	Random       *RandomPart `json:"random,omitempty" doc:"Of maker random"`
	Recipe       *RecipePart `json:"recipe,omitempty" doc:"Of maker recipe"`
	Provider     string      `json:"provider,omitempty" maxLength:"40" doc:"Of maker client_secret"`
	EverySeconds int64       `json:"every_seconds" minimum:"0" maximum:"63244800" doc:"0: only when somebody asks; else 600 or more"`
	GraceSeconds int64       `json:"grace_seconds" minimum:"0" maximum:"7776000" doc:"How long the value before goes on; shorter than every_seconds"`
	Server       string      `json:"server,omitempty" maxLength:"40" doc:"With binding: the card through which the upstream is asked before a new value is used. Without, nobody is asked"`
	Binding      string      `json:"binding,omitempty" maxLength:"40"`
	Owner        string      `json:"owner" minLength:"1" maxLength:"256" doc:"Team that owns the plan: a group name, whose members may read it"`
	State        string      `json:"state" enum:"active,suspended" doc:"A suspended one begins nothing, and what is under way is taken back"`
}

// RandomPart says of what a made-up value consists.
type RandomPart struct {
	Length   int    `json:"length" minimum:"16" maximum:"512"`
	Alphabet string `json:"alphabet,omitempty" maxLength:"94" doc:"16 or more visible characters, each once; absent: letters and digits"`
}

// RecipePart is the request by which an upstream issues a new key, and the one by
// which it takes an old one back.
type RecipePart struct {
	Issue  CallPart  `json:"issue"`
	Value  string    `json:"value_at" minLength:"1" maxLength:"256" example:"/key/secret" doc:"JSON pointer to the new value in the answer"`
	Keep   string    `json:"name_at,omitempty" maxLength:"256" example:"/key/id" doc:"JSON pointer to what names the new key there: {old}, when it is retired"`
	Retire *CallPart `json:"retire,omitempty" doc:"Absent: nothing is said when a key is over"`
}

// CallPart is one request. Its texts may hold {name} for a field of the card.
type CallPart struct {
	Method  string       `json:"method" enum:"GET,POST,PUT,PATCH,DELETE"`
	URL     string       `json:"url" minLength:"1" maxLength:"2048" example:"https://api.example.com/keys/{old}" doc:"Its origin holds no braces, and is the server's, unless you may set that"`
	Headers []HeaderPart `json:"headers,omitempty" maxItems:"32"`
	Body    string       `json:"body,omitempty" maxLength:"2048" doc:"JSON text"`
}

// HeaderPart is one header of a request.
type HeaderPart struct {
	Header   string `json:"header" minLength:"1" maxLength:"128"`
	Template string `json:"template" minLength:"1" maxLength:"2048" example:"Bearer {token}"`
}

// RotationPlanView is a plan as it is read.
type RotationPlanView struct {
	Name        string `json:"name"`
	Environment string `json:"environment"`
	Version     int64  `json:"version"`
	RotationPlanBody
}

type RotationPlanPath struct {
	Plan string `path:"plan" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) rotationPlans() {
	const path = "/rotation-plans"
	huma.Register(h.api, operation("list-rotation-plans", http.MethodGet, path, "List how secrets are rotated"), h.listRotationPlans)
	huma.Register(h.api, operation("get-rotation-plan", http.MethodGet, path+"/{plan}", "Read how a secret is rotated", 404), h.getRotationPlan)
	huma.Register(h.api, operation("put-rotation-plan", http.MethodPut, path+"/{plan}", "Say how a secret is rotated", 409, 412, 413, 415, 428), h.putRotationPlan)
	huma.Register(h.api, operation("delete-rotation-plan", http.MethodDelete, path+"/{plan}", "Delete a plan; its name is never used again, and what is under way is taken back", 404, 409, 412, 413, 428), h.deleteRotationPlan)
}

// planObject is the plan as it is read: its reference, for the plan's own team.
func planObject(p broker.RotationPlan) admin.Object {
	return admin.Object{Kind: referenceKind, Name: p.Reference.String(), Owner: p.Owner}
}

func (h *Handler) listRotationPlans(ctx context.Context, in *struct{ Page }) (*listing[RotationPlanView], error) {
	if err := h.askList(ctx, "list-rotation-plans", admin.Object{Kind: referenceKind}); err != nil {
		return nil, err
	}
	return listed(in.Page, h.planList(ctx), func(p broker.RotationPlan) (RotationPlanView, bool) {
		return viewPlan(p), h.shows(ctx, p.State, planObject(p))
	})
}

func (h *Handler) planList(ctx context.Context) list[broker.RotationPlan] {
	return list[broker.RotationPlan]{func(p broker.Page) ([]broker.RotationPlan, error) {
		return h.plans.RotationPlans(ctx, h.environment, p)
	},
		func(p broker.RotationPlan) string { return p.Name }}
}

func (h *Handler) getRotationPlan(ctx context.Context, in *RotationPlanPath) (*one[RotationPlanView], error) {
	p, err := h.plans.RotationPlan(ctx, h.environment, in.Plan)
	err = live(p.State, err)
	if asked := h.ask(ctx, "get-rotation-plan", planObject(p)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &one[RotationPlanView]{tag(p.Version), viewPlan(p)}, nil
}

type putRotationPlanInput struct {
	RotationPlanPath
	Condition
	Body RotationPlanBody
}

func (h *Handler) putRotationPlan(ctx context.Context, in *putRotationPlanInput) (*one[RotationPlanView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	next, err := in.Body.row(h.environment, in.Plan, version)
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.plans.RotationPlan(ctx, h.environment, in.Plan)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	server, missing := h.serverOfPlan(ctx, next)
	if next.Maker == broker.MakeByRecipe {
		next.Origin = originOf(server)
	}
	needs, err := h.planNeeds(ctx, server, next)
	if err != nil {
		return nil, fault(err)
	}
	op := admin.Operation{ID: "put-rotation-plan", Needs: needs}
	wrong := stale(ctx, version, current.Version, current.State)
	if wrong == nil {
		wrong = missing
	}
	if wrong == nil && h.permits(ctx, needs) {
		wrong = h.plannable(ctx, current, next, server)
	}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewPlan(current)), After: viewPlan(next), Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error { return h.plans.PutRotationPlan(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[RotationPlanView]{tag(next.Version), viewPlan(next)}, nil
}

// serverOfPlan is the server whose upstream is asked, or none.
func (h *Handler) serverOfPlan(ctx context.Context, p broker.RotationPlan) (broker.Server, error) {
	if p.Server == "" {
		return broker.Server{}, nil
	}
	if err := broker.CheckName("server", p.Server); err != nil {
		return broker.Server{}, err
	}
	return h.liveServer(ctx, p.Server)
}

// planNeeds is what a plan takes: to bind the reference, to ask the upstream with
// the card's credential, to use the provider, and, for requests to another
// origin than the server's, to set that: they take the card's credential there.
func (h *Handler) planNeeds(ctx context.Context, server broker.Server, p broker.RotationPlan) ([]admin.Need, error) {
	bind := []admin.Need{need(policy.Bind, admin.Object{Kind: referenceKind, Name: p.Reference.String()})}
	needs, err := h.claimed(ctx, bind, []broker.Reference{p.Reference}, server)
	if err != nil {
		return nil, err
	}
	if p.Server != "" {
		needs = append(needs, need(policy.Verify, bindingObject(BindingPath{ServerPath{p.Server}, p.Binding}, server)))
	}
	if p.Provider != "" {
		needs = append(needs, need(policy.Bind, providerObject(p.Provider)))
	}
	for _, c := range []broker.RecipeCall{p.Recipe.Issue, p.Recipe.Retire} {
		if elsewhere(c, server) {
			return append(needs, need(policy.SetOrigin, serverObject(p.Server, server.Owner))), nil
		}
	}
	return needs, nil
}

// elsewhere reports whether a call goes to another origin than the server's;
// where that cannot be told, it does.
func elsewhere(c broker.RecipeCall, server broker.Server) bool {
	origin, err := recipeOrigin(c.URL)
	return c.URL != "" && (err != nil || origin != originOf(server))
}

func originOf(s broker.Server) string {
	origin, err := broker.OriginDigest(s.URL)
	if err != nil {
		return ""
	}
	return origin
}

// recipeOrigin is the origin of a recipe's URL, which no field may change.
func recipeOrigin(url string) (string, error) {
	scheme, rest, _ := strings.Cut(url, "://")
	host := rest[:min(len(rest), max(0, strings.IndexAny(rest+"/", "/?#")))]
	if strings.ContainsAny(scheme+host, "{}") {
		return "", fmt.Errorf("%w recipe: scheme, host and port hold no braces", broker.ErrInvalid)
	}
	return broker.OriginDigest(scheme + "://" + host)
}

// plannable refuses what could not be rotated, though it looks as if it could.
func (h *Handler) plannable(ctx context.Context, current, next broker.RotationPlan, server broker.Server) error {
	bad := func(rule string) error { return told{fmt.Errorf("%w rotation plan", broker.ErrInvalid), rule} }
	if err := next.Check(); err != nil {
		return err
	}
	for _, c := range []broker.RecipeCall{next.Recipe.Issue, next.Recipe.Retire} {
		if c.URL == "" {
			continue
		}
		if _, err := recipeOrigin(c.URL); err != nil {
			return err
		}
		if err := h.registry.CheckServer(broker.Server{URL: strings.NewReplacer("{", "", "}", "").Replace(c.URL), Networks: server.Networks}); err != nil {
			return err
		}
	}
	same := func(p broker.RotationPlan) []any { return []any{p.Reference, p.Maker, p.Provider, p.Server, p.Binding} }
	if current.Version > 0 && !slices.Equal(same(current), same(next)) {
		return bad("a plan keeps its reference, maker, provider and card: delete it and make another")
	}
	store, err := h.reader.Store(ctx, h.environment, next.Reference.Scheme())
	switch {
	case isMissing(err), err == nil && store.State != broker.Active:
		return bad("the store of the reference is not registered, or stopped")
	case err != nil:
		return err
	case !store.Paths.Allows(next.Reference):
		return bad("the reference lies outside the paths of its store")
	case store.Kind == "sealed" && next.Server == "" && next.Provider == "":
		return bad("a sealed value is sealed for a server: the plan needs a card")
	}
	for p, err := range h.planList(ctx).after("") {
		if err != nil {
			return err
		}
		if p.Name != next.Name && p.State != broker.Deleted && p.Subject() == next.Subject() {
			return bad("another plan rotates this secret")
		}
	}
	return h.askable(ctx, next)
}

// askable refuses a card that would not show whether a new value works.
func (h *Handler) askable(ctx context.Context, p broker.RotationPlan) error {
	if p.Server == "" {
		return nil
	}
	b, err := h.reader.Binding(ctx, h.route(p.Server), p.Binding)
	if err = live(b.State, err); err != nil {
		return err
	}
	whole := p.Reference.WithoutKey()
	names := slices.ContainsFunc(b.Fields, func(f broker.Field) bool { return f.Reference.WithoutKey() == whole })
	if b.Source != broker.Static || !names {
		return told{fmt.Errorf("%w rotation plan", broker.ErrInvalid), "the card does not use the reference"}
	}
	return nil
}

func (h *Handler) deleteRotationPlan(ctx context.Context, in *struct {
	RotationPlanPath
	Condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, wrong := h.plans.RotationPlan(ctx, h.environment, in.Plan)
	if wrong == nil {
		wrong = erasable(ctx, version, current.Version, current.State)
	}
	needs, err := h.rotationNeeds(ctx, current)
	if err != nil {
		return nil, fault(err)
	}
	next := current
	next.State, next.Version = broker.Deleted, version
	return nil, h.erase(ctx, admin.Operation{ID: "delete-rotation-plan", Needs: needs}, viewPlan(current), in.DryRun, wrong,
		func(ctx context.Context) error { return h.plans.PutRotationPlan(ctx, next) })
}
