package awssm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// stagePending is the label of a version that no reader asks for yet.
const stagePending = "AWSPENDING"

// StagingClient is what a Stager uses of the AWS client.
type StagingClient interface {
	Client
	DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, options ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, options ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(ctx context.Context, in *secretsmanager.UpdateSecretVersionStageInput, options ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
	RotateSecret(ctx context.Context, in *secretsmanager.RotateSecretInput, options ...func(*secretsmanager.Options)) (*secretsmanager.RotateSecretOutput, error)
}

// Stager is the broker.StagingStore beside a Store: all that writes.
//
// Its state is in the labels of the secret's versions, so that a process that
// dies leaves nothing behind that the next one cannot read:
//
//	AWSPENDING           the staged version, whose id follows from the rotation's
//	bindery-before-{id}  the version that was current when it was staged: what
//	                     Restore goes back to, and what Promote expects still to
//	                     be current
//
// Secrets Manager moves AWSCURRENT away from a named version only, so a
// promotion meets somebody else's change as ErrConflict. It does not refuse to
// take AWSPENDING from another version; that is looked up before, and two that
// stage at the very same time both believe they have, but only who still holds
// the label can promote.
type Stager struct {
	client  StagingClient
	store   *Store
	timeout time.Duration
}

// NewStager makes a Stager. A timeout of 0 means DefaultTimeout; it bounds each
// operation, which makes up to five requests.
func NewStager(client StagingClient, timeout time.Duration, now func() time.Time) *Stager {
	store := New(client, timeout, now)
	return &Stager{client: client, store: store, timeout: store.timeout}
}

// Stage implements broker.StagingStore. A rotation of Secrets Manager's own that
// is under way is another value that is staged. Without a value Secrets Manager
// is told to rotate the secret itself (rotate.go); until it has, Stage fails with
// broker.ErrUnavailable. Such a value is in use when it is staged.
func (s *Stager) Stage(ctx context.Context, w broker.Want, key, id string, value secret.Value) (from, to string, err error) {
	o, err := s.open(ctx, w.Reference, id)
	if err != nil {
		return "", "", err
	}
	defer o.done()
	if value.IsZero() {
		return o.rotate()
	}
	if o.is(o.version, stagePending) || o.is(o.version, stageCurrent) {
		staged, err := o.same(key, value)
		if staged || err != nil {
			return o.holder(o.before), o.version, err
		}
	}
	current := o.holder(stageCurrent)
	pending := o.holder(stagePending)
	switch {
	case current == "":
		return "", "", fmt.Errorf("%w: the secret has no current version", broker.ErrSecretMissing)
	case pending != "" && pending != o.version && pending != current:
		return "", "", fmt.Errorf("%w: another value is staged, or a rotation of Secrets Manager's own is under way", broker.ErrConflict)
	}
	was, err := s.store.read(o.ctx, labelled(o.secret, stageCurrent))
	if err != nil {
		return "", "", err
	}
	if was.id != current {
		return "", "", fmt.Errorf("%w: the secret changed meanwhile", broker.ErrConflict)
	}
	material, err := broker.WithMember(was.material, key, value)
	if err != nil {
		return "", "", err
	}
	if err := o.move(o.before, o.holder(o.before), current); err != nil {
		return "", "", err
	}
	return current, o.version, o.put(material)
}

// Staged implements broker.StagingStore. What has been taken back is still there
// for a while, but has neither label.
func (s *Stager) Staged(ctx context.Context, w broker.Want, id string) (broker.Secret, error) {
	version, err := versionOf(w.Reference, id)
	if err != nil {
		return broker.Secret{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	found, err := s.store.read(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(w.Reference.Path()), VersionId: aws.String(version)})
	if err != nil {
		return broker.Secret{}, err
	}
	if !slices.Contains(found.labels, stagePending) && !slices.Contains(found.labels, stageCurrent) {
		return broker.Secret{}, fmt.Errorf("%w: nothing is staged under this id", broker.ErrSecretMissing)
	}
	values, err := broker.Members(found.material, w.Keys)
	if err != nil {
		return broker.Secret{}, err
	}
	return broker.Secret{Values: values, Version: found.id, RequestID: found.requestID}, nil
}

// Promote implements broker.StagingStore.
func (s *Stager) Promote(ctx context.Context, w broker.Want, id string) error {
	o, err := s.open(ctx, w.Reference, id)
	if err != nil {
		return err
	}
	defer o.done()
	return o.promote()
}

// Finish promotes for good: nothing is left to restore. It is for a rotation
// that Secrets Manager runs, which has neither a way back nor a grace.
func (s *Stager) Finish(ctx context.Context, w broker.Want, id string) error {
	o, err := s.open(ctx, w.Reference, id)
	if err != nil {
		return err
	}
	defer o.done()
	if err := o.promote(); err != nil {
		return err
	}
	return o.drop(o.before, o.holder(o.before))
}

func (o *operation) promote() error {
	current, before := o.holder(stageCurrent), o.holder(o.before)
	if current != o.version {
		if !o.is(o.version, stagePending) || before == "" || before != current {
			return fmt.Errorf("%w: it is not staged, or the secret changed since", broker.ErrConflict)
		}
		if err := o.move(stageCurrent, current, o.version); err != nil {
			return err
		}
	}
	if o.is(o.version, stagePending) {
		return o.drop(stagePending, o.version)
	}
	return nil
}

// Restore implements broker.StagingStore. Where the staged version is not
// current (it never was, or somebody has put another) AWSCURRENT stays where it
// is. Secrets Manager keeps a version that was current for a moment as
// AWSPREVIOUS, so it is masked. A version of its own rotation stays announced:
// the function that makes it may have given it to the upstream already, and only
// who finds it there can go on.
func (s *Stager) Restore(ctx context.Context, w broker.Want, id string) error {
	o, err := s.open(ctx, w.Reference, id)
	if err != nil {
		return err
	}
	defer o.done()
	before := o.holder(o.before)
	if o.holder(stageCurrent) == o.version {
		if before == "" {
			return fmt.Errorf("%w: the value before is over", broker.ErrConflict)
		}
		if err := o.move(stageCurrent, o.version, before); err != nil {
			return err
		}
	}
	if before != "" && o.is(o.version, stagePending) {
		if err := o.drop(stagePending, o.version); err != nil {
			return err
		}
	}
	return o.drop(o.before, before)
}

// Retire implements broker.StagingStore: without a label a version is
// deprecated, and Secrets Manager deletes it in its own time.
func (s *Stager) Retire(ctx context.Context, w broker.Want, id string) error {
	o, err := s.open(ctx, w.Reference, id)
	if err != nil {
		return err
	}
	defer o.done()
	before := o.holder(o.before)
	if before != "" && before == o.holder(stageCurrent) || o.is(o.version, stagePending) && !o.is(o.version, stageCurrent) {
		return fmt.Errorf("%w: the value before is still in use", broker.ErrConflict)
	}
	if before != "" && o.is(before, stagePrevious) {
		if err := o.drop(stagePrevious, before); err != nil {
			return err
		}
	}
	return o.drop(o.before, before)
}
