// Package credential obtains credentials and puts them into the upstream call:
// references (static.go), what is each person's own (grant.go and the files
// beside it), tokens that a provider issues to Bindery or in exchange
// (issued.go); then attaching (attach.go), and the identity that travels beside
// it (propagate.go).
//
// Attach is where a secret leaves the process; refresh tokens and callers' own
// tokens leave it to their provider alone. The package never logs, never puts a
// value into an error, never attaches part of a credential, never takes one
// account for another, and keeps nothing but issued tokens while they live and
// what cards with a MaxAge allow (kept.go), in memory.
package credential

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Static is broker.Source for bindings whose fields are references: each is
// read from its store each time it is used, unless the card has a MaxAge. It is
// safe for concurrent use.
type Static struct {
	stores map[string]broker.SecretStore
	check  func(secret.Value) error
	kept   kept
}

// NewStatic makes a Static over the stores this deployment has, by kind. check
// says whether a value can be masked; what it refuses is not released, also
// when it was rotated in after the binding was made. Its errors must not hold
// the value.
func NewStatic(stores map[string]broker.SecretStore, check func(secret.Value) error) *Static {
	return &Static{stores: stores, check: check, kept: kept{entries: map[string]*keep{}}}
}

// read is one secret of a binding and the fields that draw from it.
type read struct {
	store  broker.SecretStore
	want   broker.Want
	fields []broker.Field
	found  broker.Secret
	ask    func(context.Context) (broker.Secret, error) // nil: the store
}

// Obtain implements broker.Source: each secret is read once, all of them side
// by side; the first error ends the others and is what Obtain returns.
func (s *Static) Obtain(ctx context.Context, a broker.Ask) (broker.Credential, error) {
	return s.obtain(ctx, a, false)
}

// obtain asks the stores anew where that is demanded, whatever is kept.
func (s *Static) obtain(ctx context.Context, a broker.Ask, anew bool) (broker.Credential, error) {
	reads, err := s.plan(&a)
	if err == nil && a.Binding.MaxAge > 0 && a.Changes != nil { // who cannot say what changed gets nothing that is kept
		err = s.kept.use(ctx, &a, reads, anew)
	}
	if err != nil {
		return broker.Credential{}, err
	}
	if err := fetchAll(ctx, reads); err != nil {
		return broker.Credential{}, err
	}
	c := broker.Credential{Fields: make(map[string]secret.Value, len(a.Binding.Fields))}
	for i := range reads {
		if err := s.collect(&c, &reads[i]); err != nil {
			return broker.Credential{}, err
		}
	}
	slices.SortFunc(c.Access, func(x, y broker.Access) int { return cmp.Compare(x.Reference, y.Reference) })
	return c, nil
}

// plan groups the fields by secret and finds the store of each.
func (s *Static) plan(a *broker.Ask) ([]read, error) {
	var reads []read
	for _, f := range a.Binding.Fields {
		whole := f.Reference.WithoutKey()
		i := slices.IndexFunc(reads, func(r read) bool { return r.want.Reference == whole })
		if i < 0 {
			store, registered, err := s.storeOf(f.Reference, a)
			if err != nil {
				return nil, ofField(f, err)
			}
			i = len(reads)
			reads = append(reads, read{store: store, want: broker.Want{
				Reference: whole, Environment: a.Binding.Environment, Origin: a.Binding.Origin,
				Store: registered, Credential: s.signIn(registered, a),
			}})
		}
		r := &reads[i]
		r.fields = append(r.fields, f)
		if !slices.Contains(r.want.Keys, f.Reference.Key()) {
			r.want.Keys = append(r.want.Keys, f.Reference.Key())
		}
	}
	return reads, nil
}

// storeOf finds the adapter by way of the environment's registration. The
// decision has held the reference to it already; a caller that has not decided
// gets nothing here either.
func (s *Static) storeOf(r broker.Reference, a *broker.Ask) (broker.SecretStore, broker.Store, error) {
	for _, registered := range a.Stores {
		if registered.Name != r.Scheme() || registered.State != broker.Active || registered.Environment != a.Binding.Environment {
			continue
		}
		if !registered.Paths.Allows(r) {
			return nil, broker.Store{}, fmt.Errorf("%w: the reference is outside the paths of its store", broker.ErrStoreDenied)
		}
		if store := s.stores[registered.Kind]; store != nil {
			return store, registered, nil
		}
		return nil, broker.Store{}, fmt.Errorf("%w: this deployment has no store of kind %q", broker.ErrStoreDenied, registered.Kind)
	}
	return nil, broker.Store{}, fmt.Errorf("%w: no active store is registered under the name %q", broker.ErrStoreDenied, r.Scheme())
}

func ofField(f broker.Field, err error) error {
	return &broker.FieldFault{Field: f.Name, Store: f.Reference.Scheme(), Err: err}
}

func fetchAll(ctx context.Context, reads []read) error {
	if len(reads) == 1 { // the usual case needs no goroutine
		return reads[0].fetch(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i := range reads {
		all.Go(func() {
			if err := reads[i].fetch(ctx); err != nil {
				cancel(err) // only the first counts
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (r *read) fromStore(ctx context.Context) (broker.Secret, error) {
	return r.store.Fetch(ctx, r.want)
}

func (r *read) fetch(ctx context.Context) error {
	ask, err := r.ask, error(nil)
	if ask == nil {
		ask = r.fromStore
	}
	if r.found, err = ask(ctx); err != nil {
		return ofField(r.fields[0], err)
	}
	return nil
}

// collect moves what was read into the credential. An earlier value that check
// refuses could not have been released, so nothing needs to be masked for it.
func (s *Static) collect(c *broker.Credential, r *read) error {
	for _, f := range r.fields {
		value := r.found.Values[f.Reference.Key()]
		if value.IsZero() {
			return ofField(f, fmt.Errorf("%w: the store gave no value", broker.ErrSecretMalformed))
		}
		if err := s.check(value); err != nil {
			return ofField(f, fmt.Errorf("%w: %w", broker.ErrSecretMalformed, err))
		}
		c.Fields[f.Name] = value
	}
	for _, earlier := range r.found.Previous {
		if !earlier.IsZero() && s.check(earlier) == nil {
			c.Previous = append(c.Previous, earlier)
		}
	}
	c.Access = append(c.Access, broker.Access{
		Reference: r.want.Reference.String(), Version: r.found.Version, RequestID: r.found.RequestID,
	})
	return nil
}
