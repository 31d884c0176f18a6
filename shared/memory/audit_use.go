package memory

import (
	"cmp"
	"context"
	"slices"

	"bindery/shared/broker"
)

// SeenOf implements broker.AuditReader.
func (s *DB) SeenOf(ctx context.Context, environment string, kind broker.SeenKind, id, after string, limit int) (seen []broker.Seen, next string, err error) {
	if err := cmp.Or(broker.CheckSeen(environment, kind, id), broker.CheckUse(after), broker.CheckLimit(limit)); err != nil {
		return nil, "", err
	}
	uses := map[string]broker.Seen{}
	var passed error
	err = s.do(ctx, ReadSeen, func() error {
		for _, r := range s.indexed {
			for _, one := range broker.Sightings(r) {
				if one.Environment == environment && one.By == kind && one.ID == id {
					uses[one.Use()] = joined(uses[one.Use()], one.Seen)
				}
			}
		}
		for use, one := range uses {
			if use > after {
				seen = append(seen, one)
			}
		}
		seen, next, passed = firstOf(ReadSeen, seen, limit, broker.Seen.Use, func(one broker.Seen) bool {
			return s.spoilt[useKey(broker.Sighting{Environment: environment, By: kind, ID: id, Seen: one})]
		})
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return seen, next, passed
}

// joined is what two sightings of one use say together; the first may be none.
func joined(a, b broker.Seen) broker.Seen {
	if a.First.IsZero() {
		return b
	}
	if b.First.Before(a.First) {
		a.First = b.First
	}
	if b.Last.After(a.Last) {
		a.Last = b.Last
	}
	return a
}

// Usages implements broker.AuditReader.
func (s *DB) Usages(ctx context.Context, environment string, of []broker.Binding) (map[string]broker.Usage, error) {
	if err := broker.CheckUsages(environment, of); err != nil {
		return nil, err
	}
	found, spoilt := map[string]broker.Usage{}, map[string]bool{}
	err := s.do(ctx, ReadUsages, func() error {
		for _, b := range of {
			u, name := s.usage(environment, b), b.Server+"/"+b.Name
			switch {
			case u.Last.IsZero():
			case s.spoilt[bindingKey{broker.Route{Environment: environment, Server: b.Server}, b.Name}]:
				spoilt[name] = true
			default:
				found[name] = u
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, passedOver(ReadUsages, len(spoilt))
}

func (s *DB) usage(environment string, b broker.Binding) broker.Usage {
	u := broker.Usage{Server: b.Server, Binding: b.Name}
	var last, good string // receipts
	for _, r := range s.indexed {
		if r.Environment != environment || r.Phase != broker.Outcome || r.Server != b.Server || r.Binding != b.Name {
			continue
		}
		e, err := broker.EntryOf(r)
		if err != nil {
			continue
		}
		if r.Receipt > last {
			last, u.Last, u.Reason = r.Receipt, e.At, r.Reason
		}
		if r.Reason == "" && r.Receipt > good {
			good, u.LastGood = r.Receipt, e.At
		}
	}
	return u
}

// SeenVersions implements broker.AuditReader.
func (s *DB) SeenVersions(ctx context.Context, environment string, references []string) (map[string]broker.SeenVersion, error) {
	if err := broker.CheckRotations(environment, references); err != nil {
		return nil, err
	}
	first, lost := map[[2]string]broker.SeenVersion{}, map[versionKey]bool{}
	err := s.do(ctx, ReadRotations, func() error {
		for _, r := range s.indexed {
			for _, v := range broker.Versions(r) {
				at := [2]string{v.Reference, v.Version}
				if key := (versionKey{environment, v.Reference, v.Version}); s.spoilt[key] && r.Environment == environment && slices.Contains(references, v.Reference) {
					lost[key] = true
				}
				there, known := first[at]
				if r.Environment == environment && (!known || v.Since.Before(there.Since)) {
					first[at] = v
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	newest := map[string]broker.SeenVersion{}
	for _, v := range first {
		if slices.Contains(references, v.Reference) && v.Replaces(newest[v.Reference]) {
			newest[v.Reference] = v
		}
	}
	for key := range lost {
		delete(newest, key.reference) // it may be the newest
	}
	return newest, passedOver(ReadRotations, len(lost))
}
