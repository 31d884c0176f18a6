package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"bindery/shared/broker"
)

// BeginRotation implements broker.Rotations.
func (s *DB) BeginRotation(ctx context.Context, r broker.Rotation) error {
	if r.Version != 0 {
		return fmt.Errorf("%w version of the rotation: it begins with none", broker.ErrInvalid)
	}
	return s.putRotation(ctx, BeginRotation, r, func(now *broker.Rotation) bool {
		return now == nil && r.Previous == "" || now != nil && now.ID == r.Previous && now.Step.Ended()
	})
}

// PutRotation implements broker.Rotations.
func (s *DB) PutRotation(ctx context.Context, r broker.Rotation) error {
	return s.putRotation(ctx, PutRotation, r, func(now *broker.Rotation) bool {
		return now != nil && now.ID == r.ID && now.Version == r.Version && !now.Step.Ended()
	})
}

func (s *DB) putRotation(ctx context.Context, op Op, r broker.Rotation, may func(*broker.Rotation) bool) error {
	next := r
	next.Version++
	if err := next.Check(); err != nil {
		return err
	}
	next.Begun, next.Moved, next.HeldUntil, next.Next = plain(r.Begun), plain(r.Moved), plain(r.HeldUntil), plain(r.Next)
	next.Kept, next.Fields, next.Before = clone(r.Kept), clone(r.Fields), clone(r.Before)
	return s.do(ctx, op, func() error {
		at := idKey{r.Environment, r.Subject}
		runs := s.rotations[at]
		var now *broker.Rotation
		if len(runs) > 0 {
			now = &runs[len(runs)-1]
		}
		switch {
		case may(now):
		case now != nil && reflect.DeepEqual(*now, next):
			return nil
		default:
			return broker.ErrConflict
		}
		if now == nil || now.ID != next.ID {
			s.rotations[at] = append(slices.Clone(runs), next)
			return nil
		}
		runs = slices.Clone(runs)
		runs[len(runs)-1] = next
		s.rotations[at] = runs
		return nil
	})
}

// Rotation implements broker.Rotations.
func (s *DB) Rotation(ctx context.Context, environment, subject string) (broker.Rotation, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckSubject(subject))
	return one(ctx, s, ReadRotation, invalid, func() *broker.Rotation {
		if runs := s.rotations[idKey{environment, subject}]; len(runs) > 0 {
			return &runs[len(runs)-1]
		}
		return nil
	})
}

// RotationRun implements broker.Rotations.
func (s *DB) RotationRun(ctx context.Context, environment, id string) (broker.Rotation, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckID("rotation", id))
	return one(ctx, s, ReadRotation, invalid, func() *broker.Rotation {
		for _, r := range s.runs(environment, "") {
			if r.ID == id {
				return &r
			}
		}
		return nil
	})
}

// runs gives runs without what is kept, newest first.
func (s *DB) runs(environment, subject string) (all []broker.Rotation) {
	for at, runs := range s.rotations {
		if at.environment == environment && (subject == "" || subject == at.id) {
			all = append(all, runs...)
		}
	}
	for i := range all {
		all[i].Kept = nil
	}
	slices.SortFunc(all, func(a, b broker.Rotation) int { return cmp.Compare(b.ID, a.ID) })
	return all
}

// DueRotations implements broker.Rotations.
func (s *DB) DueRotations(ctx context.Context, environment string, now time.Time, limit int) (due []broker.Rotation, err error) {
	if err := cmp.Or(broker.CheckName("environment", environment), broker.Page{Limit: limit}.Check()); err != nil {
		return nil, err
	}
	err = s.do(ctx, ListDueRotations, func() error {
		for at, runs := range s.rotations {
			if latest := runs[len(runs)-1]; at.environment == environment && latest.Due(now) {
				due = append(due, latest)
			}
		}
		slices.SortFunc(due, func(a, b broker.Rotation) int { return a.Next.Compare(b.Next) })
		due = due[:min(limit, len(due))]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// RotationsOf implements broker.Rotations.
func (s *DB) RotationsOf(ctx context.Context, environment, subject, after string, limit int) (found []broker.Rotation, next string, err error) {
	if err := broker.CheckRotationsOf(environment, subject, after, limit); err != nil {
		return nil, "", err
	}
	err = s.do(ctx, ListRotations, func() error {
		for _, r := range s.runs(environment, subject) {
			if after == "" || r.ID < after {
				found = append(found, r)
			}
		}
		if len(found) > limit {
			found, next = found[:limit], found[limit-1].ID
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// PutRotationPlan implements broker.RotationPlans.
func (s *DB) PutRotationPlan(ctx context.Context, p broker.RotationPlan) error {
	if err := p.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutRotationPlan, func() error {
		expected := p.Version
		p.Version++
		for at, other := range s.plans {
			if p.State != broker.Deleted && at.environment == p.Environment && at.id != p.Name && other.State != broker.Deleted && other.Subject() == p.Subject() {
				return broker.ErrConflict
			}
		}
		p.Recipe.Issue.Headers, p.Recipe.Retire.Headers = headers(p.Recipe.Issue.Headers), headers(p.Recipe.Retire.Headers)
		return replace(s.plans, idKey{p.Environment, p.Name}, p, func(now *broker.RotationPlan) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

// headers are as a table gives them back: none where there are none.
func headers(h map[string]string) map[string]string {
	if len(h) == 0 {
		return nil
	}
	return maps.Clone(h)
}

// RotationPlan implements broker.RotationPlans.
func (s *DB) RotationPlan(ctx context.Context, environment, name string) (broker.RotationPlan, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckName("rotation plan", name))
	return one(ctx, s, ReadRotationPlan, invalid, func() *broker.RotationPlan { return s.plans[idKey{environment, name}] })
}

// RotationPlans implements broker.RotationPlans.
func (s *DB) RotationPlans(ctx context.Context, environment string, p broker.Page) ([]broker.RotationPlan, error) {
	name := func(v broker.RotationPlan) string { return v.Name }
	return page(ctx, s, ListRotationPlans, broker.CheckName("environment", environment), p, name, func() (all []broker.RotationPlan) {
		for at, v := range s.plans {
			if at.environment == environment {
				all = append(all, *v)
			}
		}
		return all
	})
}
