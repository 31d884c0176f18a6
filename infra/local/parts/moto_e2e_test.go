//go:build e2e

package parts

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func awsAt(endpoint string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
}

// putAndGet stores one item in a new table and reads it back.
func putAndGet(t *testing.T, endpoint string) {
	t.Helper()
	ctx := t.Context()
	db := dynamodb.NewFromConfig(awsAt(endpoint))
	key := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "server#github"}}
	_, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            aws.String("catalogue"),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatalf("CreateTable: %v", err)
	}
	if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("catalogue"), Item: key}); err != nil {
		t.Fatalf("PutItem: %v", err)
	}
	got, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("catalogue"), Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatalf("GetItem: %v", err)
	}
	if pk, ok := got.Item["pk"].(*types.AttributeValueMemberS); !ok || pk.Value != "server#github" {
		t.Fatalf("GetItem = %v, want the stored item", got.Item)
	}
}

// mustListenOnLoopbackOnly fails if the port also answers on another address.
func mustListenOnLoopbackOnly(t *testing.T, endpoint string) {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if u.Hostname() != "127.0.0.1" {
		t.Fatalf("URL is %s, want a 127.0.0.1 address", endpoint)
	}
	for _, host := range []string{"127.0.0.2", "::1"} {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, u.Port()), time.Second)
		if err == nil {
			conn.Close()
			t.Errorf("%s is served on %s too: it listens beyond 127.0.0.1", endpoint, host)
		}
	}
}

func mustBeGone(t *testing.T, p *Process) {
	t.Helper()
	p.Stop()
	p.Stop() // again does nothing
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(p.URL, "http://"), time.Second)
	if err == nil {
		conn.Close()
		t.Errorf("something still listens on %s after Stop", p.URL)
	}
}

func TestMotoServesTablesSecretsKeysAndIdentity(t *testing.T) {
	began := time.Now()
	p, err := Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	t.Logf("ready in %s", time.Since(began).Round(time.Millisecond))
	mustListenOnLoopbackOnly(t, p.URL)
	exerciseMoto(t, p.URL)
	mustBeGone(t, p)
}

func exerciseMoto(t *testing.T, endpoint string) {
	t.Helper()
	ctx, cfg := t.Context(), awsAt(endpoint)
	putAndGet(t, endpoint)
	secrets := secretsmanager.NewFromConfig(cfg)
	if _, err := secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("dev/github"), SecretString: aws.String("made-up-value-0001")}); err != nil {
		t.Fatalf("CreateSecret: %v", err)
	}
	got, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev/github")})
	if err != nil || aws.ToString(got.SecretString) != "made-up-value-0001" {
		t.Fatalf("GetSecretValue = %v, want the stored value", err)
	}
	if _, err := kms.NewFromConfig(cfg).CreateKey(ctx, &kms.CreateKeyInput{}); err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	if _, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
		t.Fatalf("GetCallerIdentity: %v", err)
	}
}

// A machine with Python alone: the pinned release is installed, serves, and is
// found again without a second install.
func TestMotoInstallsThePinnedReleaseWhereNoneIsOnPath(t *testing.T) {
	h := home{local: t.TempDir(), freePort: loopbackPort}
	python, err := h.installMoto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(python, h.local) {
		t.Fatalf("installed interpreter is %s, want one inside %s", python, h.local)
	}
	t.Setenv("PATH", binOnly(t, "python3"))
	began := time.Now()
	p, err := h.moto(t.Context(), func(format string, args ...any) {
		if strings.Contains(format, "installing") {
			t.Errorf("second start installs again: "+format, args...)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	t.Logf("second start ready in %s", time.Since(began).Round(time.Millisecond))
	exerciseMoto(t, p.URL)
}

func TestMotoEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Moto(ctx, nil)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	cancel()
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		p.Stop()
		t.Fatal("moto outlived its context by a minute")
	}
}

// An install that is stopped half way is no install.
func TestAStoppedMotoInstallIsNotTakenForComplete(t *testing.T) {
	h := home{local: t.TempDir(), freePort: loopbackPort}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for begun := filepath.Join(h.local, "tmp", "moto", "venv", "pyvenv.cfg"); !exists(begun) && ctx.Err() == nil; {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	_, err := h.installMoto(ctx, t.Logf)
	if !errors.Is(err, ErrInstall) || !errors.Is(err, context.Canceled) {
		t.Fatalf("installMoto = %v, want ErrInstall and the context's error", err)
	}
	left, err := filepath.Glob(filepath.Join(h.local, "moto-*"))
	if err != nil || len(left) != 0 {
		t.Fatalf("a stopped install left %v (%v)", left, err)
	}
	if _, err := os.Stat(filepath.Join(h.local, "tmp", "moto")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a stopped install left its working folder: %v", err)
	}
}

// binOnly is a folder for PATH with nothing but links to the named programs.
func binOnly(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		real := realProgram(t, name)
		if err := os.Symlink(real, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// realProgram is where a program truly is: a version manager's shim needs more
// of PATH than the test leaves.
func realProgram(t *testing.T, name string) string {
	t.Helper()
	if name == "python3" {
		path, _, err := basePython(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
