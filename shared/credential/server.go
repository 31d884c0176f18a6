package credential

import (
	"fmt"

	"bindery/shared/broker"
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
