//go:build e2e

package drift

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/secret"
	"bindery/shared/stores/awssm"
)

// TestDriftOfSecretsManager: a secret is scheduled for deletion and restored,
// loses a member and gets it back, is renamed and comes back, and loses its
// stage; each begins once and ends once.
func TestDriftOfSecretsManager(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	client := secretsmanager.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(moto.URL),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")})
	name, good := aws.String("prod/dev"), aws.String(`{"token":"made-up-value-of-a-secret"}`)
	create := func(w *world) {
		_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: name, SecretString: good})
		w.must(err)
	}
	put := func(w *world, text *string) {
		_, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: name, SecretString: text})
		w.must(err)
	}
	remove := func(w *world, in secretsmanager.DeleteSecretInput) {
		in.SecretId = name
		_, err := client.DeleteSecret(t.Context(), &in)
		w.must(err)
	}
	w := newWorld(t)
	w.card("github", "dev", "prod/dev#token")
	create(w)
	scan := func() {
		t.Helper()
		s := w.scanner()
		static := credential.NewStatic(map[string]broker.SecretStore{"aws-sm": awssm.New(client, 0, time.Now)}, func(secret.Value) error { return nil })
		s.Source, s.Inspector = static, static
		if r, err := s.Run(t.Context()); err != nil || !r.Done {
			t.Fatal(r, err)
		}
	}
	for _, c := range []struct {
		kind       broker.NoticeKind
		begin, end func()
	}{
		{broker.NoticeDeleting, func() { remove(w, secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7)}) },
			func() {
				_, err := client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: name})
				w.must(err)
			}},
		{broker.NoticeMissing, func() { put(w, aws.String(`{"key":"made-up-value-of-a-secret"}`)) }, func() { put(w, good) }},
		{broker.NoticeMalformed, func() { put(w, aws.String(`no JSON at all, made up`)) }, func() { put(w, good) }},
		{broker.NoticeMissing, func() { remove(w, secretsmanager.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)}) }, func() { create(w) }}, // as a rename shows
	} {
		scan()
		w.wants(nothing, nothing)
		c.begin()
		scan()
		is := string(c.kind) + " reference/aws-sm:prod/dev"
		w.wants([]string{is}, []string{"opened " + is})
		if c.kind == broker.NoticeDeleting {
			n, err := w.db.Notice(t.Context(), prod, broker.NoticeID(c.kind, "reference/aws-sm:prod/dev"))
			if days := time.Until(n.Due).Hours() / 24; err != nil || days < 6 || days > 8 {
				t.Errorf("it is gone on %s, %v", n.Due, err)
			}
		}
		w.pass(time.Hour)
		scan()
		w.wants([]string{is}, nothing)
		c.end()
		scan()
		w.wants(nothing, []string{"closed " + is})
		w.pass(2 * time.Hour)
	}
}
