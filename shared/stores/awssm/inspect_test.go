package awssm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/shared/broker"
)

// DescribeSecret says of a secret what it is told to.
func (m *fakeManager) DescribeSecret(_ context.Context, in *secretsmanager.DescribeSecretInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	return m.describe(*in.SecretId)
}

func (m *fakeManager) describe(name string) (*secretsmanager.DescribeSecretOutput, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.secrets[name]
	if s == nil {
		return nil, &types.ResourceNotFoundException{Message: aws.String("canary-in-message")}
	}
	out := &secretsmanager.DescribeSecretOutput{Name: aws.String(name), ARN: aws.String(arnPrefix + name + "-AbCdEf"), LastChangedDate: aws.Time(changed)}
	if s.deleted {
		out.DeletedDate = aws.Time(changed.Add(30 * 24 * time.Hour))
	}
	return out, nil
}

var changed = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func inspect(t *testing.T, c Client, reference string) (broker.Inspection, error) {
	t.Helper()
	r, err := broker.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return New(c, 0, time.Now).Inspect(t.Context(), broker.Want{Reference: r})
}

func TestASecretScheduledForDeletionSaysWhen(t *testing.T) {
	m := newManager()
	m.putText("prod/github", "made-up-value-one")
	got, err := inspect(t, m, "aws-sm:prod/github")
	if want := (broker.Inspection{Changed: changed}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	m.secrets["prod/github"].deleted = true
	got, err = inspect(t, m, "aws-sm:prod/github")
	if want := (broker.Inspection{Changed: changed, Deleting: changed.Add(30 * 24 * time.Hour)}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := inspect(t, m, "aws-sm:prod/none"); !errors.Is(err, broker.ErrSecretMissing) || strings.Contains(err.Error(), "canary") {
		t.Errorf("no such secret: %v", err)
	}
}

// another answers about another secret, or not at all.
type another struct {
	*fakeManager
	fault error
}

func (a another) DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	if a.fault != nil {
		return nil, a.fault
	}
	return a.describe("prod/other")
}

func TestAnInspectionOfAnotherSecretIsRefused(t *testing.T) {
	m := newManager()
	m.putText("prod/other", "made-up-value-one")
	if got, err := inspect(t, another{fakeManager: m}, "aws-sm:prod/github"); !errors.Is(err, broker.ErrSecretMissing) || got != (broker.Inspection{}) {
		t.Errorf("%+v, %v", got, err)
	}
	for fault, want := range map[error]error{
		answered("AccessDeniedException", 400): broker.ErrStoreDenied, answered("ThrottlingException", 400): broker.ErrUnavailable,
		errors.New("connection reset"): broker.ErrUnavailable,
	} {
		if _, err := inspect(t, another{m, fault}, "aws-sm:prod/github"); !errors.Is(err, want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v became %v, want %v", fault, err, want)
		}
	}
}
