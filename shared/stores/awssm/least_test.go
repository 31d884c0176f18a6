package awssm

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestLeastPolicyNamesTheRegisteredPathsAndTheTag(t *testing.T) {
	var policy struct {
		Version   string
		Statement []struct {
			Effect           string
			Action, Resource []string
			Condition        map[string]map[string]any
		}
	}
	if err := json.Unmarshal([]byte(leastPolicy("prod", []string{"prod/*", "shared/github"})), &policy); err != nil {
		t.Fatal(err)
	}
	const prefix = "arn:aws:secretsmanager:REGION:ACCOUNT:secret:"
	read, decrypt := policy.Statement[0], policy.Statement[1]
	if !slices.Equal(read.Resource, []string{prefix + "prod/*", prefix + "shared/github-??????"}) || !slices.Equal(read.Action, []string{"secretsmanager:GetSecretValue"}) {
		t.Errorf("reads %v", read)
	}
	if read.Condition["StringEquals"]["secretsmanager:ResourceTag/bindery-environment"] != "prod" {
		t.Errorf("conditions %v", read.Condition)
	}
	if !slices.Equal(decrypt.Action, []string{"kms:Decrypt"}) || decrypt.Condition["StringEquals"]["kms:ViaService"] != "secretsmanager.REGION.amazonaws.com" {
		t.Errorf("decrypts %v", decrypt)
	}
}
