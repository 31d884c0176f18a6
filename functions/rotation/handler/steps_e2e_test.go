//go:build e2e

package handler

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/infra/local/parts"
	"bindery/infra/local/upstream"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/wire"
)

// managedWorld is a secret that Secrets Manager rotates by Bindery, a card that
// uses it, and an upstream that takes what is in takes.
type managedWorld struct {
	*testing.T
	secrets *secretsmanager.Client
	handler *Handler
	db      *dynamo.DB

	mu    sync.Mutex
	takes func(token string) bool
}

func newManagedWorld(t *testing.T) *managedWorld {
	w := &managedWorld{T: t, takes: func(string) bool { return true }}
	moto, err := parts.Moto(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(moto.Stop)
	serves := upstream.New().Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.takes(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		serves.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	a := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(moto.URL), Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	c := config.Config{Environment: "prod", PublicURL: "https://mcp.example.com", ValuesKey: "arn:aws:kms:us-east-1:123456789012:alias/none", Local: true,
		Tables: config.Tables{Catalogue: "c", Revocations: "r", Grants: "g", Transient: "t", Audit: "a", AuditIndex: "i"}}
	must(t, dynamo.Create(t.Context(), dynamodb.NewFromConfig(a), wire.TableNames(c.Tables)))
	w.db, w.secrets = wire.Join(c, a, wire.HotPath()).DB, secretsmanager.NewFromConfig(a)
	_, err = w.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("prod/github"),
		SecretString: aws.String(`{"user":"made-up-user","token":"made-up-value-one"}`)})
	must(t, err)
	w.fill(server.URL)
	w.handler = New(c, a, slog.New(slog.DiscardHandler))
	return w
}

func (w *managedWorld) fill(url string) {
	w.Helper()
	ctx, t := w.Context(), w.T
	reference, err := broker.ParseReference("aws-sm:prod/github#token")
	must(t, err)
	at, err := broker.OriginDigest(url)
	must(t, err)
	must(t, w.db.PutEnvironment(ctx, broker.Environment{Name: "prod", State: broker.Active}))
	must(t, w.db.PutStore(ctx, broker.Store{Environment: "prod", Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active}))
	must(t, w.db.PutServer(ctx, broker.Server{Environment: "prod", Name: "github", State: broker.Active, Owner: "git", URL: url + "/mcp",
		Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}))
	must(t, w.db.PutBinding(ctx, broker.Binding{Environment: "prod", Server: "github", Name: "dev", State: broker.Active, Owner: "git",
		Actor: broker.Actor{Anyone: true}, Mode: broker.ServiceAccount, Source: broker.Static, Origin: at,
		Fields: []broker.Field{{Name: "token", Reference: reference}}}))
	must(t, w.db.PutRotationPlan(ctx, broker.RotationPlan{Environment: "prod", Name: "plan", State: broker.Active, Owner: "git", Reference: reference,
		Maker: broker.MakeRandom, Random: broker.Random{Length: 40}, Server: "github", Binding: "dev"}))
}

const announced = "7c2d91e4-0000-4000-8000-00000000000"

// rotates announces a version, as Secrets Manager does before it calls its
// function: rotation is on, and there is a version without a value under
// AWSPENDING. The endpoint would put it into use at once; that is taken back.
func (w *managedWorld) rotates() (token string) {
	w.Helper()
	t, ctx, id := w.T, w.Context(), aws.String("prod/github")
	token = announced + "1"
	was, _ := w.current()
	_, err := w.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: id, ClientRequestToken: aws.String(token),
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}})
	must(t, err)
	_, err = w.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: id, SecretString: aws.String(was)})
	must(t, err)
	_, err = w.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: id,
		VersionStage: aws.String("AWSPREVIOUS"), RemoveFromVersionId: aws.String(token)})
	must(t, err)
	_, err = w.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: id,
		VersionStage: aws.String("AWSPENDING"), MoveToVersionId: aws.String(token)})
	must(t, err)
	return token
}

func (w *managedWorld) step(step, token string) error {
	_, err := w.handler.Handle(w.Context(), fmt.Appendf(nil, `{"Step":%q,"SecretId":"prod/github","ClientRequestToken":%q}`, step, token))
	return err
}

func (w *managedWorld) current() (value, version string) {
	w.Helper()
	out, err := w.secrets.GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("prod/github"), VersionStage: aws.String("AWSCURRENT")})
	must(w.T, err)
	return *out.SecretString, *out.VersionId
}

var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

func TestBinderyIsTheRotationFunctionOfSecretsManager(t *testing.T) {
	w := newManagedWorld(t)
	token := w.rotates()
	for _, step := range steps {
		for range 2 { // Secrets Manager repeats what it got no answer to
			if err := w.step(step, token); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
		}
	}
	value, version := w.current()
	if version != token || strings.Contains(value, "made-up-value-one") || !strings.Contains(value, "made-up-user") {
		t.Errorf("version %s is in use", version)
	}
	for _, step := range steps { // and once more when all is over
		if err := w.step(step, token); err != nil {
			t.Errorf("%s afterwards: %v", step, err)
		}
	}
	if again, _ := w.current(); again != value {
		t.Error("a repetition changed the value")
	}
}

func TestAValueThatTheUpstreamRefusesIsNeverFinished(t *testing.T) {
	w := newManagedWorld(t)
	w.takes = func(token string) bool { return token == "made-up-value-one" }
	token := w.rotates()
	for _, step := range steps[:2] {
		must(t, w.step(step, token))
	}
	for _, step := range steps[2:] { // also where the test is left out
		if err := w.step(step, token); err == nil {
			t.Errorf("%s succeeded", step)
		}
	}
	if value, _ := w.current(); !strings.Contains(value, "made-up-value-one") {
		t.Error("the value is in use")
	}
}

func TestStepsThatNobodyAnnouncedAreRefused(t *testing.T) {
	w := newManagedWorld(t)
	if err := w.step("createSecret", announced+"1"); err == nil {
		t.Error("rotation is not enabled")
	}
	token := w.rotates()
	for name, event := range map[string]string{
		"another version": `{"Step":"createSecret","SecretId":"prod/github","ClientRequestToken":"` + announced + `2"}`,
		"another secret":  `{"Step":"createSecret","SecretId":"prod/other","ClientRequestToken":"` + token + `"}`,
		"another step":    `{"Step":"deleteSecret","SecretId":"prod/github","ClientRequestToken":"` + token + `"}`,
		"no version":      `{"Step":"createSecret","SecretId":"prod/github"}`,
		"set too early":   `{"Step":"setSecret","SecretId":"prod/github","ClientRequestToken":"` + token + `"}`,
		"test too early":  `{"Step":"testSecret","SecretId":"prod/github","ClientRequestToken":"` + token + `"}`,
		"finish at once":  `{"Step":"finishSecret","SecretId":"prod/github","ClientRequestToken":"` + token + `"}`,
	} {
		if _, err := w.handler.Handle(t.Context(), []byte(event)); err == nil {
			t.Errorf("%s: done", name)
		}
	}
	plan, err := w.db.RotationPlan(t.Context(), "prod", "plan")
	must(t, err)
	plan.State = broker.Suspended
	must(t, w.db.PutRotationPlan(t.Context(), plan))
	if err := w.step("createSecret", token); err == nil {
		t.Error("a secret without a plan in force was rotated")
	}
	if value, _ := w.current(); !strings.Contains(value, "made-up-value-one") {
		t.Error("the value was changed")
	}
}
