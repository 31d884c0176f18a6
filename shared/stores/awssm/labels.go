package awssm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
	"bindery/shared/secret"
)

// operation is one operation of a Stager: the secret, and its labels as they
// were when it began.
type operation struct {
	*Stager
	ctx     context.Context
	done    context.CancelFunc
	secret  string // as referenced
	version string // of the rotation
	before  string // label of the version that was current
	labels  map[string][]string
}

// versionOf is the id of the version that a rotation stages: one that Secrets
// Manager runs has it already, any other's is made of its id.
func versionOf(r broker.Reference, id string) (string, error) {
	if selector, _ := r.Selector(); selector != "" {
		return "", fmt.Errorf("%w reference: what names a version or label is not rotated: %w", broker.ErrInvalid, broker.ErrSecretMalformed)
	}
	if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(id) > 64 || id == "" {
		return "", fmt.Errorf("%w id of a rotation: letters, digits and hyphens", broker.ErrInvalid)
	}
	if len(id) >= 32 {
		return id, nil
	}
	return "bindery-" + strings.Repeat("0", max(0, 24-len(id))) + id, nil
}

// open looks at the labels.
func (s *Stager) open(ctx context.Context, r broker.Reference, id string) (*operation, error) {
	version, err := versionOf(r, id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(r.Path())})
	if err != nil {
		cancel()
		return nil, translate(err)
	}
	switch {
	case r.Path() != aws.ToString(out.Name):
		err = fmt.Errorf("%w: Secrets Manager answered about another secret", broker.ErrSecretMissing)
	case out.DeletedDate != nil:
		err = fmt.Errorf("%w: the secret is marked for deletion", broker.ErrSecretMissing)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &operation{Stager: s, ctx: ctx, done: cancel, secret: r.Path(), version: version,
		before: "bindery-before-" + id, labels: out.VersionIdsToStages}, nil
}

// is reports whether a version has a label.
func (o *operation) is(version, label string) bool { return slices.Contains(o.labels[version], label) }

// holder is the version that has the label, or none.
func (o *operation) holder(label string) string {
	for version, labels := range o.labels {
		if slices.Contains(labels, label) {
			return version
		}
	}
	return ""
}

// move gives a label from one version (empty: none) to another. Secrets Manager
// refuses where the one does not have it by now.
func (o *operation) move(label, from, to string) error {
	if from == to {
		return nil
	}
	return o.update(&secretsmanager.UpdateSecretVersionStageInput{VersionStage: aws.String(label), MoveToVersionId: aws.String(to)}, from)
}

// drop takes a label from a version; from none, and from one that somebody else
// has taken it from since, there is nothing to take.
func (o *operation) drop(label, from string) error {
	if from == "" {
		return nil
	}
	err := o.update(&secretsmanager.UpdateSecretVersionStageInput{VersionStage: aws.String(label)}, from)
	if errors.Is(err, broker.ErrConflict) {
		return nil
	}
	return err
}

func (o *operation) update(in *secretsmanager.UpdateSecretVersionStageInput, from string) error {
	in.SecretId = aws.String(o.secret)
	if from != "" {
		in.RemoveFromVersionId = aws.String(from)
	}
	_, err := o.client.UpdateSecretVersionStage(o.ctx, in)
	return translateWrite("move a label in Secrets Manager", err)
}

// put stores the staged version.
func (o *operation) put(material secret.Value) error {
	_, err := o.client.PutSecretValue(o.ctx, &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(o.secret), ClientRequestToken: aws.String(o.version),
		SecretString: aws.String(material.Reveal()), VersionStages: []string{stagePending},
	})
	return translateWrite("put a version into Secrets Manager", err)
}

// same reports whether the rotation's version has this very value. A version
// without any is one that Secrets Manager has announced.
func (o *operation) same(key string, value secret.Value) (bool, error) {
	found, err := o.store.read(o.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(o.secret), VersionId: aws.String(o.version)})
	if errors.Is(err, broker.ErrSecretMissing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	members, err := broker.Members(found.material, []string{key})
	if err != nil || !members[key].Equal(value) {
		return false, fmt.Errorf("%w: another value is staged under this id", broker.ErrConflict)
	}
	return true, nil
}

// translateWrite is translate for requests that change something: that what was
// to be changed is not as it was is a conflict.
func translateWrite(doing string, err error) error {
	if err == nil {
		return nil
	}
	fault, kind := awsfault.Of(err), broker.ErrStoreDenied
	switch fault.Code {
	case "InvalidParameterException", "ResourceExistsException":
		kind = broker.ErrConflict
	case "ResourceNotFoundException", "InvalidRequestException":
		kind = broker.ErrSecretMissing
	case "EncryptionFailure", "DecryptionFailure":
		kind = broker.ErrKeyUnavailable
	}
	return fault.Wrap(doing, kind)
}
