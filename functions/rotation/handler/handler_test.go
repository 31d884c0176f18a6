package handler

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/start"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// due is a list of what each look at the grants finds.
type due struct {
	batches []credential.Prefetched
	fault   error
	wait    bool // until the time is over
	asked   []string
}

func (d *due) RefreshDue(ctx context.Context, environment string, before time.Time, limit int) (credential.Prefetched, error) {
	d.asked = append(d.asked, environment+" "+before.Format(time.TimeOnly))
	if limit > broker.MaxPage || len(d.batches) == 0 {
		return credential.Prefetched{}, errors.New("asked once too often")
	}
	batch := d.batches[0]
	d.batches = d.batches[1:]
	if d.wait {
		<-ctx.Done()
		return batch, ctx.Err()
	}
	if len(d.batches) == 0 {
		return batch, d.fault
	}
	return batch, nil
}

// newHandler is the handler over made-up grants, and its log without times.
func newHandler(grants Grants) (*Handler, *strings.Builder) {
	log := &strings.Builder{}
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	return &Handler{grants: grants, environment: "prod", log: slog.New(slog.NewJSONHandler(log, plain)), now: func() time.Time { return noon }}, log
}

const refresh = `{"task":"refresh"}`

func TestARunGoesOnWhileThereIsSomethingToDo(t *testing.T) {
	all := broker.MaxPage
	for name, c := range map[string]struct {
		batches []credential.Prefetched
		want    Refreshed
	}{
		"nothing is due":                {[]credential.Prefetched{{}}, Refreshed{Done: true}},
		"one batch":                     {[]credential.Prefetched{{Refreshed: 3, Left: 2}}, Refreshed{3, 2, true, 0}},
		"several":                       {[]credential.Prefetched{{Refreshed: all}, {Refreshed: all - 5, Left: 5}, {Left: 5}}, Refreshed{2*all - 5, 5, true, 0}},
		"a batch that nobody can work":  {[]credential.Prefetched{{Left: all}}, Refreshed{0, all, false, 0}},
		"one that is worked no further": {[]credential.Prefetched{{Refreshed: 1, Left: all - 1}, {Left: all}}, Refreshed{1, all, false, 0}},
	} {
		grants := &due{batches: c.batches}
		h, _ := newHandler(grants)
		got, err := h.Handle(t.Context(), json.RawMessage(refresh))
		if diff := cmp.Diff(any(c.want), got); err != nil || diff != "" || len(grants.batches) > 0 {
			t.Errorf("%s: %v, %d batches left, %s", name, err, len(grants.batches), diff)
		}
		if grants.asked[0] != "prod 12:10:00" {
			t.Errorf("%s: asked for %s", name, grants.asked[0])
		}
	}
}

// TestGrantsThatDoNotDecodeAreTold, and keep no others from being refreshed.
func TestGrantsThatDoNotDecodeAreTold(t *testing.T) {
	h, log := newHandler(&due{batches: []credential.Prefetched{{Refreshed: broker.MaxPage, Unread: 2}, {Refreshed: 1, Unread: 2}}})
	got, err := h.Handle(t.Context(), json.RawMessage(refresh))
	if want := (Refreshed{broker.MaxPage + 1, 0, true, 2}); err != nil || got != any(want) {
		t.Errorf("%+v, %v", got, err)
	}
	if !strings.Contains(log.String(), `"level":"ERROR"`) || !strings.Contains(log.String(), `"RowsUnreadable":2`) {
		t.Errorf("logged %s", log)
	}
}

func TestTablesThatCannotBeReadFailTheRun(t *testing.T) {
	h, log := newHandler(&due{batches: []credential.Prefetched{{Refreshed: broker.MaxPage}, {Refreshed: 1}}, fault: broker.ErrUnavailable})
	if got, err := h.Handle(t.Context(), json.RawMessage(refresh)); !errors.Is(err, broker.ErrUnavailable) || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if !strings.Contains(log.String(), `"refreshed":201`) {
		t.Errorf("logged %s", log)
	}
}

// TestARunEndsBeforeTheInvocation, and what it did by then counts.
func TestARunEndsBeforeTheInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), reserve+time.Second)
		defer cancel()
		h, _ := newHandler(&due{batches: []credential.Prefetched{{Refreshed: 7}}, wait: true})
		got, err := h.Handle(ctx, json.RawMessage(refresh))
		if want := (Refreshed{Refreshed: 7}); err != nil || got != any(want) || ctx.Err() != nil {
			t.Errorf("%+v, %v, the invocation is over: %v", got, err, ctx.Err())
		}
	})
}

type broken struct{}

func (broken) RefreshDue(context.Context, string, time.Time, int) (credential.Prefetched, error) {
	panic("made-up-secret")
}

func TestAPanicSaysNothing(t *testing.T) {
	h, log := newHandler(broken{})
	if _, err := h.Handle(t.Context(), json.RawMessage(refresh)); !errors.Is(err, start.ErrPanic) || strings.Contains(log.String(), "made-up-secret") {
		t.Errorf("%v, %s", err, log)
	}
}
