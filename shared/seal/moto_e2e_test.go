//go:build e2e

package seal

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"bindery/infra/local/parts"
)

// moto differs from KMS in two ways that matter here: it decrypts under a
// disabled key, and it says AccessDenied where KMS says IncorrectKey.
func TestSuiteOnMoto(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	client := kms.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(moto.URL),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	runSuite(t, func(*testing.T) backend {
		return backend{client: client, createKey: func(t testing.TB) string {
			out, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
			if err != nil {
				t.Fatal(err)
			}
			return *out.KeyMetadata.KeyId
		}}
	})
}
