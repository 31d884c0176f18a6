//go:build e2e

package handler

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/secret"
	"bindery/shared/stores/sealed"
	"bindery/shared/wire"
)

// TestAFormerKeyMayBeDisabledAfterwards: a value with the version before, a staged
// one, a grant with its spare and a registration were sealed under a key that was
// replaced. Afterwards everything opens by the present key alone; the endpoint
// does not refuse disabled keys, but it refuses to open under a key that is not
// the text's own, so that is what is held.
func TestAFormerKeyMayBeDisabledAfterwards(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(moto.Stop)
	a := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(moto.URL), Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	client := kms.NewFromConfig(a)
	key := func() string {
		made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
		must(t, err)
		return *made.KeyMetadata.Arn
	}
	c := config.Config{Environment: "prod", PublicURL: "https://mcp.example.com", ValuesKey: key(), Local: true,
		Tables: config.Tables{Catalogue: "c", Revocations: "r", Grants: "g", Transient: "t", Audit: "a", AuditIndex: "i"}}
	must(t, dynamo.Create(t.Context(), dynamodb.NewFromConfig(a), wire.TableNames(c.Tables)))
	was := wire.Join(c, a, wire.HotPath())
	fill(t, was)

	former := c.ValuesKey
	c.ValuesKey, c.FormerKeys = key(), []string{former}
	h := New(c, a, slog.New(slog.DiscardHandler))
	for range 2 { // rows of other tables and environments are in nobody's way
		got, err := h.Handle(t.Context(), []byte(`{"task":"reencrypt"}`))
		must(t, err)
		t.Logf("%+v", got)
	}
	got, err := h.Handle(t.Context(), []byte(`{"task":"reencrypt"}`))
	if want := (Reencrypted{Seen: 6, Done: true}); err != nil || got != any(want) {
		t.Errorf("a last run found %+v, %v", got, err)
	}
	_, err = client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(former[strings.LastIndex(former, "/")+1:])})
	must(t, err)
	c.FormerKeys = nil
	opens(t, wire.Join(c, a, wire.HotPath()))
	if _, err := was.Sealed.Fetch(t.Context(), value(t)); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("by the former key alone: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	rotation = "01JD0000000000000000000001"
	origin   = "digest-of-https-api-example"
)

func value(t *testing.T) broker.Want {
	t.Helper()
	r, err := broker.ParseReference("sealed:token")
	must(t, err)
	return broker.Want{Reference: r, Keys: []string{""}, Environment: "prod", Origin: origin}
}

func grantContext(id string) broker.SealContext {
	return broker.SealContext{Environment: "prod", Purpose: "grant", Origin: origin, ID: id}
}

var person = broker.GrantKey{Environment: "prod", Principal: "p-alice", Server: "github", Origin: origin}

func fill(t *testing.T, p wire.Parts) {
	t.Helper()
	for _, text := range []string{"made-up-value-one", "made-up-value-two"} {
		_, err := p.Sealed.Put(t.Context(), "prod", "token", origin, secret.New(text))
		must(t, err)
	}
	_, _, err := sealed.NewStager(p.Sealed, p.DB).Stage(t.Context(), value(t), "", rotation, secret.New("made-up-value-three"))
	must(t, err)
	now := time.Now().UTC()
	seal := func(c broker.SealContext) []byte {
		text, err := p.Sealer.Seal(t.Context(), c, secret.New("made-up-tokens"))
		must(t, err)
		return text
	}
	must(t, p.DB.BeginGrant(t.Context(), broker.Grant{GrantKey: person, Provider: "okta", Consented: now, Sealed: seal(grantContext("grant")), Refreshes: true}, broker.Consent{At: now}))
	view, err := p.DB.Grant(t.Context(), person)
	must(t, err)
	leased, err := p.DB.LeaseGrant(t.Context(), view.Grant, "h-1", now, now.Add(time.Minute))
	must(t, err)
	must(t, p.DB.KeepSpare(t.Context(), leased.Grant, broker.Tokens{Sealed: seal(grantContext("spare")), Refreshes: true}))
	_, err = p.DB.AddRegistered(t.Context(), broker.Registered{Environment: "prod", Provider: "okta", Issuer: "https://login.example.com", ClientID: "c-1",
		Sealed: seal(broker.SealContext{Environment: "prod", Purpose: "registration", ID: "r"}), At: now}, now)
	must(t, err)
}

func opens(t *testing.T, p wire.Parts) {
	t.Helper()
	found, err := p.Sealed.Fetch(t.Context(), value(t))
	if err != nil || !found.Values[""].Equal(secret.New("made-up-value-two")) || len(found.Previous) != 1 || !found.Previous[0].Equal(secret.New("made-up-value-one")) {
		t.Errorf("the value: %v", err)
	}
	staged, err := sealed.NewStager(p.Sealed, p.DB).Staged(t.Context(), value(t), rotation)
	if err != nil || !staged.Values[""].Equal(secret.New("made-up-value-three")) {
		t.Errorf("the staged value: %v", err)
	}
	view, err := p.DB.LeaseGrant(t.Context(), mustGrant(t, p), "h-2", time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
	must(t, err)
	made, err := p.DB.Registered(t.Context(), "prod", "okta", "https://login.example.com")
	must(t, err)
	for name, text := range map[string]struct {
		broker.SealContext
		sealed []byte
	}{
		"grant": {grantContext("grant"), view.Grant.Sealed}, "spare": {grantContext("spare"), view.Spare.Sealed},
		"registration": {broker.SealContext{Environment: "prod", Purpose: "registration", ID: "r"}, made.Sealed},
	} {
		if got, err := p.Sealer.Open(t.Context(), text.SealContext, text.sealed); err != nil || !got.Equal(secret.New("made-up-tokens")) {
			t.Errorf("the %s: %v", name, err)
		}
	}
}

func mustGrant(t *testing.T, p wire.Parts) broker.Grant {
	t.Helper()
	view, err := p.DB.Grant(t.Context(), person)
	must(t, err)
	return view.Grant
}
