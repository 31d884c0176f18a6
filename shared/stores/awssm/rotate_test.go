package awssm

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

const rotationID = "01JD0000000000000000000001"

func wanted(t *testing.T) broker.Want {
	t.Helper()
	r, err := broker.ParseReference("aws-sm:a")
	if err != nil {
		t.Fatal(err)
	}
	return broker.Want{Reference: r}
}

// finished does what the function of Secrets Manager does: it puts a value and
// moves the label.
func finished(t *testing.T, m *writable, version string) {
	t.Helper()
	m.fakeManager.mu.Lock()
	defer m.fakeManager.mu.Unlock()
	s := m.secrets["a"]
	s.labels[stagePrevious], s.labels[stageCurrent] = s.labels[stageCurrent], version
	s.versions[len(s.versions)-1].text = aws.String("made-up-value-of-the-function")
}

// ordered tells the store to rotate by itself.
func ordered(t *testing.T, s *Stager, id string) (from, to string, err error) {
	t.Helper()
	return s.Stage(t.Context(), wanted(t), "", id, secret.Value{})
}

func TestSecretsManagerIsToldOnceAndWatched(t *testing.T) {
	m := newWritable()
	first := m.putText("a", "made-up-value-one")
	s := NewStager(m, 0, time.Now)
	version, err := versionOf(wanted(t).Reference, rotationID)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, _, err := ordered(t, s, rotationID); !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if _, _, err := ordered(t, s, "01JD0000000000000000000002"); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("another rotation: %v", err)
	}
	if _, _, err := s.Stage(t.Context(), wanted(t), "", "01JD0000000000000000000002", secret.New("made-up-value-two")); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a value is staged into a rotation that is under way: %v", err)
	}
	finished(t, m, version)
	if from, to, err := ordered(t, s, rotationID); from != first || to != version || err != nil {
		t.Errorf("from %q to %q, %v", from, to, err)
	}
	if err := s.Promote(t.Context(), wanted(t), rotationID); err != nil {
		t.Errorf("what is in use is promoted already: %v", err)
	}
	if err := s.Restore(t.Context(), wanted(t), rotationID); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a value that may be dead was put into use: %v", err)
	}
	if err := s.Retire(t.Context(), wanted(t), rotationID); err != nil {
		t.Error(err)
	}
}

// TestARotationThatHangsIsLeftToSecretsManager: its function may have given the
// announced value to the upstream already. Without its label nobody would find
// what is then the only value that works.
func TestARotationThatHangsIsLeftToSecretsManager(t *testing.T) {
	m := newWritable()
	first := m.putText("a", "made-up-value-one")
	s := NewStager(m, 0, time.Now)
	if _, _, err := ordered(t, s, rotationID); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Restore(t.Context(), wanted(t), rotationID); err != nil {
			t.Fatal(err)
		}
	}
	version, err := versionOf(wanted(t).Reference, rotationID)
	if err != nil {
		t.Fatal(err)
	}
	m.fakeManager.mu.Lock()
	labels := m.secrets["a"].labels
	m.fakeManager.mu.Unlock()
	if labels[stagePending] != version || labels[stageCurrent] != first {
		t.Errorf("the labels are %v", labels)
	}
	if _, _, err := s.Stage(t.Context(), wanted(t), "", "01JD0000000000000000000002", secret.New("made-up-value-two")); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a value is staged in its place: %v", err)
	}
}

// TestTheVersionThatSecretsManagerAnnouncedIsFilledAndFinished: its own rotation,
// of which Bindery is the function.
func TestTheVersionThatSecretsManagerAnnouncedIsFilledAndFinished(t *testing.T) {
	const token = "7c2d91e4-0000-4000-8000-000000000001"
	m := newWritable()
	m.putText("a", "made-up-value-one")
	if _, err := m.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("a"), ClientRequestToken: aws.String(token)}); err != nil {
		t.Fatal(err)
	}
	// The announced version has no value yet; AWS then says that there is none.
	m.fakeManager.mu.Lock()
	versions := m.secrets["a"].versions
	m.secrets["a"].versions = versions[:len(versions)-1]
	m.fakeManager.mu.Unlock()
	s := NewStager(m, 0, time.Now)
	for range 2 {
		_, to, err := s.Stage(t.Context(), wanted(t), "", token, secret.New("made-up-value-two"))
		if err != nil || to != token {
			t.Fatalf("%q, %v", to, err)
		}
	}
	for range 2 {
		if err := s.Finish(t.Context(), wanted(t), token); err != nil {
			t.Fatal(err)
		}
	}
	m.fakeManager.mu.Lock()
	labels := m.secrets["a"].labels
	m.fakeManager.mu.Unlock()
	if len(labels) != 2 || labels[stageCurrent] != token || labels[stagePrevious] == "" {
		t.Errorf("the labels are %v", labels)
	}
	found, err := fetch(t, New(m, 0, time.Now), "aws-sm:a", "")
	mustBe(t, found, err, "made-up-value-two", "made-up-value-one")
}
