package broker

import (
	"context"
	"slices"
)

// marks are what the markers of a decision's reads revoke.
type marks map[MarkerKey]struct{}

func marksOf(s *Snapshot) marks {
	var found marks // nil where nothing is revoked, as a rule
	for _, m := range s.Markers {
		if m.Revoked {
			if found == nil {
				found = marks{}
			}
			found[m.Key()] = struct{}{}
		}
	}
	return found
}

func (m marks) on(kind MarkerKind, id string) bool {
	_, revoked := m[MarkerKey{kind, id}]
	return revoked
}

// Admits reports, as a *Refusal, why no call of a principal to the server of
// the snapshot may pass, whatever the bindings say: environment and server must
// be positively alive, and nothing revoked that the principal is or belongs to.
// What is not known of a principal does not count.
func (s *Snapshot) Admits(environment string, p *Principal) error {
	return s.admits(environment, p, marksOf(s))
}

func (s *Snapshot) admits(environment string, p *Principal, revoked marks) error {
	switch {
	case s.Environment == nil || s.Environment.State != Active || s.Environment.Name != environment,
		revoked.on(EnvironmentMarker, environment), revoked.on(EverythingMarker, environment):
		return refuse(EnvironmentClosed)
	case s.Server == nil || s.Server.State == Deleted:
		return refuse(ServerUnknown)
	case s.Server.State != Active, revoked.on(ServerMarker, s.Server.Name):
		return refuse(ServerClosed)
	}
	return revoked.person(p)
}

// person refuses who is revoked, or belongs to what is.
func (m marks) person(p *Principal) error {
	switch {
	case len(m) == 0:
		return nil
	case m.on(PrincipalMarker, p.ID):
		return refuse(PrincipalRevoked)
	case p.Agent != "" && m.on(AgentMarker, p.Agent):
		return refuse(AgentRevoked)
	case m.on(IssuerMarker, p.Issuer):
		return refuse(IssuerRevoked)
	case slices.ContainsFunc(p.Groups, func(g string) bool { return m.on(GroupMarker, g) }):
		return refuse(GroupRevoked)
	}
	return nil
}

// Barred fails with a *Refusal where a principal, its agent, its issuer or one of
// its groups is revoked, or that could not be read. It is for whoever serves
// people without a Snapshot. An environment, or everything, that is revoked bars
// nobody here: calls end, and somebody has to be able to let them begin again.
func Barred(ctx context.Context, r MarkerReader, environment string, p *Principal) error {
	keys := []MarkerKey{{PrincipalMarker, p.ID}}
	for kind, id := range map[MarkerKind]string{AgentMarker: p.Agent, IssuerMarker: p.Issuer} {
		if id != "" {
			keys = append(keys, MarkerKey{kind, id})
		}
	}
	for _, g := range p.Groups {
		keys = append(keys, MarkerKey{GroupMarker, g})
	}
	for some := range slices.Chunk(keys, MaxMarkers) {
		found, err := r.Markers(ctx, environment, some)
		if err != nil {
			return &Refusal{Reason: CatalogueUnread, err: err}
		}
		if err := marksOf(&Snapshot{Markers: found}).person(p); err != nil {
			return err
		}
	}
	return nil
}

// OpenStores are the registrations, those that markers revoke in the state
// Revoked: nothing is read there, and what is said of a secret by their names
// still holds.
func (s *Snapshot) OpenStores() []Store {
	revoked := marksOf(s)
	if len(revoked) == 0 {
		return s.Stores
	}
	stores := slices.Clone(s.Stores)
	for i := range stores {
		if revoked.on(StoreMarker, stores[i].Name) {
			stores[i].State = Revoked
		}
	}
	return stores
}

// Standing is the state of a binding of the server, its marker included.
func (s *Snapshot) Standing(b *Binding) State { return marksOf(s).standing(b) }

func (m marks) standing(b *Binding) State {
	if b.State != Deleted && len(m) > 0 && m.on(BindingMarker, b.Server+"/"+b.Name) {
		return Revoked
	}
	return b.State
}

// WideMarkers is how many markers the decision read that every other reads too.
func (d *Decision) WideMarkers() (n int) {
	for i := range d.snapshot.Markers {
		if d.snapshot.Markers[i].Kind.Wide() {
			n++
		}
	}
	return n
}

