package broker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bindery/shared/secret"
)

// Registry is how the catalogue is changed: nothing is stored that a call
// could not honour. It resolves a binding's references when the card is made,
// to see that they exist and can be masked, and keeps nothing of them. It reads
// none that is revoked.
type Registry struct {
	Writer  CatalogueWriter
	Reader  Catalogue
	Sources map[SourceKind]Source
	// Markers say what is revoked. A Registry without them resolves nothing.
	Markers MarkerReader
	// Providers has the provider that a card names. A Registry without it makes
	// no card whose source asks one.
	Providers interface {
		Provider(ctx context.Context, environment, name string) (Provider, error)
		PutProvider(ctx context.Context, p Provider) error
	}
	// CheckServer judges what reaches the upstream and where: attachments,
	// propagation, and the URL itself.
	CheckServer func(Server) error
	// CheckStore judges what is particular to the store's kind, and the address.
	// A Registry without it registers no store that has an address.
	CheckStore func(Store) error
	// CheckProvider judges a provider's addresses and its signing key. A Registry
	// without it registers no provider.
	CheckProvider func(Provider) error
	// TryAttach puts a credential into a request that is never sent, so that a
	// value its place cannot carry is refused when the card is made.
	TryAttach func(Server, map[string]secret.Value) error
}

// PutServer checks and stores a server. s.Version is the version it replaces.
func (r *Registry) PutServer(ctx context.Context, s Server) error {
	if err := r.ValidServer(s); err != nil {
		return err
	}
	return r.Writer.PutServer(ctx, s)
}

// ValidServer fails where PutServer would refuse a server.
func (r *Registry) ValidServer(s Server) error {
	if _, err := ParseRoute(s.Environment, s.Name); err != nil {
		return err
	}
	if _, err := OriginDigest(s.URL); err != nil {
		return err
	}
	if s.Owner == "" {
		return fmt.Errorf("%w server: an owner is required", ErrInvalid)
	}
	if _, err := Fields(s.Attach); err != nil {
		return err
	}
	if err := r.CheckServer(s); err != nil {
		return err
	}
	return opensOnlyPrivate("server", s.Networks)
}

// openable are the private ranges a server may open: RFC 1918, RFC 6598 and
// unique local addresses. Loopback, link-local and metadata addresses never.
var openable = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"),
}

// Opens reports whether a network lies within a range that may be opened.
func Opens(n netip.Prefix) bool {
	return n.IsValid() && slices.ContainsFunc(openable, func(p netip.Prefix) bool {
		return p.Bits() <= n.Bits() && p.Contains(n.Addr())
	})
}

// PutStore checks and registers a store.
func (r *Registry) PutStore(ctx context.Context, s Store) error {
	if err := r.ValidStore(s); err != nil {
		return err
	}
	return r.Writer.PutStore(ctx, s)
}

// ValidStore fails where PutStore would refuse a store.
func (r *Registry) ValidStore(s Store) error {
	if err := CheckName("store", s.Name); err != nil {
		return err
	}
	if err := CheckNewScope(s.Paths); err != nil {
		return err
	}
	if err := s.checkSignIn(); err != nil {
		return err
	}
	if err := opensOnlyPrivate("store", s.Networks); err != nil {
		return err
	}
	switch {
	case s.Kind == "sealed" && s.Name != s.Kind && s.State == Active: // what stands can be closed
		return fmt.Errorf("%w store: values have one store, and it is called sealed: register it under that name", ErrInvalid)
	case r.CheckStore != nil:
		return r.CheckStore(s)
	case s.Address != "":
		return fmt.Errorf("%w store: its address cannot be checked here", ErrInvalid)
	}
	return nil
}

// Bind checks a card, resolves its references, and stores it with the origin
// that the server has now: making or changing a card is the approval. Where
// b.Origin is said, the approval is for that one, and a server that has another
// by now is a conflict. b.Version is the version it replaces.
func (r *Registry) Bind(ctx context.Context, b Binding) error {
	s, err := r.binds(ctx, &b)
	if err != nil {
		return err
	}
	if b.Source == Static {
		if err := r.resolve(ctx, &b, &s); err != nil {
			return err
		}
	}
	return r.Writer.PutBinding(ctx, b)
}

// ValidBinding fails where Bind would refuse a card, but for what its references
// lead to: no secret is read.
func (r *Registry) ValidBinding(ctx context.Context, b Binding) error {
	_, err := r.binds(ctx, &b)
	return err
}

