package checks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"bindery/shared/awsfault"
)

// Keys is KMS's side.
type Keys interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	GetKeyPolicy(context.Context, *kms.GetKeyPolicyInput, ...func(*kms.Options)) (*kms.GetKeyPolicyOutput, error)
	GenerateDataKey(context.Context, *kms.GenerateDataKeyInput, ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error)
}

func keyChecks() []Check {
	next := "Compare the key's policy with infra/keys.yaml, look in CloudTrail for PutKeyPolicy and CreateGrant, and deploy again."
	return []Check{
		{"key-policy", "the key is enabled, and its policy lets the functions' roles alone use it, each under an encryption context of this environment", next, keyPolicy},
		{"key-use", "KMS denies the operator to use the key, with and without the encryption context", next, keyUse},
	}
}

// several is what a policy may write as one text or as a list.
type several []string

func (l *several) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*l = several{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(l))
}

type statement struct {
	Sid, Effect string
	Principal   struct{ AWS, Service several }
	Action      several
	NotAction   several
	Condition   map[string]map[string]several
}

func keyPolicy(ctx context.Context, s *Subject) (string, error) {
	key := aws.String(s.physical("AWS::KMS::Key", "ValuesKey"))
	described, err := s.Keys.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: key})
	if err != nil {
		return "", asked("describe the key", err)
	}
	if !described.KeyMetadata.Enabled {
		return "", fmt.Errorf("the key is %s", described.KeyMetadata.KeyState)
	}
	out, err := s.Keys.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: key, PolicyName: aws.String("default")})
	if err != nil {
		return "", asked("read the key's policy", err)
	}
	var policy struct{ Statement []statement }
	if err := json.Unmarshal([]byte(aws.ToString(out.Policy)), &policy); err != nil {
		return "", errors.New("the key's policy cannot be read, or names everybody")
	}
	var roles, wrong []string
	for _, f := range s.present() {
		roles = append(roles, fmt.Sprintf("arn:%s:iam::%s:role/%s", s.Partition, s.Account, s.physical("AWS::IAM::Role", logical(f, "Role"))))
	}
	users := 0
	for _, st := range policy.Statement {
		if st.Effect != "Allow" || len(st.NotAction) == 0 && !slices.ContainsFunc(st.Action, cryptographic) {
			continue
		}
		users++
		if why := s.widerThan(st, roles); why != "" {
			wrong = append(wrong, fmt.Sprintf("the statement %q %s", st.Sid, why))
		}
	}
	if users == 0 {
		wrong = append(wrong, "nobody may use the key")
	}
	return fmt.Sprintf("%d statements let roles of the stack use the key, each under a context", users), together(wrong)
}

// cryptographic says whether an action of a policy covers one that opens, makes
// or moves what is sealed, or hands that right on.
func cryptographic(action string) bool {
	if prefix, wild := strings.CutSuffix(action, "*"); wild {
		return slices.ContainsFunc([]string{"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:CreateGrant"},
			func(a string) bool { return strings.HasPrefix(a, prefix) })
	}
	for _, part := range []string{"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncrypt", "kms:CreateGrant", "kms:DeriveSharedSecret"} {
		if strings.HasPrefix(action, part) {
			return true
		}
	}
	return false
}

// widerThan says what of a statement is wider than it may be.
func (s *Subject) widerThan(st statement, roles []string) string {
	switch context := st.Condition["StringEquals"]; {
	case len(st.Principal.AWS) == 0 || len(st.Principal.Service) > 0:
		return "names no role"
	case slices.ContainsFunc(st.Principal.AWS, func(p string) bool { return !slices.Contains(roles, p) }):
		return "lets somebody use it who is none of the functions"
	case len(st.NotAction) > 0 || slices.ContainsFunc(st.Action, func(a string) bool { return strings.Contains(a, "*") || strings.HasSuffix(a, "CreateGrant") }):
		return "allows more than named actions"
	case !slices.Equal(context["kms:EncryptionContext:bindery:environment"], several{s.Environment}):
		return "does not ask for this environment's context"
	case len(context["kms:EncryptionContext:bindery:purpose"]) == 0:
		return "asks for no purpose"
	}
	return ""
}

// keyUse asks for a data key as a dry run, so none is made even where it is permitted.
func keyUse(ctx context.Context, s *Subject) (string, error) {
	key := aws.String(s.physical("AWS::KMS::Key", "ValuesKey"))
	for with, context := range map[string]map[string]string{
		"without an encryption context":         nil,
		"with this environment's context":       {"bindery:environment": s.Environment, "bindery:purpose": "value"},
		"with another environment's context":    {"bindery:environment": s.Environment + "-other", "bindery:purpose": "value"},
		"with a purpose that no function knows": {"bindery:environment": s.Environment, "bindery:purpose": "smoke"},
	} {
		_, err := s.Keys.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: key, KeySpec: types.DataKeySpecAes256, DryRun: aws.Bool(true), EncryptionContext: context})
		var permitted *types.DryRunOperationException
		switch {
		case err == nil, errors.As(err, &permitted):
			return "", fmt.Errorf("you may use the key %s", with)
		case awsfault.Of(err).Code != "AccessDeniedException":
			return "", asked("try to use the key", err)
		}
	}
	return "denied with each context", nil
}
