//go:build e2e

package awssm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
)

// guarded is moto behind a proxy that denies as IAM would: moto enforces none.
type guarded struct {
	*Store
	client *secretsmanager.Client // not through the proxy
	proxy  *faultproxy.Proxy
}

func guard(t *testing.T) guarded {
	t.Helper()
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	proxy := faultproxy.New(t, moto.URL)
	at := func(url string) *secretsmanager.Client {
		return secretsmanager.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(url),
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} }})
	}
	return guarded{New(at(proxy.URL), 0, time.Now), at(moto.URL), proxy}
}

// deny refuses reads whose request holds none of the texts.
func (g guarded) deny(code string, but ...string) {
	g.proxy.Inject(faultproxy.Rule{Operations: []string{"GetSecretValue"}, Times: -1, Effect: faultproxy.Fail(400, code), Match: func(body []byte) bool {
		return !slices.ContainsFunc(but, func(text string) bool { return bytes.Contains(body, []byte(text)) })
	}})
}

func registered(paths ...string) broker.Want {
	return broker.Want{Environment: "prod", Store: broker.Store{Environment: "prod", Name: "aws-sm", Kind: "aws-sm", Paths: paths}}
}

func words(check broker.StoreCheck) (list []string) {
	for _, w := range check.Warnings {
		list = append(list, w.Word)
	}
	return list
}

func parsed(t *testing.T, s string) broker.Reference {
	t.Helper()
	r, err := broker.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCheckTellsDeniedFromAllowed without reading a secret: no answer of the
// endpoint ever holds one.
func TestCheckTellsDeniedFromAllowed(t *testing.T) {
	g := guard(t)
	put(t, g.client, "prod/github", "made-up-value-one")
	used := []broker.Reference{parsed(t, "aws-sm:prod/github")}
	for name, c := range map[string]struct {
		deny     func()
		paths    []string
		used     []broker.Reference
		warnings []string
		fault    error
	}{
		"it may read the paths and nothing else": {func() { g.deny("AccessDeniedException", `"prod/`) }, []string{"prod/*"}, nil, nil, nil},
		"it may read more":                       {func() {}, []string{"prod/*"}, nil, []string{broker.ReadsMore}, nil},
		"everything is registered":               {func() {}, []string{"*"}, nil, []string{broker.ReadsAll}, nil},
		"a right that depends on tags, nothing is named": {func() { g.deny("AccessDeniedException") }, []string{"prod/*"}, nil,
			[]string{broker.Unproven}, nil},
		"a right that depends on tags, and a secret is used": {func() { g.deny("AccessDeniedException", `"prod/github"`) }, []string{"prod/*"}, used, nil, nil},
		"what is used is denied":                             {func() { g.deny("AccessDeniedException") }, []string{"prod/*"}, used, nil, broker.ErrStoreDenied},
		"what is registered by its name is denied":           {func() { g.deny("AccessDeniedException") }, []string{"prod/github"}, nil, nil, broker.ErrStoreDenied},
		"one of two is denied": {func() { g.deny("AccessDeniedException", `"prod/github"`) }, []string{"prod/github", "prod/other"}, nil,
			[]string{broker.PathDenied}, nil},
		"it is nobody to AWS":  {func() { g.deny("UnrecognizedClientException") }, []string{"prod/*"}, nil, nil, broker.ErrStoreDenied},
		"the key is denied":    {func() { g.deny("DecryptionFailure") }, []string{"prod/github"}, nil, nil, broker.ErrKeyUnavailable},
		"the service is down":  {func() { g.deny("InternalServiceError") }, []string{"prod/*"}, nil, nil, nil},
		"too many ask at once": {func() { g.deny("ThrottlingException") }, []string{"prod/*"}, nil, nil, broker.ErrUnavailable},
	} {
		if name == "the service is down" {
			c.deny = func() {
				g.proxy.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.ServerError()})
			}
			c.fault = broker.ErrUnavailable
		}
		t.Run(name, func(t *testing.T) {
			g.proxy.Clear()
			c.deny()
			check, err := g.Check(t.Context(), registered(c.paths...), c.used)
			if !errors.Is(err, c.fault) || c.fault == nil && err != nil || !slices.Equal(words(check), c.warnings) {
				t.Errorf("%v, %v; want %v, %v", words(check), err, c.warnings, c.fault)
			}
			if err != nil && strings.Contains(err.Error(), faultproxy.Leak) {
				t.Errorf("the error repeats what AWS said: %v", err)
			}
			if check.LeastPolicy == "" {
				t.Error("no least policy")
			}
		})
	}
}

