package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bindery/shared/config"
)

func complete() map[string]string {
	return map[string]string{
		config.Environment: "prod", config.PublicURL: "https://mcp.example.com/", config.Issuers: `{"issuers":[]}`,
		config.CatalogueTable: "c", config.RevocationsTable: "r", config.GrantsTable: "g",
		config.TransientTable: "t", config.AuditTable: "a", config.AuditIndexTable: "i", config.Revocation: "f", config.EventBus: "bindery", config.ValuesKey: "alias/values",
	}
}

func load(env map[string]string) (config.Config, error) {
	return config.Load(func(name string) string { return env[name] })
}

func TestDefaults(t *testing.T) {
	c, err := load(complete())
	if err != nil {
		t.Fatal(err)
	}
	if !c.Stream || c.CallTimeout != time.Minute || c.StreamTimeout != 5*time.Minute || c.MaxAnswerBytes != 10<<20 || c.PublicURL != "https://mcp.example.com" || c.Local {
		t.Errorf("unexpected defaults: %+v", c)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	env := complete()
	delete(env, config.AuditTable)
	for name, bad := range map[string]string{
		config.Environment: "Prod!", config.PublicURL: "http://mcp.example.com", config.ResponseMode: "streaming",
		config.CallTimeout: "15m", config.MaxAnswerBytes: "-1", config.PrivateNetworks: "169.254.0.0/16", config.Issuers: "/no/such/file",
		config.StreamTimeout: "5s", config.UseLimits: "all:calls=1", config.Hosts: "*", config.Origins: "null",
	} {
		env[name] = bad
	}
	_, err := load(env)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{config.Environment, config.PublicURL, config.ResponseMode, config.CallTimeout,
		config.MaxAnswerBytes, config.PrivateNetworks, config.Issuers, config.AuditTable,
		config.StreamTimeout, config.UseLimits, config.Hosts, config.Origins} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the fault of %s is not reported", name)
		}
	}
}

func TestLoopbackIsRefusedInsideLambda(t *testing.T) {
	env := complete()
	env[config.Local] = "true"
	if _, err := load(env); err != nil {
		t.Fatal(err)
	}
	env["AWS_LAMBDA_FUNCTION_NAME"] = "proxy"
	if _, err := load(env); err == nil {
		t.Error("accepted BINDERY_LOCAL inside Lambda")
	}
	delete(env, config.Local)
	env["AWS_ENDPOINT_URL"] = "https://elsewhere.example"
	for name, load := range map[string]func(func(string) string) (config.Config, error){
		"the proxy": config.Load, "the authorizer": config.LoadAuthorizer, "the ledger": config.LoadLedger, "the rotation": config.LoadRotation, "the cleanup": config.LoadCleanup,
		"the outbox": config.LoadOutbox, "the revocation": config.LoadRevocation,
	} {
		if _, err := load(func(name string) string { return env[name] }); err == nil || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL") {
			t.Errorf("%s accepted another endpoint inside Lambda: %v", name, err)
		}
	}
	delete(env, "AWS_ENDPOINT_URL")
	for _, service := range []string{"DYNAMODB", "KMS", "SECRETS_MANAGER", "STS", "LAMBDA", "EVENTBRIDGE"} {
		name := "AWS_ENDPOINT_URL_" + service
		env[name] = "https://elsewhere.example"
		if _, err := load(env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s was accepted inside Lambda: %v", name, err)
		}
		delete(env, name)
	}
	env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:5000"
	env[config.Local], env["AWS_SAM_LOCAL"] = "true", "true"
	if _, err := load(env); err != nil {
		t.Error(err)
	}
}

// TestEveryDeploymentIsProduction unless it says otherwise or is one machine's.
func TestEveryDeploymentIsProduction(t *testing.T) {
	for _, c := range []struct {
		production, local string
		want              bool
	}{{"", "", true}, {"", "true", false}, {"true", "true", true}, {"false", "", false}, {"true", "false", true}} {
		env := complete()
		env[config.Production], env[config.Local] = c.production, c.local
		if got, err := load(env); err != nil || got.Production != c.want {
			t.Errorf("%+v: %t, %v", c, got.Production, err)
		}
	}
	for _, text := range []string{"yes", "TRUE", "1"} {
		env := complete()
		env[config.Production] = text
		if _, err := load(env); err == nil || !strings.Contains(err.Error(), config.Production) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAnswersFitIntoTheMemory(t *testing.T) {
	env := complete()
	env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = "256"
	c, err := load(env)
	if err != nil || c.Memory != 256<<20 {
		t.Errorf("the default answer size does not fit into 256 MB: %d, %v", c.Memory, err)
	}
	env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = "128"
	if _, err := load(env); err == nil || !strings.Contains(err.Error(), config.MaxAnswerBytes) {
		t.Errorf("accepted: %v", err)
	}
}

func TestStreamTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "0s": 0, "10s": 10 * time.Second, "14m": 14 * time.Minute} {
		env := complete()
		env[config.StreamTimeout] = text
		if c, err := load(env); err != nil || c.StreamTimeout != want {
			t.Errorf("%s: %s, %v", text, c.StreamTimeout, err)
		}
		env[config.ResponseMode] = "buffered"
		if c, err := load(env); err != nil || c.StreamTimeout != 0 {
			t.Errorf("%s, buffered: %s, %v: nothing of a stream arrives before its end", text, c.StreamTimeout, err)
		}
	}
	for _, text := range []string{"9s", "14m1s", "-10s", "5", "never"} {
		env := complete()
		env[config.StreamTimeout] = text
		if _, err := load(env); err == nil || !strings.Contains(err.Error(), config.StreamTimeout) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestIssuersFromFile(t *testing.T) {
	env := complete()
	env[config.Issuers] = filepath.Join(t.TempDir(), "issuers.json")
	if err := os.WriteFile(env[config.Issuers], []byte(`{"issuers":[1]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(env)
	if err != nil || string(c.Issuers) != `{"issuers":[1]}` {
		t.Errorf("%q, %v", c.Issuers, err)
	}
}

// TestFunctionsReadWhatTheTableSays: all of it, and nothing else.
func TestFunctionsReadWhatTheTableSays(t *testing.T) {
	for name, load := range map[string]func(func(string) string) (config.Config, error){
		"proxy": config.Load, "authorizer": config.LoadAuthorizer, "ledger": config.LoadLedger, "rotation": config.LoadRotation, "cleanup": config.LoadCleanup, "outbox": config.LoadOutbox,
		"revocation": config.LoadRevocation, "admin": config.LoadAdmin,
	} {
		read := map[string]bool{}
		env := complete()
		_, err := load(func(name string) string {
			read[name] = true
			return env[name]
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range config.Settings() {
			says := s.For(name) || name == "admin" && s.For("proxy")
			if says != read[s.Name] {
				t.Errorf("%s: the table says %s %t, it reads it: %t", s.Name, name, says, read[s.Name])
			}
		}
		if _, err = load(func(string) string { return "" }); err == nil {
			t.Errorf("%s starts without any setting", name)
		}
	}
}

func TestEverySettingIsNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range config.Settings() {
		if seen[s.Name] || s.Help == "" || s.Required && s.Default != "" {
			t.Errorf("setting %+v", s)
		}
		seen[s.Name] = true
	}
}
