package dynamo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// mark is an attribute that only ever moves one way: to later texts, or to
// earlier ones. What goes along is stored whenever the mark moves.
type mark struct {
	name    string
	text    string
	earlier bool
	along   map[string]string
}

// beats reports whether a mark moves what is stored.
func (m mark) beats(stored string) bool {
	if m.earlier {
		return stored == "" || m.text < stored
	}
	return m.text > stored
}

// marks is one row: who or what it is about, and its marks by name.
type marks struct {
	about map[string]string
	moves map[string]mark
}

// marked is what a batch of records has to say, folded: one row for each key.
type marked map[key]marks

func (m marked) add(at key, about map[string]string, moves ...mark) {
	there, known := m[at]
	if !known {
		there = marks{about, map[string]mark{}}
		m[at] = there
	}
	for _, one := range moves {
		if had, known := there.moves[one.name]; !known || one.beats(had.text) {
			there.moves[one.name] = one
		}
	}
}

// of adds what a record says besides its entry.
func (m marked) of(e broker.Entry, r broker.Record) {
	for _, s := range broker.Sightings(r) {
		m.add(seenKey(s), map[string]string{"principal": s.Principal, "agent": s.Agent, "server": s.Server, "binding": s.Binding},
			mark{name: "first", text: stamp(s.First), earlier: true}, mark{name: "last", text: stamp(s.Last)})
	}
	for _, v := range broker.Versions(r) {
		m.add(rotationKey(r.Environment, v), map[string]string{"reference": v.Reference, "version": v.Version},
			mark{name: "since", text: stamp(v.Since), earlier: true})
	}
	if e.Phase != broker.Outcome || e.Server == "" || e.Binding == "" {
		return
	}
	moves := []mark{{name: "last", text: e.Receipt, along: map[string]string{"reason": string(e.Reason)}}}
	if e.Reason == "" {
		moves = append(moves, mark{name: "last_good", text: e.Receipt})
	}
	m.add(usageKey(e.Environment, e.Server, e.Binding), map[string]string{"server": e.Server, "binding": e.Binding}, moves...)
}

func (m marked) lag(r broker.Record, now time.Time) {
	m.add(lagKey(r.Environment), nil, mark{name: "newest", text: stamp(r.At), along: map[string]string{"indexed": stamp(now)}})
}

// raise moves the marks that are to move. What is stored is read first, since
// most of it stays as it is, and least of all a repetition moves anything.
func (s *DB) raise(ctx context.Context, doing string, all marked) error {
	chunks := slices.Collect(slices.Chunk(slices.Collect(maps.Keys(all)), batchKeys))
	return inTurns(ctx, len(chunks), func(ctx context.Context, i int) error {
		stored := map[key]attributes{}
		err := s.batch(ctx, doing, map[string][]key{s.tables.AuditIndex: chunks[i]}, func(k key, a attributes) error {
			stored[k] = a
			return nil
		})
		if err != nil {
			return err
		}
		return inTurns(ctx, len(chunks[i]), func(ctx context.Context, j int) error {
			k := chunks[i][j]
			return s.move(ctx, doing, k, all[k], stored[k])
		})
	})
}

// moveTries bounds how often others may move the marks of a row in between.
const moveTries = 10

// move is one update, of the marks that beat what is stored, on the condition
// that they still do.
func (s *DB) move(ctx context.Context, doing string, k key, row marks, stored attributes) error {
	for range moveTries {
		e, moves, err := row.over(stored)
		if err != nil || !moves {
			return err
		}
		_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: aws.String(s.tables.AuditIndex), Key: k.attributes(),
			UpdateExpression: e.Update(), ConditionExpression: e.Condition(),
			ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
		})
		if err == nil {
			return nil
		}
		if _, others := refused(err); !others {
			return fault(doing, err)
		}
		if stored, err = s.get(ctx, doing, s.tables.AuditIndex, k); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w: others keep moving the row", doing, broker.ErrUnavailable)
}

// over is the update of those marks that beat the stored ones, if any do.
func (row marks) over(stored attributes) (e expression.Expression, moves bool, err error) {
	update := expression.Set(expression.Name("schema"), expression.Value(schema))
	for name, text := range row.about {
		update = update.Set(expression.Name(name), expression.Value(text))
	}
	var condition expression.ConditionBuilder
	for _, m := range row.moves {
		there, _ := stored[m.name].(*types.AttributeValueMemberS)
		if there != nil && !m.beats(there.Value) {
			continue
		}
		name, text := expression.Name(m.name), expression.Value(m.text)
		update = update.Set(name, text)
		for also, said := range m.along {
			update = update.Set(expression.Name(also), expression.Value(said))
		}
		beats := name.LessThan(text)
		if m.earlier {
			beats = name.GreaterThan(text)
		}
		beats = expression.Or(expression.AttributeNotExists(name), beats)
		if moves {
			beats = condition.And(beats)
		}
		condition, moves = beats, true
	}
	if !moves {
		return e, false, nil
	}
	e, err = expression.NewBuilder().WithUpdate(update).WithCondition(condition).Build()
	if err != nil {
		return e, false, fmt.Errorf("build the update of the index: %w", err)
	}
	return e, true, nil
}
