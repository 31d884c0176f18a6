package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"

	"bindery/shared/broker"
)

// Resealer puts a sealed text under the present key. It reports whether it was
// under another.
type Resealer interface {
	Reseal(ctx context.Context, environment string, sealed []byte) (resealed []byte, moved bool, err error)
}

// reencryption is what the task needs; its texts stay sealed all the while.
type reencryption struct {
	texts broker.SealedTexts
	keys  Resealer
}

// Reencrypted is what a run did. Former keys may be disabled when the runs of all
// segments, begun anew, have found nothing to move, and nothing failed.
type Reencrypted struct {
	Seen    int    `json:"seen"`
	Moved   int    `json:"moved"`
	Changed int    `json:"changed"` // by somebody else meanwhile: the next run looks at them
	Failed  int    `json:"failed"`  // no key that is known, or altered: they do not open for calls either
	Next    string `json:"next,omitempty"`
	Done    bool   `json:"done"` // false: the time was over; the next run goes on from next
}

const (
	// resealers is how many texts are with KMS at once.
	resealers = 8
	// scanned is how many rows are read at once.
	scanned = 100
)

// reencrypting reads {"task":"reencrypt"}, where one run is not enough with
// "after" (what the run before said) and, where several run side by side, with
// "segment" (from 0) and "segments".
func (h *Handler) reencrypting(event json.RawMessage) task {
	asked := struct {
		Task              string
		Segment, Segments int
		After             string
	}{Segments: 1}
	d := json.NewDecoder(bytes.NewReader(event))
	d.DisallowUnknownFields()
	if d.Decode(&asked) != nil || asked.Task != "reencrypt" {
		return nil
	}
	return func(ctx context.Context) (any, error) {
		return h.reencrypt(ctx, broker.Segment{Number: asked.Segment, Of: asked.Segments}, asked.After)
	}
}

func (h *Handler) reencrypt(ctx context.Context, of broker.Segment, after string) (any, error) {
	report := Reencrypted{Next: after}
	for !report.Done && ctx.Err() == nil {
		if err := h.reencryptPage(ctx, of, &report); err != nil && ctx.Err() == nil {
			h.log.Error("sealed texts could not be moved to the present key", "moved", report.Moved, "cause", err.Error())
			return nil, err
		}
	}
	h.log.Info("sealed texts moved to the present key", "seen", report.Seen, "moved", report.Moved, "changed", report.Changed,
		"failed", report.Failed, "done", report.Done)
	return report, nil
}

// reencryptPage does one page. One that was not done to its end is looked at again.
func (h *Handler) reencryptPage(ctx context.Context, of broker.Segment, report *Reencrypted) error {
	found, next, err := h.sealed.texts.SealedTexts(ctx, h.environment, of, report.Next, scanned)
	if err != nil {
		return err
	}
	page, err := h.reseal(ctx, found)
	report.Seen, report.Moved = report.Seen+page.Seen, report.Moved+page.Moved
	report.Changed, report.Failed = report.Changed+page.Changed, report.Failed+page.Failed
	if err != nil {
		return err
	}
	report.Next, report.Done = next, next == ""
	return nil
}

// reseal moves one page. It fails where a key or the table could not be asked;
// what was moved stays so.
func (h *Handler) reseal(ctx context.Context, found []broker.SealedText) (page Reencrypted, err error) {
	var (
		mu    sync.Mutex
		all   sync.WaitGroup
		texts = make(chan broker.SealedText)
	)
	for range min(resealers, len(found)) {
		all.Go(func() {
			for text := range texts {
				moved, fault := h.resealOne(ctx, text)
				mu.Lock()
				page.Seen++
				switch {
				case errors.Is(fault, broker.ErrKeyUnavailable):
					page.Failed++
				case errors.Is(fault, broker.ErrConflict):
					page.Changed++
				case fault != nil:
					err = fault
				case moved:
					page.Moved++
				}
				mu.Unlock()
			}
		})
	}
	for _, text := range found {
		texts <- text
	}
	close(texts)
	all.Wait()
	return page, err
}

func (h *Handler) resealOne(ctx context.Context, found broker.SealedText) (moved bool, err error) {
	text, moved, err := h.sealed.keys.Reseal(ctx, h.environment, found.Text)
	if err != nil || !moved {
		return false, err
	}
	return true, h.sealed.texts.ReplaceText(ctx, found, text)
}
