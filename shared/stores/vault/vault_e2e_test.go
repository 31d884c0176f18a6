//go:build e2e

package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
	"bindery/shared/brokertest/secretsuite"
	"bindery/shared/secret"
)

// server is a real Vault with KV version 2 at secret/, version 1 at kv/, and a
// policy "bindery" that reads the folder mcp of both.
type server struct {
	*parts.VaultServer
	t *testing.T
}

func startVault(t *testing.T) server {
	t.Helper()
	v, err := parts.Vault(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Stop)
	s := server{v, t}
	s.do("POST", "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}, nil)
	s.do("POST", "sys/mounts/kv", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}}, nil)
	s.do("PUT", "sys/policies/acl/bindery", map[string]string{
		"policy": `path "secret/data/mcp/*" { capabilities = ["read"] } path "kv/mcp/*" { capabilities = ["read"] }`}, nil)
	for deadline := time.Now().Add(time.Minute); ; { // version 2 of KV prepares itself for a moment
		err := v.Do(t.Context(), "POST", "secret/data/ready", map[string]any{"data": map[string]string{"a": "b"}}, nil)
		if err == nil {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s server) do(method, path string, in, out any) {
	s.t.Helper()
	if err := s.Do(s.t.Context(), method, path, in, out); err != nil {
		s.t.Fatal(err)
	}
}

func (s server) put(path, object string) {
	s.t.Helper()
	var in any = json.RawMessage(object)
	if strings.HasPrefix(path, "secret/") {
		in = map[string]any{"data": in}
	}
	s.do("POST", path, in, nil)
}

// want asks this server; its credential is what credential gives.
func (s server) want(auth broker.StoreAuth, ref string, credential func() string) broker.Want {
	s.t.Helper()
	if auth.Method != broker.AuthAWSIAM {
		auth.Credential = reference(s.t, "sealed:vault")
	}
	w := want(s.t, broker.Store{Environment: "prod", Name: "vault", Kind: "vault", Paths: broker.Scope{"*"}, Version: 1,
		State: broker.Active, Address: s.URL, Auth: auth}, ref)
	if credential != nil {
		w.Credential = func(context.Context) (secret.Value, error) { return secret.New(credential()), nil }
	}
	return w
}

// token makes a client token with the policy.
func (s server) token() string {
	s.t.Helper()
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	s.do("POST", "auth/token/create", map[string]any{"policies": []string{"bindery"}, "ttl": "10m"}, &made)
	return made.Auth.Token
}

func TestSuiteOnVault(t *testing.T) {
	s := startVault(t)
	runs := 0
	for _, mount := range []string{"secret/data/mcp/", "kv/mcp/"} {
		t.Run(mount, func(t *testing.T) {
			token := s.token()
			secretsuite.Run(t, func(*testing.T) secretsuite.Backend {
				runs++
				w := s.want(broker.StoreAuth{Method: broker.AuthToken}, "vault:a/b#c", func() string { return token })
				return backend(func() broker.SecretStore { return open(time.Now) }, w, fmt.Sprintf("%srun-%d/", mount, runs),
					func(_ *testing.T, path, object string) { s.put(path, object) },
					func(_ *testing.T, path string) { s.do("DELETE", path, nil, nil) })
			})
		})
	}
}

func TestVersionsOnVault(t *testing.T) {
	s := startVault(t)
	token := s.token()
	fetch := func(ref string) (broker.Secret, error) {
		return open(time.Now).Fetch(t.Context(), s.want(broker.StoreAuth{Method: broker.AuthToken}, ref, func() string { return token }))
	}
	for n := range 4 {
		s.put("secret/data/mcp/github", fmt.Sprintf(`{"token":"made-up-value-%d"}`, n+1))
	}
	current := "vault:secret/data/mcp/github#token"
	found, err := fetch(current)
	mustBe(t, found, err, "token", "made-up-value-4", "4", "made-up-value-3")
	if len(found.RequestID) != 36 {
		t.Errorf("request id %q", found.RequestID)
	}
	found, err = fetch("vault:secret/data/mcp/github?version=2#token")
	mustBe(t, found, err, "token", "made-up-value-2", "2")

	s.do("POST", "secret/delete/mcp/github", map[string]any{"versions": []int{3}}, nil)
	found, err = fetch(current)
	mustBe(t, found, err, "token", "made-up-value-4", "4")
	s.do("PUT", "secret/destroy/mcp/github", map[string]any{"versions": []int{2, 4}}, nil)
	for _, ref := range []string{current, "vault:secret/data/mcp/github?version=2#token", "vault:secret/data/mcp/github?version=3#token",
		"vault:secret/data/mcp/github?version=9#token", "vault:secret/data/mcp/none#token", "vault:kv/mcp/none#token"} {
		if _, err := fetch(ref); !errors.Is(err, broker.ErrSecretMissing) {
			t.Errorf("%s: %v, want ErrSecretMissing", ref, err)
		}
	}
	for _, ref := range []string{"vault:secret/data/finance/x#token", "vault:kv/finance#token", "vault:secret/metadata/mcp/github#token", "vault:nowhere/x#token"} {
		if _, err := fetch(ref); !errors.Is(err, broker.ErrStoreDenied) {
			t.Errorf("%s: %v, want ErrStoreDenied", ref, err)
		}
	}
}

// TestSignInByJWTOnVault signs in with a workload's own token, and again when
// Vault has revoked what it gave; a sealed server is unavailable.
func TestSignInByJWTOnVault(t *testing.T) {
	s, issuer, c := startVault(t), idp.New(t), newClock()
	issuer.Add("rsa", "RS256")
	s.do("POST", "sys/auth/workloads", map[string]string{"type": "jwt"}, nil)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { idp.WriteJSON(w, issuer.JWKS()) }))
	t.Cleanup(keys.Close)
	s.do("POST", "auth/workloads/config", map[string]string{"jwks_url": keys.URL, "bound_issuer": issuer.Issuer()}, nil)
	s.do("POST", "auth/workloads/role/bindery", map[string]any{"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
		"bound_subject": "bindery", "token_policies": []string{"bindery"}, "token_ttl": "10m"}, nil)
	s.put("kv/mcp/github", `{"token":"made-up-value-one"}`)
	subject := "bindery"
	auth := broker.StoreAuth{Method: broker.AuthJWT, Mount: "workloads", Role: "bindery"}
	w := s.want(auth, "vault:kv/mcp/github#token", func() string {
		return issuer.Sign("rsa", map[string]any{"alg": "RS256", "typ": "JWT", "kid": "rsa"}, map[string]any{"iss": issuer.Issuer(), "aud": "vault",
			"sub": subject, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()})
	})
	store := open(c.now)
	found, err := store.Fetch(t.Context(), w)
	mustBe(t, found, err, "token", "made-up-value-one", "")

	held := func() secret.Value { return store.tokens.slot(place{"prod", "vault"}).held.token }
	revoked := held()
	s.do("PUT", "sys/leases/revoke-prefix/auth/workloads", map[string]bool{"sync": true}, nil)
	c.pass(fresh)
	s.put("kv/mcp/github", `{"token":"made-up-value-two"}`)
	found, err = store.Fetch(t.Context(), w)
	mustBe(t, found, err, "token", "made-up-value-two", "")
	if held().Equal(revoked) {
		t.Error("the revoked token is still in use")
	}

	s.do("PUT", "sys/seal", nil, nil)
	if _, err := store.Fetch(t.Context(), w); !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "503") {
		t.Errorf("%v, want ErrUnavailable from a sealed server", err)
	}
	if _, err := open(c.now).Fetch(t.Context(), w); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable for a sign-in at a sealed server", err)
	}
	if err := s.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	subject = "somebody-else"
	if _, err := open(c.now).Fetch(t.Context(), w); !errors.Is(err, broker.ErrStoreDenied) {
		t.Errorf("%v, want ErrStoreDenied for another subject", err)
	}
}

