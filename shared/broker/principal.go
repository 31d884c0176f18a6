package broker

import (
	"fmt"
	"strings"
	"time"
)

// Kind says what sort of principal calls.
type Kind string

// The two kinds an issuer may vouch for.
const (
	User     Kind = "user"
	Workload Kind = "workload"
)

// Principal is who calls, as a trusted issuer said it. Every field is verified;
// nothing in it comes from a header or a body.
type Principal struct {
	ID         string            // digest of issuer and the configured principal claim; never reversible to an e-mail
	Kind       Kind              //
	Issuer     string            // the issuer's identifier (iss), exact
	Subject    string            // the sub claim
	Email      string            // empty unless the issuer is believed for e-mail
	Groups     []string          // names from the deployment's table, or "<issuer name>:<raw group>"
	Attributes map[string]string // chosen claims, by the name the deployment gives them
	Agent      string            // "<issuer name>:<client id>" of the software that calls, or empty
	AgentOnly  bool              // the agent calls for itself: no person stands behind it
	Expires    time.Time         // end of the token's life
}

// PrincipalID is the one way to derive Principal.ID.
func PrincipalID(issuer, claim string) string {
	return principalPrefix + Digest("principal", issuer, claim)
}

const principalPrefix = "p-"

// CheckPrincipal accepts what PrincipalID gives. An administrator who names a
// person by an e-mail or a login would mean nobody, and not be told.
func CheckPrincipal(id string) error {
	if digest, found := strings.CutPrefix(id, principalPrefix); !found || !isDigest(digest) {
		return fmt.Errorf("%w principal: a principal is its id (p-...), as in audit records; an e-mail is none", ErrInvalid)
	}
	return nil
}
