//go:build e2e

package awssm

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/shared/brokertest/stagingsuite"
)

// breaking breaks a request off, and all after it.
type breaking struct {
	mu             sync.Mutex
	left           int
	armed, applied bool
}

func (b *breaking) arm(n int, applied bool) (heal func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left, b.armed, b.applied = n, true, applied
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.armed = false
		return b.left < 0
	}
}

func (b *breaking) Do(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	b.left--
	breaks, applied, over := b.armed && b.left == -1, b.applied, b.armed && b.left < -1
	b.mu.Unlock()
	if over || breaks && !applied {
		return nil, errors.New("connection reset")
	}
	response, err := http.DefaultClient.Do(r)
	if breaks && err == nil {
		_ = response.Body.Close()
		return nil, errors.New("connection reset")
	}
	return response, err
}

// TestStagingSuiteOnMoto: after a label was moved by hand, moto gives AWSCURRENT
// of the next PutSecretValue to two versions; so what somebody else puts is put
// and labelled one after the other.
func TestStagingSuiteOnMoto(t *testing.T) {
	plain := startManager(t)
	breaks := &breaking{}
	client := secretsmanager.New(plain.Options(), func(o *secretsmanager.Options) {
		o.HTTPClient, o.Retryer = breaks, aws.NopRetryer{}
	})
	runs := 0
	stagingsuite.Run(t, func(*testing.T) stagingsuite.Backend {
		runs++
		return stagingsuite.Backend{
			Scheme: "aws-sm", Environment: "prod", Origin: "origin", Folder: fmt.Sprintf("run-%d/", runs), Break: breaks.arm,
			Open: func() stagingsuite.Store { return both{New(client, 0, time.Now), NewStager(client, 0, time.Now)} },
			Put:  func(t *testing.T, path, material string) { replaceByHand(t, plain, path, material) },
		}
	})
}

func replaceByHand(t *testing.T, client *secretsmanager.Client, path, material string) {
	t.Helper()
	seen, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(path)})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		put(t, client, path, material)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	made, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(path),
		SecretString: aws.String(material), VersionStages: []string{"by-hand"}})
	if err != nil {
		t.Fatal(err)
	}
	o := operation{labels: seen.VersionIdsToStages}
	if _, err := client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{SecretId: aws.String(path),
		VersionStage: aws.String(stageCurrent), RemoveFromVersionId: aws.String(o.holder(stageCurrent)), MoveToVersionId: made.VersionId}); err != nil {
		t.Fatal(err)
	}
}