// TestSignInByAWSIAMOnVault: Vault puts the signed question to moto's STS.
func TestSignInByAWSIAMOnVault(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	client := sts.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(moto.URL),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")})
	assumed, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/bindery-proxy"), RoleSessionName: aws.String("proxy")})
	if err != nil {
		t.Fatal(err)
	}
	s := startVault(t)
	s.do("POST", "sys/auth/aws", map[string]string{"type": "aws"}, nil)
	s.do("POST", "auth/aws/config/client", map[string]string{"sts_endpoint": moto.URL, "sts_region": "us-east-1",
		"iam_server_id_header_value": "vault.example.com"}, nil)
	for role, arn := range map[string]string{"bindery": "arn:aws:iam::123456789012:role/bindery-proxy", "other": "arn:aws:iam::123456789012:role/other"} {
		s.do("POST", "auth/aws/role/"+role, map[string]any{"auth_type": "iam", "bound_iam_principal_arn": []string{arn},
			"resolve_aws_unique_ids": false, "token_policies": []string{"bindery"}}, nil)
	}
	s.put("secret/data/mcp/github", `{"token":"made-up-value-one"}`)
	function := credentials.NewStaticCredentialsProvider(*assumed.Credentials.AccessKeyId, *assumed.Credentials.SecretAccessKey, *assumed.Credentials.SessionToken)
	fetch := func(role, serverID string) (broker.Secret, error) {
		store := open(time.Now)
		store.aws = function
		return store.Fetch(t.Context(), s.want(broker.StoreAuth{Method: broker.AuthAWSIAM, Mount: "aws", Role: role, ServerID: serverID},
			"vault:secret/data/mcp/github#token", nil))
	}
	found, err := fetch("bindery", "vault.example.com")
	mustBe(t, found, err, "token", "made-up-value-one", "1")
	for what, of := range map[string][2]string{"another role": {"other", "vault.example.com"}, "another server": {"bindery", "vault.other.example"}, "no role": {"none", "vault.example.com"}} {
		if _, err := fetch(of[0], of[1]); !errors.Is(err, broker.ErrStoreDenied) {
			t.Errorf("%s: %v, want ErrStoreDenied", what, err)
		}
	}
}
