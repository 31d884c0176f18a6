package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"bindery/shared/broker"
)

// slack is how much longer a claim, a counter or a place is kept than it is
// asked about.
const slack = time.Hour

// keySetRow and claimRow carry expires, the table's TTL attribute. DynamoDB
// deletes late, so the times are compared here as well.
type keySetRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Issuer      string `dynamodbav:"issuer"`
	Sealed      []byte `dynamodbav:"sealed"`
	Fetched     string `dynamodbav:"fetched"`
	Expires     int64  `dynamodbav:"expires"`
}

type claimRow struct {
	item
	Claimed string `dynamodbav:"claimed"`
	Nonce   string `dynamodbav:"nonce"` // tells "my claim was applied" from "somebody else's"
	Expires int64  `dynamodbav:"expires"`
}

func (r keySetRow) value() (broker.KeySet, error) {
	fetched, err := parseStamp(r.Fetched)
	return broker.KeySet{Environment: r.Environment, Issuer: r.Issuer, Sealed: r.Sealed, Fetched: fetched}, err
}

// LoadKeys implements broker.KeySets. A set older than broker.KeySetLife is
// not found, whether or not it has been deleted yet.
func (s *DB) LoadKeys(ctx context.Context, environment, issuer string) (broker.KeySet, error) {
	const doing = "load the issuer's keys"
	if err := broker.CheckID("issuer", issuer); err != nil {
		return broker.KeySet{}, err
	}
	a, err := s.get(ctx, doing, s.tables.Transient, keySetKey(environment, issuer))
	if err != nil {
		return broker.KeySet{}, err
	}
	if a == nil {
		return broker.KeySet{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	k, err := decode(a, keySetRow.value, func(k broker.KeySet) key { return keySetKey(k.Environment, k.Issuer) })
	if err != nil {
		return broker.KeySet{}, err
	}
	if !s.now().Before(k.Fetched.Add(broker.KeySetLife)) {
		return broker.KeySet{}, fmt.Errorf("%s: %w: it is too old", doing, broker.ErrNotFound)
	}
	return k, nil
}

// SaveKeys implements broker.KeySets. An older set than the stored one is
// dropped without an error.
func (s *DB) SaveKeys(ctx context.Context, k broker.KeySet) error {
	const doing = "save the issuer's keys"
	if err := k.Check(); err != nil {
		return err
	}
	row := keySetRow{keySetKey(k.Environment, k.Issuer).item(), k.Environment, k.Issuer, k.Sealed,
		stamp(k.Fetched), expiry(k.Fetched, broker.KeySetLife)}
	older := expression.Or(absent(), expression.Name("fetched").LessThan(expression.Value(row.Fetched)),
		expression.Name("fetched").GreaterThan(expression.Value(stamp(k.Fetched.Add(broker.ClockSkew)))))
	err := s.putRow(ctx, doing, s.tables.Transient, row, older)
	if errors.Is(err, broker.ErrConflict) {
		return nil
	}
	return err
}

// ClaimFetch implements broker.KeySets.
func (s *DB) ClaimFetch(ctx context.Context, environment, issuer string, now, notSince time.Time) (bool, error) {
	const doing = "claim the fetch of the issuer's keys"
	if err := broker.CheckID("issuer", issuer); err != nil {
		return false, err
	}
	if now.IsZero() || now.Before(notSince) {
		return false, fmt.Errorf("%w claim: the time before which it may be taken lies in the future", broker.ErrInvalid)
	}
	at := claimKey(environment, issuer)
	there, err := s.get(ctx, doing, s.tables.Transient, at)
	if err != nil {
		return false, err
	}
	if there != nil {
		claim, err := readClaim(there, at)
		if err != nil {
			return false, fmt.Errorf("%s: %w", doing, err)
		}
		if claim.Claimed >= stamp(notSince) && claim.Claimed <= stamp(now.Add(broker.ClockSkew)) {
			return false, nil
		}
	}
	mine := claimRow{at.item(), stamp(now), rand.Text(), expiry(now, now.Sub(notSince)+slack)}
	item, err := encode(doing, mine)
	if err != nil {
		return false, err
	}
	free := expression.Or(absent(), expression.Name("claimed").LessThan(expression.Value(stamp(notSince))),
		expression.Name("claimed").GreaterThan(expression.Value(stamp(now.Add(broker.ClockSkew)))))
	there, err = s.tryPut(ctx, doing, s.tables.Transient, item, free)
	switch {
	case err == nil:
		return true, nil
	case !errors.Is(err, broker.ErrConflict):
		return false, err
	}
	theirs, err := readClaim(there, at)
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	return theirs.Nonce == mine.Nonce, nil
}

func readClaim(a attributes, at key) (claimRow, error) {
	var r claimRow
	if err := attributevalue.UnmarshalMap(a, &r); err != nil {
		return r, fmt.Errorf("%w: an attribute has the wrong type", broker.ErrUndecodable)
	}
	if _, err := time.Parse(stampForm, r.Claimed); err != nil || r.item != at.item() || r.Nonce == "" {
		return r, fmt.Errorf("%w: it is no claim", broker.ErrUndecodable)
	}
	return r, nil
}
