package awssm

import (
	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

// translate turns an error of the client into one of the broker's. What Secrets
// Manager says besides the code (a name, an ARN, a role) stays behind.
//
// A secret that is marked for deletion is InvalidRequestException, and a name
// that cannot exist InvalidParameterException: both are missing. A KMS key
// that refuses shows as DecryptionFailure or, where KMS denies the caller, as
// AccessDeniedException, which cannot be told from a denied secret.
func translate(err error) error {
	fault, kind := awsfault.Of(err), broker.ErrStoreDenied
	switch fault.Code {
	case "ResourceNotFoundException", "InvalidRequestException", "InvalidParameterException", "ValidationException":
		kind = broker.ErrSecretMissing
	case "DecryptionFailure":
		kind = broker.ErrKeyUnavailable
	}
	return fault.Wrap("read from Secrets Manager", kind)
}
