//go:build e2e

package awssm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/brokertest/secretsuite"
)

func startManager(t *testing.T) *secretsmanager.Client {
	t.Helper()
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	return secretsmanager.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(moto.URL),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

// put creates a secret or makes a new version of it, and gives its ARN.
func put(t *testing.T, client *secretsmanager.Client, name, material string) (arn, version string) {
	t.Helper()
	out, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), SecretString: aws.String(material)})
	if err == nil {
		return *out.ARN, *out.VersionId
	}
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Fatal(err)
	}
	created, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String(name), SecretString: aws.String(material)})
	if err != nil {
		t.Fatal(err)
	}
	return *created.ARN, *created.VersionId
}

func TestSuiteOnMoto(t *testing.T) {
	client := startManager(t)
	runs := 0
	secretsuite.Run(t, func(*testing.T) secretsuite.Backend {
		runs++
		prefix := fmt.Sprintf("run-%d/", runs) // one endpoint, an empty folder for each test
		return secretsuite.Backend{
			Scheme: "aws-sm", Environment: "prod", Origin: "origin", Folder: prefix,
			Open: func() broker.SecretStore { return New(client, 0, time.Now) },
			Put:  func(t *testing.T, path, material string) { put(t, client, path, material) },
			Remove: func(t *testing.T, path string) {
				if _, err := client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(path)}); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestReferencesOnMoto(t *testing.T) {
	client := startManager(t)
	arn, first := put(t, client, "prod/github", "made-up-value-one")
	_, second := put(t, client, "prod/github", "made-up-value-two")
	for reference, want := range map[string][]string{
		"aws-sm:prod/github":                   {"made-up-value-two", "made-up-value-one"},
		"aws-sm:prod/github?stage=AWSPREVIOUS": {"made-up-value-one"},
		"aws-sm:prod/github?version=" + first:  {"made-up-value-one"},
		"aws-sm:prod/github?version=" + second: {"made-up-value-two"},
	} {
		found, err := fetch(t, New(client, 0, time.Now), reference, "")
		if err != nil {
			t.Errorf("%s: %v", reference, err)
			continue
		}
		mustBe(t, found, nil, want[0], want[1:]...)
		if found.RequestID == "" {
			t.Errorf("%s: no request id of the store", reference)
		}
	}
	for _, reference := range []string{
		"aws-sm:prod/github?stage=CUSTOM", "aws-sm:prod/github?version=00000000-0000-4000-8000-000000000000",
		"aws-sm:prod/git", "aws-sm:/prod/github", "aws-sm:Prod/github", "aws-sm:" + arn[strings.LastIndex(arn, ":")+1:],
	} {
		if _, err := fetch(t, New(client, 0, time.Now), reference, ""); !errors.Is(err, broker.ErrSecretMissing) {
			t.Errorf("%s: %v, want ErrSecretMissing", reference, err)
		}
	}
	if _, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("prod/binary"), SecretBinary: []byte("made-up-\u00e9-value")}); err != nil {
		t.Fatal(err)
	}
	found, err := fetch(t, New(client, 0, time.Now), "aws-sm:prod/binary", "")
	mustBe(t, found, err, "made-up-\u00e9-value")
}

// Nothing listens there: the SDK retries, and the text of its error would name
// the endpoint.
func TestEndpointThatIsGone(t *testing.T) {
	client := secretsmanager.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:1"),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	_, err := fetch(t, New(client, time.Minute, time.Now), "aws-sm:prod/github", "") // the SDK pauses between its attempts
	if !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("%v, want ErrUnavailable", err)
	}
	if got := err.Error(); got != "read from Secrets Manager: unavailable: no answer" {
		t.Errorf("the error says %q", got)
	}
}
