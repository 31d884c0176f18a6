package tests

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// awsCommands are the operations that the documents ask of AWS's command line, by
// what each takes. The command line names its options after the members.
func awsCommands() map[string]any {
	return map[string]any{
		"dynamodb create-backup":                     dynamodb.CreateBackupInput{},
		"dynamodb delete-item":                       dynamodb.DeleteItemInput{},
		"dynamodb delete-table":                      dynamodb.DeleteTableInput{},
		"dynamodb export-table-to-point-in-time":     dynamodb.ExportTableToPointInTimeInput{},
		"dynamodb list-backups":                      dynamodb.ListBackupsInput{},
		"dynamodb put-resource-policy":               dynamodb.PutResourcePolicyInput{},
		"dynamodb restore-table-from-backup":         dynamodb.RestoreTableFromBackupInput{},
		"dynamodb restore-table-to-point-in-time":    dynamodb.RestoreTableToPointInTimeInput{},
		"dynamodb update-continuous-backups":         dynamodb.UpdateContinuousBackupsInput{},
		"dynamodb update-table":                      dynamodb.UpdateTableInput{},
		"dynamodb wait table-exists":                 dynamodb.DescribeTableInput{},
		"kms cancel-key-deletion":                    kms.CancelKeyDeletionInput{},
		"kms create-key":                             kms.CreateKeyInput{},
		"kms delete-alias":                           kms.DeleteAliasInput{},
		"kms update-alias":                           kms.UpdateAliasInput{},
		"lambda delete-function-concurrency":         lambda.DeleteFunctionConcurrencyInput{},
		"lambda put-function-concurrency":            lambda.PutFunctionConcurrencyInput{},
		"kms enable-key":                             kms.EnableKeyInput{},
		"kms put-key-policy":                         kms.PutKeyPolicyInput{},
		"kms schedule-key-deletion":                  kms.ScheduleKeyDeletionInput{},
		"lambda invoke":                              lambda.InvokeInput{},
		"lambda list-versions-by-function":           lambda.ListVersionsByFunctionInput{},
		"lambda update-alias":                        lambda.UpdateAliasInput{},
		"secretsmanager create-secret":               secretsmanager.CreateSecretInput{},
		"secretsmanager replicate-secret-to-regions": secretsmanager.ReplicateSecretToRegionsInput{},
	}
}

// ofEvery are options that every command has.
const ofEvery = " --query --output --region --endpoint-url --cli-binary-format --cli-read-timeout --no-cli-pager "

// TestCommandsForAWSAreTheOnesItHas: every command of AWS in these pages is one
// that there is, with options that it has.
func TestCommandsForAWSAreTheOnesItHas(t *testing.T) {
	known, used := awsCommands(), map[string]bool{}
	joined := strings.NewReplacer("\\\n", " ")
	command := regexp.MustCompile(`\baws (dynamodb|kms|lambda|secretsmanager) ((?:wait )?[a-z-]+)([^;&|\n]*)`)
	option := regexp.MustCompile(` --([a-z0-9-]+)`)
	for _, name := range []string{"docs/deploy.md", "docs/backup.md", "docs/retention.md", "docs/revocation.md", "docs/evidence.md"} {
		for _, code := range document(t, name).code() {
			for _, m := range command.FindAllStringSubmatch(joined.Replace(code), -1) {
				operation := m[1] + " " + m[2]
				used[operation] = true
				input, ok := known[operation]
				if !ok {
					t.Errorf("%s: aws %s is not known here", name, operation)
					continue
				}
				for _, o := range option.FindAllStringSubmatch(m[3], -1) {
					if !strings.Contains(ofEvery, " --"+o[1]+" ") && !takes(input, strings.TrimPrefix(o[1], "no-")) {
						t.Errorf("%s: aws %s has no option --%s", name, operation, o[1])
					}
				}
			}
		}
	}
	for operation := range known {
		if !used[operation] {
			t.Errorf("no page uses aws %s", operation)
		}
	}
}

// takes reports whether an input has the member after which an option is named.
func takes(input any, option string) bool {
	_, found := reflect.TypeOf(input).FieldByNameFunc(func(name string) bool {
		return strings.EqualFold(name, strings.ReplaceAll(option, "-", ""))
	})
	return found
}

func TestOptionsThatACommandDoesNotHaveAreSeen(t *testing.T) {
	if takes(dynamodb.DeleteTableInput{}, "table-names") || !takes(dynamodb.DeleteTableInput{}, "table-name") {
		t.Error("options are not told apart")
	}
}
