package env

import (
	"context"
	"fmt"
	"slices"

	"bindery/shared/broker"
)

// leastPolicy is all there is to say: no right of another service is needed.
const leastPolicy = "None: the variables are the function's own. Whoever may read or change the function's configuration reads them."

// Check implements broker.StoreChecker: it says which registered variables are
// not set, by name.
func (s *Store) Check(_ context.Context, w broker.Want, _ []broker.Reference) (broker.StoreCheck, error) {
	check := broker.StoreCheck{LeastPolicy: leastPolicy}
	if err := Check(w.Store); err != nil { // a row is not trusted more than a form
		return check, fmt.Errorf("%w: %w", broker.ErrStoreDenied, err)
	}
	var missing []string
	for _, name := range w.Store.Paths {
		if value, ok := s.lookup(name); !ok || value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		check.Warnings = []broker.StoreWarning{{Word: broker.VariableOff, Names: missing}}
	}
	return check, nil
}

// List implements broker.StoreLister: the registered variables that are set.
func (s *Store) List(_ context.Context, w broker.Want, after string, limit int) (found []broker.Reference, next string, err error) {
	if err := Check(w.Store); err != nil {
		return nil, "", fmt.Errorf("%w: %w", broker.ErrStoreDenied, err)
	}
	for _, name := range slices.Sorted(slices.Values(w.Store.Paths)) {
		if value, ok := s.lookup(name); name <= after || !ok || value == "" {
			continue
		}
		if len(found) == limit {
			return found, found[limit-1].Path(), nil
		}
		r, err := broker.ParseReference(w.Store.Name + ":" + name)
		if err != nil {
			return nil, "", err
		}
		found = append(found, r)
	}
	return found, "", nil
}
