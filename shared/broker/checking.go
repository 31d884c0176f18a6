package broker

import "context"

// StoreCheck is what a store's adapter found out about its registration.
type StoreCheck struct {
	Warnings    []StoreWarning
	LeastPolicy string // what Bindery needs there and no more, in the store's own language; given with an error too
}

// StoreWarning is a word for what should be otherwise, at a store that works.
type StoreWarning struct {
	Word  string
	Names []string // paths or variables of the registration that it is about, if it is about some
}

// Words of warnings.
const (
	ReadsMore   = "reads_more"  // Bindery may read outside the registered paths
	ReadsAll    = "reads_all"   // the registration itself allows every path
	Writes      = "writes"      // Bindery may change what it only has to read
	IsRoot      = "root"        // Bindery signs in as one who may do everything
	PathDenied  = "path_denied" // some registered paths are refused, others are not
	Unproven    = "unproven"    // nothing there shows whether secrets may be read: sync tells
	VariableOff = "not_set"     // registered variables that are not set
	KeyUnbound  = "key_unbound" // the key also works for another environment
)

// StoreChecker is a SecretStore that can be asked how its registration stands.
// Of w only Environment, Store and Credential are set; used are references that
// bindings use there, a few of them or none. Check connects and signs in anew,
// and reads no secret but the credential of the store itself. It fails like
// Fetch.
type StoreChecker interface {
	Check(ctx context.Context, w Want, used []Reference) (StoreCheck, error)
}

// StoreLister is a SecretStore that can name what it holds inside the
// registered paths; of w the same is set. A page begins after the token that the
// page before ended with, which may be of any form up to MaxListToken bytes; an
// empty next ends the list, and a page may hold fewer names than asked for, even
// none, and not be the last. ErrStoreDenied says that Bindery may not list
// there.
type StoreLister interface {
	List(ctx context.Context, w Want, after string, limit int) (found []Reference, next string, err error)
}

// MaxListToken is the longest token of a StoreLister, in bytes.
const MaxListToken = 4096

// Usable reports, as a *Refusal, why a binding could serve no call of its
// server: the checks of a decision that need no caller, in the order of
// decisions. It touches no secret.
func Usable(b *Binding, s *Server, stores []Store) error { return usable(b, s.Attach, stores) }

// ReasonOf translates a fault of a source into the word for the record.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	return reasonOf(err)
}
