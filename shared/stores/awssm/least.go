package awssm

import (
	"bytes"
	"encoding/json"
	"strings"

	"bindery/shared/broker"
)

// environmentTag is the tag of a secret that names the environment it is for.
const environmentTag = "bindery-environment"

// statement is one of an IAM policy.
type statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string]any
}

// leastPolicy is the IAM policy that reads the registered paths and nothing
// else: of secrets that are tagged for the environment, the versions that calls
// read, and their key by way of Secrets Manager alone. REGION, ACCOUNT and
// KEY-ID are for the reader to fill in.
func leastPolicy(environment string, paths broker.Scope) string {
	const secrets = "arn:aws:secretsmanager:REGION:ACCOUNT:secret:"
	var resources []string
	for _, path := range paths {
		if !strings.HasSuffix(path, "*") {
			path += "-??????" // what Secrets Manager adds to a name
		}
		resources = append(resources, secrets+path)
	}
	text := &bytes.Buffer{}
	e := json.NewEncoder(text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(map[string]any{"Version": "2012-10-17", "Statement": []statement{
		{"ReadSecrets", "Allow", []string{"secretsmanager:GetSecretValue"}, resources, map[string]map[string]any{
			"StringEquals":         {"secretsmanager:ResourceTag/" + environmentTag: environment},
			"StringEqualsIfExists": {"secretsmanager:VersionStage": []string{stageCurrent, stagePrevious}}}},
		{"DecryptSecrets", "Allow", []string{"kms:Decrypt"}, []string{"arn:aws:kms:REGION:ACCOUNT:key/KEY-ID"}, map[string]map[string]any{
			"StringEquals": {"kms:ViaService": "secretsmanager.REGION.amazonaws.com"},
			"StringLike":   {"kms:EncryptionContext:SecretARN": resources}}},
	}})
	return strings.TrimSuffix(text.String(), "\n")
}
