package seal

import (
	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

// translate turns an error of the KMS client into ErrUnavailable (it may pass:
// throttled, 5xx, network, timeout) or ErrKeyUnavailable (KMS refuses:
// disabled, pending deletion, deleted, denied, another key, altered or foreign
// data key). Only the code passes, never the message.
func translate(doing string, err error) error {
	return awsfault.Of(err).Wrap(doing, broker.ErrKeyUnavailable)
}
