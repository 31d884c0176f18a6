//go:build e2e

package session

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/seal"
)

// The key of the day, sealed as it is in a deployment: a process with the KMS
// key opens what another one wrapped, and one with another KMS key is refused.
func TestKeySealedUnderKMS(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	client := kms.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(moto.URL),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	keys := newRows()
	process := func(key *string) *Sessions { return New(keys, seal.New(client, *key, 0), "prod", time.Now) }
	var ids [2]*string
	for i := range ids {
		out, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = out.KeyMetadata.KeyId
	}
	id := wrap(t, process(ids[0]), alice, begun)
	mustOpen(t, "another process", process(ids[0]), alice, id)
	bob := alice
	bob.Principal = "p-bob"
	mustBeUnknown(t, "Bob", process(ids[0]), bob, id)
	if _, err := process(ids[1]).Unwrap(t.Context(), alice, id); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("under another KMS key: %v, want ErrKeyUnavailable", err)
	}
}
