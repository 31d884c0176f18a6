package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// Refilling puts rows that are in copies of the tables, restored from an earlier
// time, where the tables themselves have none. It never replaces a row, but for
// a marker by a later one that stops something. What was changed or ended
// after the copies were made does not come back as it was: History says what
// that is. See infra/restore, which refills.

// History is what happened after the copies were made.
type History interface {
	// Changed says which version an object may have come to since it had this one,
	// the very same where nobody changed it, and whether it was deleted last. It is
	// named as in audit records.
	Changed(object string, version int64) (latest int64, deleted bool)
	// GrantMoved says whether a person's grant at a server was given, ended,
	// revoked or found dead.
	GrantMoved(principal, server string) bool
	// ValueMoved says how often a sealed value was put, deleted or replaced, at most,
	// and whether it was deleted, for which a revocation counts.
	ValueMoved(id string) (times int64, deleted bool)
}

// Refilled says what became of the rows of one copy.
type Refilled struct {
	Read, Put, There int
	Out, Foreign     int      // rows that are in LeftOut; rows of other environments
	Unknown          int      // rows of a shape that this release does not know, and so did not put
	Closed           []string // put, but closed: objects that were changed since; told each time, as long as they stand so
	LeftOut          []string // not put, and why
}

// refill is one table being refilled.
type refill struct {
	table, from string
	environment string
	write       bool
	// prepare makes of a row what is put, or says why it is left out.
	prepare func(ctx context.Context, row attributes) (prepared, error)
	done    Refilled
	mu      sync.Mutex
}

// prepared is a row to be put, with what there is to say of it.
type prepared struct {
	row     attributes
	closed  string
	leftOut string
	over    *expression.ConditionBuilder // besides where nothing is
}

// refilling is how many rows are put side by side.
const refilling = 16

// RefillCatalogue refills the catalogue from the copy's. Without write it only
// says what it would do.
func (s *DB) RefillCatalogue(ctx context.Context, copied *DB, environment string, h History, write bool) (Refilled, error) {
	return s.refill(ctx, &refill{table: s.tables.Catalogue, from: copied.tables.Catalogue, environment: environment, write: write,
		prepare: func(ctx context.Context, row attributes) (prepared, error) { return s.catalogued(ctx, row, h) }})
}

// RefillGrants refills the grants.
func (s *DB) RefillGrants(ctx context.Context, copied *DB, environment string, h History, write bool) (Refilled, error) {
	return s.refill(ctx, &refill{table: s.tables.Grants, from: copied.tables.Grants, environment: environment, write: write,
		prepare: func(_ context.Context, row attributes) (prepared, error) { return granted(row, h), nil }})
}

// RefillRevocations refills markers and cases. A marker that is there gives way
// to one of a later epoch that revokes, and to no other.
func (s *DB) RefillRevocations(ctx context.Context, copied *DB, environment string, write bool) (Refilled, error) {
	return s.refill(ctx, &refill{table: s.tables.Revocations, from: copied.tables.Revocations, environment: environment, write: write,
		prepare: func(_ context.Context, row attributes) (prepared, error) {
			p := prepared{row: row}
			if revokes(row) {
				p.over = earlierThan(numberOf(row, "epoch"))
			}
			return p, nil
		}})
}

// RefillAudit refills the audit records, as they are.
func (s *DB) RefillAudit(ctx context.Context, copied *DB, environment string, write bool) (Refilled, error) {
	return s.refill(ctx, &refill{table: s.tables.Audit, from: copied.tables.Audit, environment: environment, write: write,
		prepare: func(_ context.Context, row attributes) (prepared, error) { return prepared{row: row}, nil }})
}

