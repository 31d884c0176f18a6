//go:build e2e

package kmssign

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
)

func TestSigningOnMoto(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	client := kms.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(moto.URL),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	for spec, algorithm := range map[types.KeySpec]string{types.KeySpecEccNistP256: "ES256", types.KeySpecRsa2048: "PS256"} {
		out, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify})
		if err != nil {
			t.Fatal(err)
		}
		k, err := Open(t.Context(), client, *out.KeyMetadata.KeyId, 0)
		if err != nil || k.Algorithm != algorithm {
			t.Fatalf("%s: %v", spec, err)
		}
		verifies(t, k)
	}
	if _, err := Open(t.Context(), client, "alias/nobody", 0); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("a key that is not there: %v", err)
	}
}
