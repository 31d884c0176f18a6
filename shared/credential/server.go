package credential

import (
	"fmt"
	"net/http"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// CheckServer refuses, with broker.ErrInvalid, a server whose attachments or
// propagation could not be honoured, or whose identity headers would be
// overwritten by a credential or by each other.
func CheckServer(s broker.Server) error {
	if err := CheckAttachments(s.Attach); err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, a := range s.Attach {
		if p, err := parse(a); err == nil && p.in == broker.InHeader {
			taken[p.name] = true
		}
	}
	for _, p := range s.Propagate {
		name, err := identityHeader(p)
		if err != nil {
			return err
		}
		if taken[name] {
			return fmt.Errorf("%w propagation: header %s is already used", broker.ErrInvalid, name)
		}
		taken[name] = true
	}
	return nil
}

// Try attaches fields to a request that is never sent: it tells, when a binding
// is made, what Attach would say at the first call.
func Try(s broker.Server, fields map[string]secret.Value) error {
	request, err := http.NewRequest(http.MethodPost, s.URL, nil) //nolint:noctx // never sent
	if err != nil {
		return fmt.Errorf("%w upstream URL", broker.ErrInvalid)
	}
	return Attach(request, &s, fields)
}
