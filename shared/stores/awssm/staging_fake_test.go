package awssm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/shared/brokertest/stagingsuite"
)

// writable is fakeManager with what a Stager asks for besides, by the rules that
// AWS documents, and with requests that can be broken off.
type writable struct {
	*fakeManager

	mu      sync.Mutex
	left    int // requests until one breaks; below zero: it broke
	applied bool
	armed   bool
}

func newWritable() *writable { return &writable{fakeManager: newManager()} }

var errBroken = errors.New("connection reset")

func (m *writable) arm(n int, applied bool) (heal func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left, m.applied, m.armed = n, applied, true
	return func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.armed = false
		return m.left < 0
	}
}

// request is one request: f is done unless it breaks before.
func (m *writable) request(ctx context.Context, f func() error) error {
	m.mu.Lock()
	m.left--
	breaks, applied, over := m.armed && m.left == -1, m.applied, m.armed && m.left < -1
	m.mu.Unlock()
	if ctx.Err() != nil || over || breaks && !applied {
		return errors.Join(errBroken, ctx.Err())
	}
	err := f()
	if breaks {
		return errBroken
	}
	return err
}

// of finds a secret; the lock is held.
func (m *writable) of(id *string) (*fakeSecret, error) {
	s := m.secrets[*id]
	if s == nil {
		return nil, &types.ResourceNotFoundException{Message: aws.String("canary-in-message")}
	}
	return s, nil
}

func (m *writable) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, options ...func(*secretsmanager.Options)) (out *secretsmanager.GetSecretValueOutput, err error) {
	err = m.request(ctx, func() error {
		out, err = m.fakeManager.GetSecretValue(ctx, in, options...)
		return err
	})
	return out, err
}

func (m *writable) DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, _ ...func(*secretsmanager.Options)) (out *secretsmanager.DescribeSecretOutput, err error) {
	return out, m.request(ctx, func() error {
		m.fakeManager.mu.Lock()
		defer m.fakeManager.mu.Unlock()
		s, err := m.of(in.SecretId)
		if err != nil {
			return err
		}
		out = &secretsmanager.DescribeSecretOutput{Name: in.SecretId, ARN: aws.String(arnPrefix + *in.SecretId + "-AbCdEf"), VersionIdsToStages: map[string][]string{}}
		if s.deleted {
			out.DeletedDate = aws.Time(time.Unix(1, 0))
		}
		for label, version := range s.labels {
			out.VersionIdsToStages[version] = append(out.VersionIdsToStages[version], label)
		}
		return nil
	})
}

func (m *writable) PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	return &secretsmanager.PutSecretValueOutput{VersionId: in.ClientRequestToken}, m.request(ctx, func() error {
		m.fakeManager.mu.Lock()
		defer m.fakeManager.mu.Unlock()
		s, err := m.of(in.SecretId)
		if err != nil {
			return err
		}
		if n := len(*in.ClientRequestToken); n < 32 || n > 64 {
			return &types.InvalidParameterException{}
		}
		for _, v := range s.versions {
			switch {
			case v.id == *in.ClientRequestToken && v.text != nil && *v.text == *in.SecretString:
				return nil // AWS ignores it
			case v.id == *in.ClientRequestToken:
				return &types.ResourceExistsException{}
			}
		}
		s.versions = append(s.versions, fakeVersion{id: *in.ClientRequestToken, text: in.SecretString})
		for _, label := range in.VersionStages {
			s.labels[label] = *in.ClientRequestToken
		}
		return nil
	})
}

func (m *writable) UpdateSecretVersionStage(ctx context.Context, in *secretsmanager.UpdateSecretVersionStageInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	return &secretsmanager.UpdateSecretVersionStageOutput{}, m.request(ctx, func() error {
		m.fakeManager.mu.Lock()
		defer m.fakeManager.mu.Unlock()
		s, err := m.of(in.SecretId)
		if err != nil {
			return err
		}
		label, from, to := *in.VersionStage, aws.ToString(in.RemoveFromVersionId), aws.ToString(in.MoveToVersionId)
		known := slices.ContainsFunc(s.versions, func(v fakeVersion) bool { return v.id == to })
		if s.labels[label] != from || to != "" && !known || to == "" && label == stageCurrent {
			return &types.InvalidParameterException{Message: aws.String("canary-in-message")}
		}
		if delete(s.labels, label); to != "" {
			s.labels[label] = to
		}
		if label == stageCurrent {
			s.labels[stagePrevious] = from
		}
		return nil
	})
}

// RotateSecret announces a version, as Secrets Manager does before it calls its function.
func (m *writable) RotateSecret(ctx context.Context, in *secretsmanager.RotateSecretInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.RotateSecretOutput, error) {
	return &secretsmanager.RotateSecretOutput{VersionId: in.ClientRequestToken}, m.request(ctx, func() error {
		m.fakeManager.mu.Lock()
		defer m.fakeManager.mu.Unlock()
		s, err := m.of(in.SecretId)
		if err != nil {
			return err
		}
		pending := s.labels[stagePending]
		if pending != "" && pending != s.labels[stageCurrent] && pending != *in.ClientRequestToken {
			return &types.InvalidRequestException{}
		}
		if !slices.ContainsFunc(s.versions, func(v fakeVersion) bool { return v.id == *in.ClientRequestToken }) {
			s.versions = append(s.versions, fakeVersion{id: *in.ClientRequestToken})
			s.labels[stagePending] = *in.ClientRequestToken
		}
		return nil
	})
}

// both is a Stager with the Store that calls read through.
type both struct {
	*Store
	*Stager
}

func TestStagingSuiteOnTheFake(t *testing.T) {
	stagingsuite.Run(t, func(*testing.T) stagingsuite.Backend {
		m := newWritable()
		return stagingsuite.Backend{
			Scheme: "aws-sm", Environment: "prod", Origin: "origin", Break: m.arm,
			Open: func() stagingsuite.Store { return both{New(m, 0, time.Now), NewStager(m, 0, time.Now)} },
			Put:  func(_ *testing.T, path, material string) { m.putText(path, material) },
		}
	})
}
