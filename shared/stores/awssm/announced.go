package awssm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
)

// Announced is a version of a secret that Secrets Manager has announced to the
// function that rotates it.
type Announced struct {
	Name, ARN string
	Current   bool // it is in use already
}

// Announcements looks at what Secrets Manager tells its rotation function.
type Announcements struct{ Client StagingClient }

// Announced holds an event of Secrets Manager to what it says of the secret
// itself: rotation is on, and the version is one that waits for its value, or is
// in use already. Anything else is broker.ErrConflict; a secret that there is not
// is broker.ErrSecretMissing.
func (a Announcements) Announced(ctx context.Context, secretID, version string) (Announced, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	out, err := a.Client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(secretID)})
	if err != nil {
		return Announced{}, translate(err)
	}
	found := Announced{Name: aws.ToString(out.Name), ARN: aws.ToString(out.ARN)}
	labels := out.VersionIdsToStages[version]
	found.Current = slices.Contains(labels, stageCurrent)
	switch {
	case secretID != found.Name && secretID != found.ARN || aws.ToTime(out.DeletedDate).After(time.Time{}):
		return Announced{}, fmt.Errorf("%w: it is another secret, or marked for deletion", broker.ErrSecretMissing)
	case !aws.ToBool(out.RotationEnabled):
		return Announced{}, fmt.Errorf("%w: rotation is not enabled", broker.ErrConflict)
	case !found.Current && !slices.Contains(labels, stagePending):
		return Announced{}, fmt.Errorf("%w: the version is not announced", broker.ErrConflict)
	}
	return found, nil
}

// Is reports whether a reference's path names the secret.
func (a Announced) Is(path string) bool { return path == a.Name }
