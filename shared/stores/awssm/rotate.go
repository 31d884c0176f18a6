package awssm

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

// Rotate tells Secrets Manager to rotate the secret by the function that it has
// for it, and reports whether that is done. Again under the same id, it looks
// how far it has come, and begins nothing. Secrets Manager does not say that a
// rotation failed: one that is not done in time has.
func (s *Stager) Rotate(ctx context.Context, w broker.Want, id string) (done bool, err error) {
	o, err := s.open(ctx, w.Reference, id)
	if err != nil {
		return false, err
	}
	defer o.done()
	pending := o.holder(stagePending)
	switch {
	case o.is(o.version, stageCurrent):
		return true, nil
	case o.labels[o.version] != nil:
		return false, nil
	case pending != "" && pending != o.holder(stageCurrent):
		return false, fmt.Errorf("%w: another value is staged, or a rotation is under way", broker.ErrConflict)
	}
	_, err = o.client.RotateSecret(o.ctx, &secretsmanager.RotateSecretInput{
		SecretId: aws.String(o.secret), ClientRequestToken: aws.String(o.version), RotateImmediately: aws.Bool(true)})
	if err != nil && awsfault.Of(err).Code == "InvalidRequestException" {
		return false, fmt.Errorf("%w: Secrets Manager has no function to rotate the secret by, or one is under way", broker.ErrConflict)
	}
	return false, translateWrite("tell Secrets Manager to rotate", err)
}

// Cancel takes back what Rotate began, as long as the value is not in use.
func (s *Stager) Cancel(ctx context.Context, w broker.Want, id string) error {
	o, err := s.open(ctx, w.Reference, id)
	if errors.Is(err, broker.ErrSecretMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	defer o.done()
	switch {
	case o.is(o.version, stageCurrent):
		return fmt.Errorf("%w: the value is in use", broker.ErrConflict)
	case o.is(o.version, stagePending):
		return o.drop(stagePending, o.version)
	}
	return nil
}
