package sealed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// checkID stands in the context of what a check seals. No value has it: ids
// have no space.
const checkID = "a check"

// leastPolicy is for the key's own policy. Only the admin function seals.
const leastPolicy = `{
  "Sid": "BinderySealsValues",
  "Effect": "Allow",
  "Principal": {"AWS": "ARN of the function's role"},
  "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
  "Resource": "*",
  "Condition": {"StringEquals": {
    "kms:EncryptionContext:bindery:environment": %q,
    "kms:EncryptionContext:bindery:purpose": "value"
  }}
}`

// Check implements broker.StoreChecker: it seals and opens a value of its own,
// which is stored nowhere, and tries whether the key would seal for another
// environment as well.
func (s *Store) Check(ctx context.Context, w broker.Want, _ []broker.Reference) (broker.StoreCheck, error) {
	check := broker.StoreCheck{LeastPolicy: fmt.Sprintf(leastPolicy, w.Environment)}
	own := secret.New(rand.Text())
	bound := broker.SealContext{Environment: w.Environment, Purpose: purpose, ID: checkID}
	text, err := s.sealer.Seal(ctx, bound, own)
	if err != nil {
		return check, fmt.Errorf("seal a value of the check: %w", err)
	}
	opened, err := s.sealer.Open(ctx, bound, text)
	if err != nil {
		return check, fmt.Errorf("open the value of the check: %w", err)
	}
	if !opened.Equal(own) {
		return check, fmt.Errorf("%w: what was sealed did not open as it was", broker.ErrKeyUnavailable)
	}
	bound.Environment = broker.Digest("no environment", w.Environment) // a name that nobody gives
	switch _, err := s.sealer.Seal(ctx, bound, own); {
	case err == nil:
		check.Warnings = append(check.Warnings, broker.StoreWarning{Word: broker.KeyUnbound})
	case !errors.Is(err, broker.ErrKeyUnavailable):
		return check, fmt.Errorf("try the key for another environment: %w", err)
	}
	return check, nil
}

// List implements broker.StoreLister where the values' store can list. It opens
// nothing.
func (s *Store) List(ctx context.Context, w broker.Want, after string, limit int) (found []broker.Reference, next string, err error) {
	lister, able := s.values.(broker.SealedLister)
	if !able {
		return nil, "", fmt.Errorf("%w: sealed values are not listed here", broker.ErrStoreDenied)
	}
	names, err := lister.SealedNames(ctx, w.Environment, broker.Page{After: after, Limit: limit})
	if err != nil {
		return nil, "", fmt.Errorf("list sealed values: %w", err)
	}
	for _, name := range names {
		r, err := broker.ParseReference(w.Store.Name + ":" + name)
		if err == nil && w.Store.Paths.Allows(r) {
			found = append(found, r)
		}
	}
	if len(names) == limit {
		next = names[limit-1]
	}
	return found, next, nil
}
