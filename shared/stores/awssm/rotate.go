package awssm

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

// rotate tells Secrets Manager to rotate the secret by the function that it has
// for it. Until that is done, to stage again looks how far it has come. Secrets
// Manager does not say that a rotation failed: one that is not done in time has.
//
// Nothing says what to restore: the function has changed the secret where it is
// checked, too, and the value before may be dead.
func (o *operation) rotate() (from, to string, err error) {
	pending := o.holder(stagePending)
	switch {
	case o.is(o.version, stageCurrent):
		return o.holder(stagePrevious), o.version, nil
	case o.labels[o.version] != nil:
		return "", "", fmt.Errorf("%w: Secrets Manager has not rotated the secret yet", broker.ErrUnavailable)
	case pending != "" && pending != o.holder(stageCurrent):
		return "", "", fmt.Errorf("%w: another value is staged, or a rotation is under way", broker.ErrConflict)
	}
	_, err = o.client.RotateSecret(o.ctx, &secretsmanager.RotateSecretInput{
		SecretId: aws.String(o.secret), ClientRequestToken: aws.String(o.version), RotateImmediately: aws.Bool(true)})
	switch {
	case err == nil:
		return "", "", fmt.Errorf("%w: Secrets Manager has just been told to rotate the secret", broker.ErrUnavailable)
	case awsfault.Of(err).Code == "InvalidRequestException":
		return "", "", fmt.Errorf("%w: Secrets Manager has no function to rotate the secret by, or one is under way", broker.ErrConflict)
	}
	return "", "", translateWrite("tell Secrets Manager to rotate", err)
}
