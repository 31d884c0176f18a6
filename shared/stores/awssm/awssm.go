// Package awssm is broker.SecretStore over AWS Secrets Manager.
//
// A reference's path is the secret's name, never its ARN. Its selector is one of
//
//	(none)          the version labelled AWSCURRENT
//	stage=LABEL     the version with that staging label
//	version=ID      that version
//
// One read serves all keys of one secret. Every Fetch reads the value again,
// so that a rotation takes effect with the next call; only the version before
// is remembered for a while (previous.go).
//
// A Store never writes: what does is a Stager, which rotations alone have. The
// package never gives an answer about another secret than the one it was asked
// for, and never passes on the text of an error: only its code.
package awssm

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// DefaultTimeout bounds one Fetch, retries of the AWS SDK included.
const DefaultTimeout = 3 * time.Second

// The staging labels that Secrets Manager keeps itself.
const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
)

// Client is what is used of the AWS client.
type Client interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, options ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	ListSecrets(ctx context.Context, in *secretsmanager.ListSecretsInput, options ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
	DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, options ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// Store reads secrets of one account and region. It is safe for concurrent use.
type Store struct {
	client  Client
	timeout time.Duration
	known   *pairs
}

// New makes a Store. A timeout of 0 means DefaultTimeout.
func New(client Client, timeout time.Duration, now func() time.Time) *Store {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Store{client: client, timeout: timeout, known: newPairs(now)}
}

// Fetch implements broker.SecretStore. Previous is filled only when AWSCURRENT
// is read: a reference that names a version or another label asks for that
// version and no other. A reference with another selector fails with
// broker.ErrInvalid and broker.ErrSecretMalformed before any request leaves.
func (s *Store) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	in, err := request(w.Reference)
	if err != nil {
		return broker.Secret{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var found, before version
	if aws.ToString(in.VersionStage) == stageCurrent {
		found, before, err = s.currentAndPrevious(ctx, w.Reference.Path())
	} else {
		found, err = s.read(ctx, in)
	}
	if err != nil {
		return broker.Secret{}, err
	}
	values, err := broker.Members(found.material, w.Keys)
	if err != nil {
		return broker.Secret{}, err
	}
	return broker.Secret{
		Values:    values,
		Version:   found.id,
		RequestID: found.requestID,
		Previous:  broker.Earlier(before.material, w.Keys),
	}, nil
}

// request translates a reference. The label is always sent, also AWSCURRENT,
// because IAM conditions on secretsmanager:VersionStage see only what is sent.
func request(r broker.Reference) (*secretsmanager.GetSecretValueInput, error) {
	if strings.Contains(r.Path(), ":") {
		return nil, fmt.Errorf("%w reference: a secret of Secrets Manager goes by its name, which has no colon: %w", broker.ErrInvalid, broker.ErrSecretMalformed)
	}
	in := &secretsmanager.GetSecretValueInput{SecretId: aws.String(r.Path())}
	selector, value := r.Selector()
	switch {
	case selector == "":
		in.VersionStage = aws.String(stageCurrent)
	case selector == "stage" && len(value) <= 256:
		in.VersionStage = aws.String(value)
	case selector == "version" && len(value) >= 32 && len(value) <= 64:
		in.VersionId = aws.String(value)
	default:
		return nil, fmt.Errorf("%w reference: after ? Secrets Manager takes stage=LABEL or version=ID: %w",
			broker.ErrInvalid, broker.ErrSecretMalformed)
	}
	return in, nil
}

// version is one version of a secret, as read.
type version struct {
	id, requestID string
	material      secret.Value
	labels        []string
}

func (s *Store) read(ctx context.Context, in *secretsmanager.GetSecretValueInput) (version, error) {
	out, err := s.client.GetSecretValue(ctx, in)
	if err != nil {
		return version{}, translate(err)
	}
	if aws.ToString(in.SecretId) != aws.ToString(out.Name) {
		return version{}, fmt.Errorf("%w: Secrets Manager answered about another secret", broker.ErrSecretMissing)
	}
	if aws.ToString(out.VersionId) == "" {
		return version{}, fmt.Errorf("%w: Secrets Manager gave no version id", broker.ErrUnavailable)
	}
	v := version{id: *out.VersionId, labels: out.VersionStages}
	v.requestID, _ = awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	v.material, err = material(out)
	return v, err
}

// material takes a binary secret as it is, if it is text: a credential travels
// in headers and is searched for in answers.
func material(out *secretsmanager.GetSecretValueOutput) (secret.Value, error) {
	if out.SecretString != nil {
		return secret.New(*out.SecretString), nil
	}
	defer clear(out.SecretBinary)
	if !utf8.Valid(out.SecretBinary) {
		return secret.Value{}, fmt.Errorf("%w: the binary secret is not UTF-8 text", broker.ErrSecretMalformed)
	}
	return secret.New(string(out.SecretBinary)), nil
}