// TestCheckReadsNoSecret: every request asks for what does not exist.
func TestCheckReadsNoSecret(t *testing.T) {
	g := guard(t)
	put(t, g.client, "prod/github", "made-up-value-one")
	served := 0
	g.proxy.Inject(faultproxy.Rule{Operations: []string{"GetSecretValue"}, Times: -1, Match: func(body []byte) bool {
		var in struct{ SecretID, VersionID string }
		if json.Unmarshal(body, &in) == nil && in.SecretID == "prod/github" && in.VersionID == "" {
			served++
		}
		return false
	}, Effect: faultproxy.Reset()})
	check, err := g.Check(t.Context(), registered("prod/*", "prod/github"), []broker.Reference{parsed(t, "aws-sm:prod/github")})
	if err != nil || served != 0 || g.proxy.Count("GetSecretValue") != 3 {
		t.Errorf("%+v, %v: %d reads of %d were of the secret", check, err, served, g.proxy.Count("GetSecretValue"))
	}
}

func TestListNamesWhatLiesInThePaths(t *testing.T) {
	g := guard(t)
	for i := range 5 {
		put(t, g.client, fmt.Sprintf("prod/secret-%d", i), "made-up-value")
	}
	arn, _ := put(t, g.client, "prod/by-arn", "made-up-value")
	for _, other := range []string{"staging/secret", "production", "prod/not all names are references"} {
		put(t, g.client, other, "made-up-value")
	}
	list := func(limit int, paths ...string) (all []string) {
		for after := ""; ; {
			found, next, err := g.List(t.Context(), registered(paths...), after, limit)
			if err != nil || len(found) > limit {
				t.Fatal(found, err)
			}
			for _, r := range found {
				all = append(all, r.String())
			}
			if after = next; next == "" {
				slices.Sort(all)
				return all
			}
		}
	}
	want := []string{"aws-sm:prod/by-arn", "aws-sm:prod/secret-0", "aws-sm:prod/secret-1", "aws-sm:prod/secret-2", "aws-sm:prod/secret-3", "aws-sm:prod/secret-4"}
	for _, limit := range []int{2, 100} {
		if got := list(limit, "prod/*"); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", limit, got)
		}
	}
	if got := list(10, arn, "staging/*"); !slices.Equal(got, []string{"aws-sm:staging/secret"}) {
		t.Errorf("by ARN, of a time when they were taken: %v", got)
	}
	g.proxy.Inject(faultproxy.Rule{Operations: []string{"ListSecrets"}, Times: 1, Effect: faultproxy.Fail(400, "AccessDeniedException")})
	if _, _, err := g.List(t.Context(), registered("prod/*"), "", 10); !errors.Is(err, broker.ErrStoreDenied) || strings.Contains(err.Error(), faultproxy.Leak) {
		t.Errorf("without the right: %v", err)
	}
	g.proxy.Inject(faultproxy.Rule{Operations: []string{"ListSecrets"}, Times: 1, Effect: faultproxy.Fail(400, "InvalidNextTokenException")})
	if _, _, err := g.List(t.Context(), registered("prod/*"), "no token", 10); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("a token of nobody's: %v", err)
	}
}
