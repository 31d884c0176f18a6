package handler

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"bindery/shared/broker"
)

// What one page of a table may cost.
const (
	pageTime  = 10 * time.Second
	pageReads = 64 // lists, or steps of a list
)

// place is where a page ended, and of which question: a token of another
// question, or of another environment, opens nothing. It is no secret.
type place struct {
	of       string    // digest of the question
	from, to time.Time // the window that the first page had, where there is one
	after    string    // for whoever reads on
}

// question names what is asked, so that pages of another question are told apart.
func (h *Handler) question(operation string, parts ...string) string {
	return broker.Digest(append([]string{"page", h.environment, operation}, parts...)...)
}

// token is the place as text, or nothing at the end of the table.
func (p place) token() string {
	if p.after == "" {
		return ""
	}
	text := strings.Join([]string{p.of, stamp(p.from), stamp(p.to), p.after}, "\n")
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// placeOf reads a token; none is the beginning.
func placeOf(token, of string) (place, error) {
	if token == "" {
		return place{of: of}, nil
	}
	bad := fmt.Errorf("%w after: it must be next of a page of the same question", broker.ErrInvalid)
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	parts := strings.SplitN(string(text), "\n", 4)
	if err != nil || len(parts) != 4 || parts[0] != of || parts[3] == "" {
		return place{}, bad
	}
	from, err1 := unstamp(parts[1])
	to, err2 := unstamp(parts[2])
	if errors.Join(err1, err2) != nil || from.IsZero() != to.IsZero() {
		return place{}, bad
	}
	return place{of, from, to, parts[3]}, nil
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func unstamp(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339Nano, s)
}

// over reports whether a page may end with what it has: its time is up, and it
// has come some way. One that never comes any way fails.
func over(ctx context.Context, moved bool) bool {
	return moved && errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// tour goes through the cards of all servers, in the order of their names. It
// reads the servers' list and each shown server's partition, and scans nothing.
type tour struct {
	*Handler
	shown func(broker.Server) bool
	take  func(broker.Server, broker.Binding) bool // false: it is not taken, the page is full
	place string                                   // "server/binding" up to which it has gone; it names shown servers only
	reads int
}

// run goes on after a place until it is done or the page is.
func (t *tour) run(ctx context.Context) (done bool, err error) {
	name, binding, _ := strings.Cut(t.place, "/")
	if name != "" {
		s, err := t.reader.Server(ctx, t.route(name))
		if err != nil && !isMissing(err) {
			return false, err
		}
		if done, err := t.through(ctx, s, binding); err != nil || !done {
			return false, err
		}
	}
	for s, err := range t.serverList(ctx).after(name) {
		if err != nil {
			return false, err
		}
		if done, err := t.through(ctx, s, ""); err != nil || !done {
			return false, err
		}
	}
	return true, nil
}

// through goes through one server's live cards.
func (t *tour) through(ctx context.Context, s broker.Server, after string) (done bool, err error) {
	if s.Name == "" || s.State == broker.Deleted || !t.shown(s) {
		return true, nil
	}
	for page := (broker.Page{After: after, Limit: broker.MaxPage}); ; {
		if t.reads == pageReads {
			return false, nil
		}
		t.reads++
		rows, err := t.reader.Bindings(ctx, t.route(s.Name), page)
		if err != nil {
			return false, err
		}
		for _, b := range rows {
			if b.State != broker.Deleted && !t.take(s, b) {
				return false, nil
			}
			page.After = b.Name
			t.place = s.Name + "/" + b.Name
		}
		if len(rows) < page.Limit {
			t.place = s.Name + "/" + page.After
			return true, nil
		}
	}
}

// tourPage makes one page, and says after which place the next one begins.
func (h *Handler) tourPage(ctx context.Context, after string, shown func(broker.Server) bool, take func(broker.Server, broker.Binding) bool) (next string, err error) {
	if err := checkPlace(after); err != nil {
		return "", err
	}
	t := &tour{Handler: h, shown: shown, take: take, place: after}
	done, err := t.run(ctx)
	switch {
	case err != nil && !over(ctx, t.place != after):
		return "", err
	case done && err == nil:
		return "", nil
	}
	return t.place, nil
}

// checkPlace refuses a place that no tour came to.
func checkPlace(after string) error {
	server, binding, _ := strings.Cut(after, "/")
	if after != "" && (broker.CheckName("server", server) != nil || binding != "" && broker.CheckName("binding", binding) != nil) {
		return fmt.Errorf("%w after: it must be next of a page of the same question", broker.ErrInvalid)
	}
	return nil
}
