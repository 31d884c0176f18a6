package handler

import (
	"context"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/drift"
)

// synced is a page of a sync under way: what it sees opens and closes notices at
// once, as a search for drift does.
type synced struct {
	*Handler
	store  broker.Store
	eye    *drift.Eye
	keeper *drift.Keeper
	reach  drift.Reach
	sights []drift.Sight
	begun  string // where the page begins
}

func (h *Handler) newSync(ctx context.Context, store broker.Store, stores []broker.Store, begun string) *synced {
	return &synced{Handler: h, store: store, begun: begun,
		eye: &drift.Eye{Cards: h.reader, Source: h.registry.Sources[broker.Static], Inspector: h.inspector, Stores: stores, Now: h.now},
		keeper: &drift.Keeper{Notices: h.notices, Journal: h.desk.Journal, Environment: h.environment, Now: h.now, Receipt: h.receipt,
			By: callerOf(ctx).Principal.ID}}
}

// page looks at the uses of one page, until its time is up, and says where the
// next one begins.
func (s *synced) page(ctx context.Context, limit int) (next string, err error) {
	uses, next, err := s.uses.UsesOfStore(ctx, s.environment, s.store.Name, s.begun, limit)
	if err != nil {
		return "", err
	}
	until := s.now().Add(syncTime)
	for i, u := range uses {
		if i > 0 && !s.now().Before(until) {
			next = uses[i-1].Token()
			break
		}
		sight, err := s.eye.Look(ctx, u.Reference, []broker.Use{u})
		if err != nil {
			return "", err
		}
		if last := len(s.sights) - 1; last >= 0 && s.sights[last].Reference == u.Reference {
			s.sights[last].Add(sight)
		} else {
			s.sights = append(s.sights, sight)
		}
	}
	return next, s.judge(ctx, next)
}

// judge opens and closes. A reference whose bindings go on from or to another page
// is left to the next search: what one binding gets says nothing of the others.
func (s *synced) judge(ctx context.Context, next string) error {
	for i, sight := range s.sights {
		s.reach.Add(sight)
		if i == 0 && isOf(s.begun, sight.Reference) {
			continue
		}
		if i == len(s.sights)-1 && next != "" {
			more, _, err := s.uses.UsesOfReference(ctx, s.environment, sight.Reference, next, 1)
			if err != nil {
				return err
			}
			if len(more) > 0 {
				continue
			}
		}
		if err := s.keeper.Judge(ctx, sight, s.evidence, s.store.MaxValueAge); err != nil {
			return err
		}
	}
	s.reach.Part = s.begun != "" || next != ""
	if err := s.keeper.JudgeStore(ctx, s.store.Name, s.reach, true); err != nil {
		return err
	}
	return s.keeper.Finish(ctx)
}

// isOf reports whether a page began within the uses of a reference.
func isOf(begun string, r broker.Reference) bool {
	reference, _, _ := strings.Cut(begun, ".")
	mine, _, _ := strings.Cut(broker.Use{Reference: r}.Token(), ".")
	return reference == mine
}
