package broker

import (
	"context"
	"iter"
)

// Rows gives the rows of a list that come after a name, in the list's order. It
// reads page by page, and no further than it is asked; an error is the last that
// it gives. name is what a row is called in a Page.
func Rows[R any](after string, read func(Page) ([]R, error), name func(R) string) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for page := (Page{After: after, Limit: MaxPage}); ; {
			rows, err := read(page)
			if err != nil {
				var none R
				yield(none, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if len(rows) < page.Limit {
				return
			}
			page.After = name(rows[len(rows)-1])
		}
	}
}

// AllStores reads the stores of an environment, deleted ones too: there are few.
func AllStores(ctx context.Context, from interface {
	Stores(ctx context.Context, environment string, p Page) ([]Store, error)
}, environment string,
) (all []Store, err error) {
	read := func(p Page) ([]Store, error) { return from.Stores(ctx, environment, p) }
	for s, err := range Rows("", read, func(s Store) string { return s.Name }) {
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
