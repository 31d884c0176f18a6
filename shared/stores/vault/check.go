package vault

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bindery/shared/broker"
)

// Check refuses a registration that cannot be used. Whether its address may be
// connected to is egress's to say.
func Check(s broker.Store) error {
	bad := func(rule string) error { return fmt.Errorf("%w store: %s", broker.ErrInvalid, rule) }
	u, err := url.Parse(s.Address)
	switch {
	case err != nil || s.Address == "":
		return bad("Vault needs an address")
	case u.RawQuery != "" || u.ForceQuery || u.RawPath != "":
		return bad("the address of Vault takes no query and no escapes")
	case s.Auth.Mount != "" && !plain(s.Auth.Mount):
		return bad("the mount of the sign-in must be a path such as jwt or aws/prod")
	case s.Namespace != "" && !plain(strings.Trim(s.Namespace, "/")):
		return bad("the namespace must be a path such as team/git")
	case !printable(s.Auth.Role) || !printable(s.Auth.ServerID):
		return bad("role and server id are printable ASCII without spaces")
	}
	return nil
}

// plain is a path without empty or dot segments that needs no escapes.
func plain(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return printable(path) && !strings.ContainsAny(path, `%?#\;`)
}

// printable also holds for what can be sent as a header.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// query is a reference, understood.
type query struct {
	path    string
	version int64 // 0: the current one
}

// engines that are never KV. Some of them change something when they are read.
var notKV = [...]string{"sys", "auth", "identity", "cubbyhole"}

func parse(r broker.Reference, keys []string) (query, error) {
	bad := func(rule string) (query, error) {
		return query{}, fmt.Errorf("%w reference: %s: %w", broker.ErrInvalid, rule, broker.ErrSecretMalformed)
	}
	q := query{path: r.Path()}
	engine, rest, _ := strings.Cut(q.path, "/")
	switch {
	case engine == "" || rest == "":
		return bad("Vault takes mount/path, and no slash before it")
	case slices.Contains(notKV[:], engine):
		return bad("the path is none of a KV engine")
	case slices.Contains(keys, ""):
		return bad("a secret of Vault has members: name one after #")
	}
	selector, value := r.Selector()
	if selector == "" {
		return q, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if selector != "version" || err != nil || n < 1 || strconv.FormatInt(n, 10) != value {
		return bad("after ? Vault takes version=NUMBER")
	}
	q.version = n
	return q, nil
}
