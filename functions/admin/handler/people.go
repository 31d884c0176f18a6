package handler

import (
	"cmp"
	"context"
	"time"
)

// SeenPerson is somebody who was seen: a credential was obtained for a call.
type SeenPerson struct {
	Principal string    `json:"principal"`
	Agent     string    `json:"agent,omitempty" doc:"Software through which they called"`
	Server    string    `json:"server"`
	Binding   string    `json:"binding"`
	First     time.Time `json:"first" doc:"First time that it was seen"`
	Last      time.Time `json:"last"`
}

// SeenPeople is one page.
type SeenPeople struct {
	Items []SeenPerson `json:"items"`
	Next  string       `json:"next,omitempty" doc:"after for the next page; absent at the end"`
	Lag   IndexLag     `json:"lag"`

	Unreadable int `json:"unreadable,omitempty" doc:"Rows of the index that do not decode and belong to this page"`
}

// seenPeople reads one partition of the audit index: that of the subject.
func (h *Handler) seenPeople(ctx context.Context, in *struct {
	Table
	Subject
}) (*sheet, error) {
	of, wrong := in.Subject.parse()
	if err := h.askAudit(ctx, "list-seen-people", of.about()); err != nil {
		return nil, err
	}
	at, err := placeOf(in.After, h.question("list-seen-people", string(of.kind), of.id))
	if err = cmp.Or(wrong, err); err != nil {
		return nil, fault(err)
	}
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	seen, next, err := h.evidence.SeenOf(ctx, h.environment, of.kind, of.id, at.after, in.Limit)
	unreadable, err := h.passedOver(ctx, "people seen", err)
	if err != nil {
		return nil, fault(err)
	}
	lag, err := h.lag(ctx)
	if err != nil {
		return nil, fault(err)
	}
	at.after = next
	out := SeenPeople{Items: []SeenPerson{}, Next: at.token(), Lag: lag, Unreadable: unreadable}
	rows := [][]string{}
	for _, s := range seen {
		v := SeenPerson{s.Principal, s.Agent, s.Server, s.Binding, s.First.UTC(), s.Last.UTC()}
		out.Items = append(out.Items, v)
		rows = append(rows, []string{v.Principal, v.Agent, v.Server, v.Binding, clock(&v.First), clock(&v.Last)})
	}
	return newSheet(in.Format, out, out.Next, &lag, unreadable, []string{"principal", "agent", "server", "binding", "first", "last"}, rows), nil
}
