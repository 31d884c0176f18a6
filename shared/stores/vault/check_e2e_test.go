//go:build e2e

package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// as gives what a check is told: a registration that signs in with a token that
// has a policy.
func (s server) as(policy string, paths ...string) broker.Want {
	s.t.Helper()
	w := s.want(broker.StoreAuth{Method: broker.AuthToken}, "vault:kv/mcp/x#a", nil)
	w.Store.Paths = paths
	token := s.Root.Reveal()
	if policy != "root" {
		s.do("PUT", "sys/policies/acl/checked", map[string]string{"policy": policy}, nil)
		var made struct {
			Auth struct {
				Token string `json:"client_token"`
			}
		}
		s.do("POST", "auth/token/create", map[string]any{"policies": []string{"checked"}, "ttl": "10m"}, &made)
		token = made.Auth.Token
	}
	w.Credential = func(context.Context) (secret.Value, error) { return secret.New(token), nil }
	return w
}

func words(check broker.StoreCheck) (list []string) {
	for _, w := range check.Warnings {
		list = append(list, w.Word)
	}
	slices.Sort(list)
	return list
}

func TestCheckAsksARealVaultWhatTheTokenMayDo(t *testing.T) {
	v := startVault(t)
	s := open(time.Now)
	const both = `path "secret/data/mcp/*" { capabilities = ["read"] } path "kv/mcp/*" { capabilities = ["read"] } `
	for name, c := range map[string]struct {
		policy   string
		paths    []string
		warnings []string
		fault    error
	}{
		"just what it needs":          {both, []string{"secret/data/mcp/*", "kv/mcp/*"}, nil, nil},
		"a whole name":                {both, []string{"kv/mcp/github"}, nil, nil},
		"it reads beside its folder":  {`path "secret/data/*" { capabilities = ["read"] }`, []string{"secret/data/mcp/*"}, []string{broker.ReadsMore}, nil},
		"it reads every engine":       {`path "*" { capabilities = ["read"] }`, []string{"kv/mcp/*"}, []string{broker.ReadsMore}, nil},
		"it reads policies":           {both + `path "sys/policies/acl/*" { capabilities = ["read"] }`, []string{"kv/mcp/*"}, []string{broker.ReadsMore}, nil},
		"it writes":                   {`path "kv/mcp/*" { capabilities = ["read", "update", "delete"] }`, []string{"kv/mcp/*"}, []string{broker.Writes}, nil},
		"it is root":                  {"root", []string{"kv/mcp/*"}, []string{broker.IsRoot}, nil},
		"everything is registered":    {both, []string{"*"}, []string{broker.ReadsAll, broker.Unproven}, nil},
		"one of two paths":            {both, []string{"kv/mcp/*", "kv/other/*"}, []string{broker.PathDenied}, nil},
		"none of its paths":           {both, []string{"kv/other/*"}, nil, broker.ErrStoreDenied},
		"a path that is denied to it": {both + `path "kv/mcp/x" { capabilities = ["deny"] }`, []string{"kv/mcp/x"}, nil, broker.ErrStoreDenied},
	} {
		t.Run(name, func(t *testing.T) {
			check, err := s.Check(t.Context(), v.as(c.policy, c.paths...), nil)
			if !errors.Is(err, c.fault) || c.fault == nil && err != nil || !slices.Equal(words(check), c.warnings) {
				t.Errorf("%v, %v; want %v, %v", words(check), err, c.warnings, c.fault)
			}
		})
	}
	w := v.as(both, "kv/mcp/*")
	w.Credential = func(context.Context) (secret.Value, error) { return secret.New("made-up-token-of-nobody"), nil }
	if _, err := s.Check(t.Context(), w, nil); !errors.Is(err, broker.ErrStoreDenied) {
		t.Errorf("a token of nobody's: %v", err)
	}
	w.Store.Address = "http://127.0.0.1:1"
	if _, err := s.Check(t.Context(), w, nil); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a Vault that is not there: %v", err)
	}
}

// TestTheLeastPolicyIsOne: with it the store is checked without a warning, read
// and listed.
func TestTheLeastPolicyIsOne(t *testing.T) {
	v := startVault(t)
	s := open(time.Now)
	v.put("secret/data/mcp/github", `{"token":"made-up-value-one"}`)
	v.put("kv/mcp/notes", `{"token":"made-up-value-two"}`)
	paths := []string{"secret/data/mcp/*", "kv/mcp/*", "kv/single"}
	w := v.as(leastPolicy(paths), paths...)
	if check, err := s.Check(t.Context(), w, nil); err != nil || len(check.Warnings) != 0 {
		t.Errorf("%v, %v under\n%s", words(check), err, check.LeastPolicy)
	}
	found, _, err := s.List(t.Context(), w, "", 10)
	if got := fmt.Sprint(found); err != nil || got != "[vault:kv/mcp/notes vault:kv/single vault:secret/data/mcp/github]" {
		t.Errorf("listed %s, %v", got, err)
	}
}

func TestListWalksTheFoldersByPages(t *testing.T) {
	v := startVault(t)
	s := open(time.Now)
	var want []string
	for _, name := range []string{"a", "a/b", "a/c/d", "a-b", "b/one", "b/two/three", "z"} {
		v.put("secret/data/mcp/"+name, `{"token":"made-up"}`)
		v.put("kv/mcp/"+name, `{"token":"made-up"}`)
		want = append(want, "vault:secret/data/mcp/"+name, "vault:kv/mcp/"+name)
	}
	v.put("secret/data/other/x", `{"token":"made-up"}`)
	slices.Sort(want)
	w := v.as(`path "secret/metadata/*" { capabilities = ["list"] } path "kv/*" { capabilities = ["list"] }`,
		"secret/data/mcp/*", "kv/mcp/*", "kv/mcp/b/*")
	for _, limit := range []int{1, 3, 100} {
		var got []string
		for after, pages := "", 0; ; pages++ {
			found, next, err := s.List(t.Context(), w, after, limit)
			if err != nil || len(found) > limit || pages > 40 {
				t.Fatal(found, pages, err)
			}
			for _, r := range found {
				got = append(got, r.String())
			}
			if after = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d:\n%s", limit, strings.Join(got, "\n"))
		}
	}
	if _, _, err := s.List(t.Context(), v.as(`path "kv/mcp/*" { capabilities = ["read"] }`, "kv/mcp/*"), "", 10); !errors.Is(err, broker.ErrStoreDenied) {
		t.Errorf("without the right: %v", err)
	}
	if _, _, err := s.List(t.Context(), v.as("root", "*"), "", 10); !errors.Is(err, broker.ErrStoreDenied) {
		t.Errorf("everything: %v", err)
	}
}
