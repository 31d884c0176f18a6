package awssm

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/shared/broker"
	"bindery/shared/brokertest/secretsuite"
)

const arnPrefix = "arn:aws:secretsmanager:us-east-1:111122223333:secret:"

// fakeVersion is one version of a secret of fakeManager.
type fakeVersion struct {
	id     string
	text   *string
	binary []byte
}

type fakeSecret struct {
	versions []fakeVersion
	labels   map[string]string // label -> version id
	deleted  bool
}

// fakeManager keeps versions and labels the way Secrets Manager does.
type fakeManager struct {
	mu      sync.Mutex
	secrets map[string]*fakeSecret
	calls   []string // "name stage|version", in order of arrival
	// before runs, without the lock, before a read is answered; an error is the answer.
	before func(ctx context.Context, in *secretsmanager.GetSecretValueInput) error
	// alter changes an answer.
	alter func(out *secretsmanager.GetSecretValueOutput)
}

func newManager() *fakeManager { return &fakeManager{secrets: map[string]*fakeSecret{}} }

func (m *fakeManager) put(name string, v fakeVersion) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.secrets[name]
	if s == nil {
		s = &fakeSecret{labels: map[string]string{}}
		m.secrets[name] = s
	}
	v.id = fmt.Sprintf("%032d", len(s.versions)+1)
	s.versions = append(s.versions, v)
	if current, ok := s.labels[stageCurrent]; ok {
		s.labels[stagePrevious] = current
	}
	s.labels[stageCurrent] = v.id
	return v.id
}

func (m *fakeManager) putText(name, text string) string {
	return m.put(name, fakeVersion{text: aws.String(text)})
}

func (m *fakeManager) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls
}

// ListSecrets is not asked for here: the tests on moto do.
func (m *fakeManager) ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error) {
	return &secretsmanager.ListSecretsOutput{}, nil
}

func (m *fakeManager) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	m.mu.Lock()
	m.calls = append(m.calls, aws.ToString(in.VersionStage)+aws.ToString(in.VersionId))
	before := m.before
	m.mu.Unlock()
	if before != nil {
		if err := before(ctx, in); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("canceled, %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := strings.TrimSuffix(strings.TrimPrefix(*in.SecretId, arnPrefix), "-AbCdEf")
	s := m.secrets[name]
	if s == nil {
		return nil, &types.ResourceNotFoundException{Message: aws.String("canary-in-message")}
	}
	id := aws.ToString(in.VersionId)
	if id == "" {
		id = s.labels[*in.VersionStage]
	}
	if s.deleted {
		return nil, &types.InvalidRequestException{Message: aws.String("marked for deletion")}
	}
	for _, v := range s.versions {
		if v.id != id {
			continue
		}
		out := &secretsmanager.GetSecretValueOutput{
			Name: aws.String(name), ARN: aws.String(arnPrefix + name + "-AbCdEf"), VersionId: aws.String(v.id),
			SecretString: v.text, SecretBinary: append([]byte(nil), v.binary...),
		}
		for label, version := range s.labels {
			if version == v.id {
				out.VersionStages = append(out.VersionStages, label)
			}
		}
		awsmiddleware.SetRequestIDMetadata(&out.ResultMetadata, "request-"+v.id)
		if m.alter != nil {
			m.alter(out)
		}
		return out, nil
	}
	return nil, &types.ResourceNotFoundException{}
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestSuiteOnTheFake(t *testing.T) {
	secretsuite.Run(t, func(t *testing.T) secretsuite.Backend {
		m := newManager()
		return secretsuite.Backend{
			Scheme: "aws-sm", Environment: "prod", Origin: "origin",
			Open: func() broker.SecretStore { return New(m, 0, time.Now) },
			Put:  func(_ *testing.T, path, material string) { m.putText(path, material) },
			Remove: func(_ *testing.T, path string) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.secrets[path].deleted = true
			},
		}
	})
}
