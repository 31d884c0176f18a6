package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

const checking = "ask Vault for the token's capabilities"

// nothing is part of paths that nobody has.
const nothing = "bindery-check-of-nothing"

// Check implements broker.StoreChecker: it signs in anew and asks Vault what the
// token may do, on the registered paths and on some beside them. Everybody may
// ask that of their own token by Vault's default policy; where that was taken
// away, or the token is none, Vault denies it.
func (s *Store) Check(ctx context.Context, w broker.Want, used []broker.Reference) (broker.StoreCheck, error) {
	check := broker.StoreCheck{LeastPolicy: leastPolicy(w.Store.Paths)}
	if err := Check(w.Store); err != nil { // a row is not trusted more than a form
		return check, fmt.Errorf("%w: %w", broker.ErrStoreDenied, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.timeout)
	defer cancel()
	token, _, err := s.signIn(ctx, &w)
	if err != nil {
		return check, err
	}
	inside, outside := insideOf(w.Store.Paths, used), outsideOf(w.Store.Paths)
	may, err := s.capabilities(ctx, &w.Store, token, append(append([]string{nothing}, inside...), outside...)) // Vault wants one path or more
	if err != nil {
		return check, err
	}
	check.Warnings, err = judge(may, inside, outside, w.Store.Paths)
	return check, err
}

// judge turns capabilities into what is wrong with them.
func judge(may map[string][]string, inside, outside []string, paths broker.Scope) (found []broker.StoreWarning, err error) {
	var denied, written []string
	root, beyond := false, false
	for path, list := range may {
		root = root || slices.Contains(list, "root")
		beyond = beyond || slices.Contains(outside, path) && reads(list)
	}
	for _, path := range inside {
		switch {
		case !reads(may[path]):
			denied = append(denied, strings.TrimSuffix(path, nothing))
		case slices.ContainsFunc(may[path], func(c string) bool {
			return slices.Contains([]string{"create", "update", "patch", "delete", "sudo"}, c)
		}):
			written = append(written, strings.TrimSuffix(path, nothing))
		}
	}
	warn := func(when bool, word string, names []string) {
		if when {
			found = append(found, broker.StoreWarning{Word: word, Names: names})
		}
	}
	warn(root, broker.IsRoot, nil)
	warn(slices.Contains(paths, "*"), broker.ReadsAll, nil)
	warn(beyond && !root, broker.ReadsMore, nil)
	warn(len(written) > 0, broker.Writes, written)
	warn(len(inside) == 0, broker.Unproven, nil)
	if len(denied) == len(inside) && len(inside) > 0 {
		return found, fmt.Errorf("%s: %w", checking, broker.ErrStoreDenied)
	}
	warn(len(denied) > 0, broker.PathDenied, denied)
	return found, nil
}

// reads: a token that is allowed and denied is denied; Vault then says deny alone.
func reads(list []string) bool { return slices.Contains(list, "read") || slices.Contains(list, "root") }

// insideOf gives a path that the token must be able to read for each registered
// one, or for "*", which names none, those that bindings use.
func insideOf(paths broker.Scope, used []broker.Reference) (inside []string) {
	for _, path := range paths {
		if path == "*" {
			for _, r := range used {
				inside = append(inside, r.Path())
			}
			continue
		}
		if stem, open := strings.CutSuffix(path, "*"); open {
			path = stem + nothing
		}
		inside = append(inside, path)
	}
	return inside
}

// outsideOf gives paths that the token has no business with: beside the
// registered ones in their own engines, in another engine, and of Vault itself.
func outsideOf(paths broker.Scope) (outside []string) {
	candidates := []string{nothing + "/data/x", "sys/policies/acl/" + nothing, "auth/" + nothing + "/role/x", "identity/entity/id/" + nothing}
	for _, path := range paths {
		engine, rest, _ := strings.Cut(path, "/")
		candidates = append(candidates, engine+"/"+nothing)
		if strings.HasPrefix(rest, "data/") {
			candidates = append(candidates, engine+"/data/"+nothing)
		}
	}
	for _, path := range candidates {
		r, err := broker.ParseReference("x:" + path)
		if err == nil && !paths.Allows(r) && !slices.Contains(outside, path) {
			outside = append(outside, path)
		}
	}
	return outside
}

func (s *Store) capabilities(ctx context.Context, to *broker.Store, token secret.Value, paths []string) (map[string][]string, error) {
	body, err := json.Marshal(map[string][]string{"paths": paths})
	if err != nil {
		return nil, fmt.Errorf("%s: %w: the request cannot be made", checking, broker.ErrStoreDenied)
	}
	a, err := s.send(ctx, checking, to, request{method: http.MethodPost, path: "sys/capabilities-self", token: token, body: body})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, refusal(checking, a.status)
	}
	var answered struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	if json.Unmarshal(a.body, &answered) != nil {
		return nil, fmt.Errorf("%s: %w: the answer could not be read", checking, broker.ErrUnavailable)
	}
	may := map[string][]string{}
	for _, path := range paths {
		var list []string
		if json.Unmarshal(answered.Data[path], &list) != nil {
			return nil, fmt.Errorf("%s: %w: the answer could not be read", checking, broker.ErrUnavailable)
		}
		may[path] = list
	}
	return may, nil
}

// leastPolicy is a policy of Vault that reads and lists the registered paths and
// nothing else. Whether an engine is KV version 1 or 2 does not show in the path
// alone: data/ after the mount is taken for version 2, where what is listed lies
// under metadata/.
func leastPolicy(paths broker.Scope) string {
	var b strings.Builder
	for _, path := range paths {
		if path == "*" {
			b.WriteString("# every path is registered: register fewer, then there is a least policy\n")
			continue
		}
		engine, rest, two := strings.Cut(path, "/data/")
		open := strings.HasSuffix(path, "*")
		rule := func(comment, path string, capabilities ...string) {
			fmt.Fprintf(&b, "# %s\npath %q {\n  capabilities = [\"%s\"]\n}\n", comment, path, strings.Join(capabilities, `", "`))
		}
		switch {
		case two && open:
			rule("KV version 2", path, "read")
			rule("to name references", engine+"/metadata/"+rest, "list")
		case two:
			rule("KV version 2", path, "read")
		case open:
			rule("KV version 1; list is to name references", path, "read", "list")
		default:
			rule("KV version 1", path, "read")
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