// binds checks a card against its server, gives it the server's origin, and
// returns what it was checked against.
func (r *Registry) binds(ctx context.Context, b *Binding) (Snapshot, error) {
	route, err := ParseRoute(b.Environment, b.Server)
	if err != nil {
		return Snapshot{}, err
	}
	if err := checkCard(b); err != nil {
		return Snapshot{}, err
	}
	s, err := r.Reader.Snapshot(ctx, Lookup{Route: route})
	if err != nil {
		return s, fmt.Errorf("read the server of the binding: %w", err)
	}
	if s.Server == nil || s.Server.State == Deleted {
		return s, fmt.Errorf("server %s: %w", route, ErrNotFound)
	}
	origin, err := OriginDigest(s.Server.URL)
	if err != nil {
		return s, err
	}
	if b.Origin != "" && b.Origin != origin {
		return s, fmt.Errorf("server %s has another origin: %w", route, ErrConflict)
	}
	b.Origin = origin
	if b.State == Active { // to stop a card takes nothing that is open
		s.Stores = s.OpenStores()
	}
	if err := usable(b, s.Server.Attach, s.Stores); err != nil {
		return s, err
	}
	if b.Source == Static {
		return s, nil
	}
	return s, r.provided(ctx, b)
}

// resolve sees that the references of a card exist and fit their places.
func (r *Registry) resolve(ctx context.Context, b *Binding, s *Snapshot) error {
	a := Ask{Binding: *b, Stores: s.OpenStores(), Server: *s.Server}
	err := usable(b, s.Server.Attach, a.Stores)
	if err == nil {
		err = Withheld(ctx, r.Markers, &a)
	}
	if b.State != Active && err != nil && ReasonOf(err) != CatalogueUnread {
		return nil // what is revoked is not read, and a card that nobody uses may name it
	}
	if err != nil {
		return err
	}
	credential, err := r.Sources[b.Source].Obtain(ctx, a)
	if err != nil {
		return fmt.Errorf("resolve the references of the binding: %w", err)
	}
	if err := r.TryAttach(*s.Server, credential.Fields); err != nil {
		return fmt.Errorf("attach the credential of the binding: %w", err)
	}
	return nil
}

// provided sees that there is a provider where the source asks one. There is
// nothing to resolve: each credential depends on who calls.
func (r *Registry) provided(ctx context.Context, b *Binding) error {
	if b.Source == PersonalKey {
		return nil
	}
	if r.Providers == nil {
		return refuse(ModeUnknown)
	}
	p, err := r.Providers.Provider(ctx, b.Environment, b.Provider)
	if err == nil && p.State != Active {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("provider of the binding: %w", err)
	}
	return nil
}

// checkCard holds a card's own fields to their rules.
func checkCard(b *Binding) error {
	if err := CheckName("binding", b.Name); err != nil {
		return err
	}
	if b.Owner == "" {
		return fmt.Errorf("%w binding: an owner is required", ErrInvalid)
	}
	if err := checkActor(b.Actor); err != nil {
		return err
	}
	if b.Mode == AgentScoped && b.Actor.Agent == "" {
		return fmt.Errorf("%w binding: mode agent_scoped needs an agent as its actor", ErrInvalid)
	}
	if b.Mode == UserDelegated && b.Actor.Attribute != (Attribute{}) {
		return fmt.Errorf("%w binding: mode user_delegated is for people, and an attribute is a workload's", ErrInvalid)
	}
	for _, list := range [][]string{b.Allow.Tools, b.Allow.Prompts, b.Allow.Resources} {
		for _, p := range list {
			if p == "" || strings.Contains(strings.TrimSuffix(p, "*"), "*") {
				return fmt.Errorf("%w binding: an allowed name is exact or ends in one *", ErrInvalid)
			}
		}
	}
	return nil
}

func checkActor(a Actor) error {
	forms := 0
	for _, set := range []bool{a.Principal != "" || a.Agent != "", a.Group != "", a.Attribute != Attribute{}, a.Anyone} {
		if set {
			forms++
		}
	}
	if forms != 1 || (a.Attribute.Name == "") != (a.Attribute.Value == "") {
		return fmt.Errorf("%w binding: exactly one actor is required: a principal (with or without an agent), an agent, a group, an attribute, or anyone", ErrInvalid)
	}
	return nil
}
