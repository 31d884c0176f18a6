package awssm

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

// Inspect implements broker.StoreInspector. A secret that is scheduled for
// deletion gives no value any more, but still says when it will be gone.
func (s *Store) Inspect(ctx context.Context, w broker.Want) (broker.Inspection, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	asked := w.Reference.Path()
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(asked)})
	if err != nil {
		return broker.Inspection{}, inspectFault(err)
	}
	if asked != aws.ToString(out.Name) {
		return broker.Inspection{}, fmt.Errorf("%w: Secrets Manager answered about another secret", broker.ErrSecretMissing)
	}
	var found broker.Inspection
	if out.DeletedDate != nil {
		found.Deleting = out.DeletedDate.UTC()
	}
	if out.LastChangedDate != nil {
		found.Changed = out.LastChangedDate.UTC()
	}
	return found, nil
}

func inspectFault(err error) error {
	fault, kind := awsfault.Of(err), broker.ErrStoreDenied
	switch fault.Code {
	case "ResourceNotFoundException", "InvalidParameterException", "ValidationException":
		kind = broker.ErrSecretMissing
	}
	return fault.Wrap("describe the secret", kind)
}
