package broker

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Store registers a secret store in an environment: Name is the scheme of its
// references, Kind the adapter, Paths what may be read. The rest is for stores
// that are reached by an address of their own.
type Store struct {
	Environment string
	Name        string
	Kind        string
	Paths       Scope
	Version     int64
	State       State
	Address     string         // https; never contains a credential
	Namespace   string         // part of the store's server that belongs to this registration, where it has parts
	Networks    []netip.Prefix // private ranges opened for this store
	Auth        StoreAuth
	MaxValueAge time.Duration // a value that is older is a notice; 0: it may grow as old as it likes
}

// StoreAuth is how Bindery signs in to a store. The credential for that is
// itself a reference, to a store that needs none.
type StoreAuth struct {
	Method     AuthMethod
	Mount      string    // where the store has this method
	Role       string    // what Bindery asks to be
	Credential Reference // of the token or the JWT
	ServerID   string    // for aws-iam: which server the signed request is meant for
}

// AuthMethod is a way of signing in to a store.
type AuthMethod string

// The ways of signing in. None is for stores that the function's own role reads.
const (
	AuthNone   AuthMethod = ""
	AuthToken  AuthMethod = "token"
	AuthJWT    AuthMethod = "jwt"
	AuthAWSIAM AuthMethod = "aws-iam"
)

// checkSignIn holds address and sign-in of a store to each other: both or
// neither, and of the sign-in exactly what its method uses.
func (s Store) checkSignIn() error {
	bad := func(rule string) error { return fmt.Errorf("%w store: %s", ErrInvalid, rule) }
	if s.Address == "" {
		if s.Auth != (StoreAuth{}) || s.Namespace != "" || len(s.Networks) > 0 {
			return bad("sign-in, namespace and networks need an address")
		}
		return nil
	}
	if _, err := OriginDigest(s.Address); err != nil {
		return bad("the address must be an https URL without user or fragment")
	}
	a := s.Auth
	used := map[AuthMethod]struct{ mount, role, credential, server bool }{
		AuthToken:  {credential: true},
		AuthJWT:    {mount: true, role: true, credential: true},
		AuthAWSIAM: {mount: true, role: true, server: true},
	}
	uses, known := used[a.Method]
	switch {
	case !known:
		return bad("it signs in by token, jwt or aws-iam")
	case (a.Mount != "") != uses.mount || (a.Role != "") != uses.role:
		return bad("jwt and aws-iam need mount and role; token takes neither")
	case a.Credential.IsZero() == uses.credential:
		return bad("token and jwt need the reference of a credential; aws-iam takes none")
	case (a.ServerID != "") != uses.server:
		return bad("aws-iam needs a server id; the others take none")
	case a.Credential.Scheme() == s.Name:
		return bad("its credential must live in another store")
	}
	return nil
}

// opensOnlyPrivate reports the first network that may not be opened.
func opensOnlyPrivate(what string, networks []netip.Prefix) error {
	if i := slices.IndexFunc(networks, func(n netip.Prefix) bool { return !Opens(n) }); i >= 0 {
		return fmt.Errorf("%w %s: network %s is not a private range that may be opened", ErrInvalid, what, networks[i])
	}
	return nil
}