// Withheld fails with a *Refusal where a reference or grant from which a source
// would give is revoked, or that could not be read. Broker asks this by itself,
// beside the source; whoever asks a source otherwise asks it first.
func Withheld(ctx context.Context, r MarkerReader, a *Ask) error {
	_, err := readHolds(ctx, r, a)
	return err
}

func readHolds(ctx context.Context, r MarkerReader, a *Ask) (map[string]int64, error) {
	keys := holds(a)
	if len(keys) == 0 {
		return nil, nil
	}
	if r == nil {
		return nil, &Refusal{Reason: CatalogueUnread, err: ErrUnavailable}
	}
	changes := map[string]int64{}
	for some := range slices.Chunk(keys, MaxMarkers) { // more than that, where many registrations are of one place
		markers, err := r.Markers(ctx, a.Binding.Environment, some)
		if err != nil {
			return nil, &Refusal{Reason: CatalogueUnread, err: err}
		}
		for _, m := range markers {
			switch {
			case m.Kind == ChangeMarker:
				changes[m.ID] = m.Epoch
			case m.Revoked && m.Kind == GrantMarker:
				return nil, refuse(GrantRevoked)
			case m.Revoked:
				return nil, refuse(ReferenceRevoked)
			}
		}
	}
	return changes, nil
}

// holds names the markers that decide whether a source may give: of the grant,
// or of each reference and of the credentials of their stores. The changes of
// references are for cards whose values are kept.
func holds(a *Ask) (keys []MarkerKey) {
	b := &a.Binding
	add := func(kind MarkerKind, r Reference) {
		for _, of := range covering(r) {
			if k := (MarkerKey{kind, of.String()}); !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	rests := func(r Reference) {
		add(ReferenceMarker, r)
		for _, other := range OtherNames(r, a.Stores) {
			add(ReferenceMarker, other)
		}
	}
	switch b.Source {
	case AuthorizationCode, PersonalKey:
		return []MarkerKey{GrantKey{Principal: a.Principal.ID, Server: b.Server}.Marker()}
	case Static:
		for _, f := range b.Fields {
			rests(f.Reference)
			if b.MaxAge > 0 {
				add(ChangeMarker, f.Reference)
			}
			for _, s := range a.Stores {
				if s.Name == f.Reference.Scheme() && !s.Auth.Credential.IsZero() {
					rests(s.Auth.Credential)
				}
			}
		}
	case ClientCredentials, TokenExchange: // what they give is read of no reference, and is nobody's grant
	}
	return keys
}

// covering is the secret that a reference names, and, where it selects one of
// its versions, the secret whichever version.
func covering(r Reference) []Reference {
	r = r.WithoutKey()
	if r.selector == "" {
		return []Reference{r}
	}
	whole := r
	whole.selector, whole.selected = "", ""
	return []Reference{r, whole}
}

// Marker is where a grant is revoked, whatever the origin.
func (k GrantKey) Marker() MarkerKey { return MarkerKey{GrantMarker, k.Principal + "/" + k.Server} }

// Changes counts what was heard of changes of a reference, given the counts that
// Ask.Changes gave: another count means that the value may be another.
func (r Reference) Changes(counts map[string]int64) (n int64) {
	for _, of := range covering(r) {
		n += counts[of.String()]
	}
	return n
}

// holding is such a read under way.
type holding struct {
	done    chan struct{}
	changes map[string]int64 // once done
	err     error            // once done
}

func (b *Broker) readHolds(ctx context.Context, d *Decision) *holding {
	h := &holding{done: make(chan struct{})}
	a := Ask{Binding: d.Binding, Stores: d.Stores, Principal: d.Call.Principal}
	go func() {
		defer close(h.done)
		h.changes, h.err = readHolds(ctx, b.markers, &a)
	}()
	return h
}

// wait gives what Ask.Changes gives.
func (h *holding) wait(ctx context.Context) (map[string]int64, error) {
	select {
	case <-h.done:
		return h.changes, h.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// released holds what a source gave, or its fault, against the markers. That
// something is revoked counts more than any fault: nobody is asked for a consent
// that would not help.
func (h *holding) released(fault error) error {
	<-h.done
	if h.err == nil {
		return fault
	}
	if fault == nil || reasonOf(h.err) != CatalogueUnread {
		return h.err
	}
	return fault
}