// RestoreMarker puts a marker that is known from its record, in all its copies,
// where none is; one that stops something also over one of an earlier epoch. It
// reports whether any was missing.
func (s *DB) RestoreMarker(ctx context.Context, m broker.Marker, write bool) (missing bool, err error) {
	const doing = "restore the marker"
	if err := m.Check(); err != nil {
		return false, err
	}
	item, err := encode(doing, newMarkerRow(m))
	if err != nil {
		return false, err
	}
	rows := []attributes{item}
	for shard := 1; shard < shards && m.Kind.Wide(); shard++ {
		rows = append(rows, withKey(item, wideMarkerKey(m.Environment, m.Key(), shard)))
	}
	var over *expression.ConditionBuilder
	if m.Revoked {
		over = earlierThan(m.Epoch)
	}
	for _, row := range rows {
		put, err := s.fill(ctx, s.tables.Revocations, prepared{row: row, over: over}, write)
		if err != nil {
			return missing, fmt.Errorf("%s: %w", doing, err)
		}
		missing = missing || put
	}
	return missing, nil
}

// earlierThan holds where a marker of an earlier epoch is.
func earlierThan(epoch int64) *expression.ConditionBuilder {
	c := expression.Name("epoch").LessThan(expression.Value(epoch))
	return &c
}

// refill goes through the copy.
func (s *DB) refill(ctx context.Context, r *refill) (Refilled, error) {
	doing := "refill the table " + r.table
	in := &dynamodb.ScanInput{TableName: aws.String(r.from), ConsistentRead: aws.Bool(true)}
	for {
		out, err := s.client.Scan(ctx, in)
		if err != nil {
			return r.done, fault(doing, err)
		}
		for some := range slices.Chunk(out.Items, refilling) {
			var puts []func(context.Context) error
			for _, row := range some {
				puts = append(puts, func(ctx context.Context) error { return s.refillRow(ctx, r, row) })
			}
			if err := together(ctx, puts); err != nil {
				return r.done, fmt.Errorf("%s: %w", doing, err)
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			slices.Sort(r.done.Closed)
			slices.Sort(r.done.LeftOut)
			r.done.Closed, r.done.LeftOut = slices.Compact(r.done.Closed), slices.Compact(r.done.LeftOut)
			return r.done, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func (s *DB) refillRow(ctx context.Context, r *refill, row attributes) error {
	switch {
	case !belongs(row, r.environment):
		r.count(func(d *Refilled) { d.Read++; d.Foreign++ })
		return nil
	case !known(row):
		r.count(func(d *Refilled) { d.Read++; d.Unknown++ })
		return nil
	}
	p, err := r.prepare(ctx, row)
	if err != nil {
		return err
	}
	put, closed := false, false
	if p.leftOut == "" {
		if put, err = s.fill(ctx, r.table, p, r.write); err != nil {
			return err
		}
		if closed, err = s.closed(ctx, r.table, p, put); err != nil {
			return err
		}
	}
	r.count(func(d *Refilled) {
		d.Read++
		switch {
		case p.leftOut != "":
			d.Out++
			d.LeftOut = append(d.LeftOut, p.leftOut)
		case !put:
			d.There++
		default:
			d.Put++
		}
		if closed {
			d.Closed = append(d.Closed, p.closed)
		}
	})
	return nil
}

// closed reports whether a row stands as it was put closed: now, or by a refilling
// before that was broken off and told nothing of it.
func (s *DB) closed(ctx context.Context, table string, p prepared, put bool) (bool, error) {
	switch {
	case p.closed == "":
		return false, nil
	case put:
		return true, nil
	}
	there, err := s.get(ctx, "look at a row that is closed", table, keyOf(p.row))
	return same(there, p.row), err
}

func (r *refill) count(change func(*Refilled)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.done)
}

// fill puts one row, or says whether it would. The answer to a put may be lost:
// the row that is then found is the very same.
func (s *DB) fill(ctx context.Context, table string, p prepared, write bool) (put bool, err error) {
	const doing = "refill a row"
	if !write {
		there, err := s.get(ctx, doing, table, keyOf(p.row))
		return there == nil || p.over != nil && numberOf(p.row, "epoch") > numberOf(there, "epoch"), err
	}
	may := absent()
	if p.over != nil {
		may = may.Or(*p.over)
	}
	_, err = s.tryPut(ctx, doing, table, p.row, may)
	if errors.Is(err, broker.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

func withKey(row attributes, k key) attributes {
	one := maps.Clone(row)
	one["pk"], one["sk"] = &types.AttributeValueMemberS{Value: k.pk}, &types.AttributeValueMemberS{Value: k.sk}
	return one
}
