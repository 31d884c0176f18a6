package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

const listing = "list names in Vault"

// Bounds of one walk. Whatever Vault answers, it ends.
const (
	maxRequests = 32
	maxFolders  = 8     // one within the other
	maxNames    = 20000 // of one folder
)

// errEnough ends a walk: the page is full, or the walk has taken long enough.
var errEnough = errors.New("enough")

// walk goes through the folders below the registered paths, in the order of the
// names' bytes. Its token is the last name it has passed.
type walk struct {
	*Store
	w        *broker.Want
	token    secret.Value
	after    string
	limit    int
	requests int

	found []broker.Reference
	last  string
}

// List implements broker.StoreLister. A path that is registered by its whole name
// is taken from the registration; "*" alone names no engine to look in, and is
// denied.
func (s *Store) List(ctx context.Context, w broker.Want, after string, limit int) (found []broker.Reference, next string, err error) {
	if err := Check(w.Store); err != nil {
		return nil, "", fmt.Errorf("%w: %w", broker.ErrStoreDenied, err)
	}
	if slices.Contains(w.Store.Paths, "*") {
		return nil, "", fmt.Errorf("%s: %w: every path is registered, and no engine is named", listing, broker.ErrStoreDenied)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.timeout)
	defer cancel()
	token, _, err := s.signIn(ctx, &w)
	if err != nil {
		return nil, "", err
	}
	walking := &walk{Store: s, w: &w, token: token, after: after, limit: limit}
	for _, path := range distinct(w.Store.Paths) {
		folder, open := strings.CutSuffix(path, "*")
		if open {
			err = walking.folder(ctx, folder, 0)
		} else {
			err = walking.name(path)
		}
		if errors.Is(err, errEnough) && walking.last <= after {
			err = fmt.Errorf("%s: %w: its folders lead nowhere", listing, broker.ErrUnavailable)
		}
		if errors.Is(err, errEnough) {
			return walking.found, walking.last, nil
		}
		if err != nil {
			return nil, "", err
		}
	}
	return walking.found, "", nil
}

// distinct gives the paths in order, without those that lie in another.
func distinct(paths broker.Scope) (list []string) {
	for _, path := range slices.Sorted(slices.Values(paths)) {
		stem := strings.TrimSuffix(path, "*")
		inside := func(p string) bool {
			folder, open := strings.CutSuffix(p, "*")
			return p != path && open && strings.HasPrefix(stem, folder)
		}
		if !slices.ContainsFunc(paths, inside) && !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	return list
}

// name takes one name into the page, if it comes after the page before.
func (l *walk) name(path string) error {
	if path <= l.after {
		return nil
	}
	if len(l.found) == l.limit {
		return errEnough
	}
	l.last = path
	r, err := broker.ParseReference(l.w.Store.Name + ":" + path)
	if err == nil && r.Path() == path && l.w.Store.Paths.Allows(r) { // what no reference can name cannot be bound either
		l.found = append(l.found, r)
	}
	return nil
}

// folder lists what lies below a path that ends in a slash, and below its
// folders.
func (l *walk) folder(ctx context.Context, at string, depth int) error {
	if depth > maxFolders {
		return nil
	}
	if l.requests == maxRequests {
		return errEnough
	}
	l.requests++
	names, err := l.names(ctx, at)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := at + name
		switch {
		case !strings.HasSuffix(path, "/"):
			err = l.name(path)
		case path > l.after || strings.HasPrefix(l.after, path):
			if err = l.folder(ctx, path, depth+1); err == nil {
				l.last = max(l.last, path+"~") // the whole folder is passed: no name begins higher
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names asks Vault for the names in one folder, in order. In version 2 they lie
// under metadata/ where the secrets lie under data/. None is no error.
func (l *walk) names(ctx context.Context, at string) ([]string, error) {
	path := at
	if engine, rest, two := strings.Cut(at, "/data/"); two {
		path = engine + "/metadata/" + rest
	}
	a, err := l.send(ctx, listing, &l.w.Store, request{method: http.MethodGet, path: strings.TrimSuffix(path, "/"), query: url.Values{"list": {"true"}}, token: l.token})
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound:
		return nil, nil
	case a.status != http.StatusOK:
		return nil, refusal(listing, a.status)
	}
	var answered struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	if json.Unmarshal(a.body, &answered) != nil || len(answered.Data.Keys) > maxNames {
		return nil, fmt.Errorf("%s: %w: the answer could not be read", listing, broker.ErrUnavailable)
	}
	names := slices.DeleteFunc(answered.Data.Keys, func(name string) bool {
		bare := strings.TrimSuffix(name, "/")
		return bare == "" || bare == "." || bare == ".." || strings.Contains(bare, "/") // it would lead elsewhere
	})
	slices.Sort(names)
	return names, nil
}
