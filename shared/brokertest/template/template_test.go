package template

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const outer = `
Parameters:
  Environment: { Type: String }
  Key: { Type: String, Default: "" }
  Functions: { Type: CommaDelimitedList, Default: "a, b" }
Conditions:
  HasKey: !Not [!Equals [!Ref Key, ""]]
  Both: !And [!Condition HasKey, !Or [!Equals [!Ref Environment, prod], !Equals [!Ref Environment, dev]]]
Resources:
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: inner.yaml
      Parameters: { Name: !Ref AWS::StackName, Functions: !Join [",", !Ref Functions], Key: !If [HasKey, !Ref Key, none] }
  Function:
    Type: AWS::Serverless::Function
    Properties: { Role: !GetAtt Inner.Outputs.Role, FunctionName: !Sub "${AWS::StackName}-fn" }
  Sometimes:
    Type: AWS::SQS::Queue
    Condition: Both
    Properties: { Names: !Split ["/", a/b], Kept: !If [HasKey, x, !Ref AWS::NoValue], Text: !Sub ["${Environment}/${Path}${!Literal}", { Path: !Ref Key }] }
`

const inner = `
Parameters:
  Name: { Type: String }
  Functions: { Type: CommaDelimitedList }
  Key: { Type: String }
Resources:
  OneRole:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyDocument:
            Version: "2012-10-17"
            Statement: [{ Sid: Read, Effect: Allow, Action: "dynamodb:GetItem", Resource: !Sub "arn:aws:dynamodb:us-east-1:123456789012:table/${Name}-t" }]
  Shared:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Roles: [!Ref OneRole]
      PolicyDocument: { Version: "2012-10-17", Statement: [{ Sid: Also, Effect: Deny, Action: "ec2:RunInstances", Resource: "*" }] }
Outputs:
  Role: { Value: !GetAtt OneRole.Arn }
`

func written(t *testing.T, outer string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{"outer.yaml": outer, "inner.yaml": inner} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "outer.yaml")
}

// TestFunctionsAndConditionsAreDecided as CloudFormation does it, through nested
// stacks too.
func TestFunctionsAndConditionsAreDecided(t *testing.T) {
	s, err := Read(written(t, outer), "one", map[string]any{"Environment": "prod", "Key": "k"})
	if err != nil {
		t.Fatal(err)
	}
	for property, want := range map[string]any{"Names": []any{"a", "b"}, "Kept": "x", "Text": "prod/k${!Literal}", "Missing": nil} {
		got, err := s.Property("Sometimes", property)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", property, err, diff)
		}
	}
	role, err := s.RoleOf("Function")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Account()
	if err != nil || len(a.Roles[role].Statements) != 2 || a.Roles[role].Statements[0].Resources[0] != "arn:aws:dynamodb:us-east-1:123456789012:table/one-t" {
		t.Errorf("%s of %+v, %v", role, a.Roles, err)
	}
	if arn, err := s.ARN("Function"); err != nil || arn != "arn:aws:lambda:us-east-1:123456789012:function:one-fn" {
		t.Errorf("%s, %v", arn, err)
	}
}

// TestWhatIsDeployedDependsOnConditions: a resource whose condition does not hold is
// not there, and a value that is none is left out.
func TestWhatIsDeployedDependsOnConditions(t *testing.T) {
	for environment, want := range map[string]bool{"prod": true, "test": false} {
		s, err := Read(written(t, outer), "one", map[string]any{"Environment": environment, "Key": "k"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Has("Sometimes"); got != want || err != nil {
			t.Errorf("%s: %v, %v", environment, got, err)
		}
	}
	s, err := Read(written(t, outer), "one", map[string]any{"Environment": "prod"})
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := s.Property("Sometimes", "Kept"); kept != nil || err != nil {
		t.Errorf("%v, %v", kept, err)
	}
}

// TestWhatCannotBeDecidedIsAnError: a guess could hide a right.
func TestWhatCannotBeDecidedIsAnError(t *testing.T) {
	given := map[string]any{"Environment": "prod"}
	for _, value := range []any{
		map[string]any{"Fn::ImportValue": "x"}, map[string]any{"Ref": "Nobody"}, map[string]any{"Fn::If": []any{"Nobody", 1, 2}}, map[string]any{"Fn::Sub": "${Nobody}"},
		map[string]any{"Fn::GetAtt": []any{"Function", "Version"}}, map[string]any{"Fn::GetAtt": []any{"Inner", "Outputs.Nothing"}}, map[string]any{"Fn::Join": "x"}, map[string]any{"Fn::Split": "x"},
	} {
		s, err := Read(written(t, outer), "one", given)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Resolve(value); err == nil {
			t.Errorf("%v is %v", value, got)
		}
	}
	for _, wrong := range []map[string]any{{}, {"Environment": "prod", "Nobody": "x"}} {
		if _, err := Read(written(t, outer), "one", wrong); err == nil {
			t.Errorf("it is read with %v", wrong)
		}
	}
	for _, text := range []string{"Resources: &a {}\nOutputs: *a\n", "Resources: {}\nResources: {}\n"} { // an anchor, and what stands twice
		if _, err := Read(written(t, text), "one", nil); err == nil {
			t.Errorf("read: %s", text)
		}
	}
}
