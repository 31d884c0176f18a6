package rights

import (
	"strings"

	"bindery/shared/brokertest/template"
)

// attack is something that whoever has taken over a function could try, and the
// functions whose role lets it happen all the same: of those, it is their work.
type attack struct {
	what     string
	action   string
	resource string
	keys     map[string][]string
	may      string
}

const (
	secretARN = "arn:aws:secretsmanager:" + template.Region + ":" + template.AccountID + ":secret:"
	tableARN  = "arn:aws:dynamodb:" + template.Region + ":" + template.AccountID + ":table/" + stackName + "-"
)

// reading is a request for a secret with a tag (unless it is empty) and a stage.
func reading(what, name, tag, stage, may string) attack {
	return asking(what, "GetSecretValue", name, tag, stage, may)
}

func asking(what, action, name, tag, stage, may string) attack {
	keys := map[string][]string{}
	if tag != "" {
		keys["secretsmanager:resourcetag/bindery-environment"] = []string{tag}
	}
	if stage != "" {
		keys["secretsmanager:versionstage"] = []string{stage}
	}
	return attack{what, "secretsmanager:" + action, secretARN + name, keys, may}
}

// row is a request for one row, or for the whole table where no partition is given.
func row(what, action, table, partition, may string) attack {
	keys := map[string][]string{}
	if partition != "" {
		keys["dynamodb:leadingkeys"] = strings.Split(partition, " ")
	}
	return attack{what, "dynamodb:" + action, tableARN + table, keys, may}
}

// opening is a use of the stack's key in an encryption context.
func opening(what, action, environment, purpose, may string) attack {
	keys := map[string][]string{}
	if environment != "" {
		keys["kms:encryptioncontext:bindery:environment"] = []string{environment}
	}
	if purpose != "" {
		keys["kms:encryptioncontext:bindery:purpose"] = []string{purpose}
	}
	return attack{what, "kms:" + action, "key", keys, may}
}

const everySealer = "admin callback cleanup proxy rotation"

func onSecrets() []attack {
	const users = "admin cleanup proxy rotation"
	return []attack{
		reading("a secret of this environment", "prod/github-AbCdEf", "prod", "AWSCURRENT", users),
		reading("the version before", "prod/github-AbCdEf", "prod", "AWSPREVIOUS", users),
		reading("by version id alone", "prod/github-AbCdEf", "prod", "", users),
		reading("a secret of Bindery as a client", "prod/clients/okta-AbCdEf", "prod", "AWSCURRENT", "admin callback cleanup proxy rotation"),
		reading("an untagged secret", "prod/github-AbCdEf", "", "AWSCURRENT", ""),
		reading("an untagged secret of Bindery as a client", "prod/clients/okta-AbCdEf", "", "AWSCURRENT", ""),
		reading("a secret of another path", "payroll/database-AbCdEf", "prod", "AWSCURRENT", ""),
		reading("a secret whose path only begins alike", "production/github-AbCdEf", "prod", "AWSCURRENT", ""),
		reading("a secret of another environment's tag", "prod/github-AbCdEf", "dev", "AWSCURRENT", ""),
		reading("a secret of another environment", "dev/github-AbCdEf", "dev", "AWSCURRENT", ""),
		reading("what is only staged", "prod/github-AbCdEf", "prod", "AWSPENDING", ""),
		reading("a stage of somebody's own", "prod/github-AbCdEf", "prod", "MINE", ""),
		asking("put a value", "PutSecretValue", "prod/github-AbCdEf", "prod", "", "rotation"),
		asking("put a value of Bindery as a client", "PutSecretValue", "prod/clients/okta-AbCdEf", "prod", "", "rotation"),
		asking("put a value into another path", "PutSecretValue", "payroll/database-AbCdEf", "prod", "", ""),
		asking("put a value into an untagged secret", "PutSecretValue", "prod/github-AbCdEf", "", "", ""),
		asking("describe a secret", "DescribeSecret", "prod/github-AbCdEf", "prod", "", "admin rotation"),
		asking("tag a secret as ours", "TagResource", "prod/github-AbCdEf", "prod", "", ""),
		asking("give a secret a policy", "PutResourcePolicy", "prod/github-AbCdEf", "prod", "", ""),
		asking("delete a secret", "DeleteSecret", "prod/github-AbCdEf", "prod", "", ""),
		asking("copy a secret to another region", "ReplicateSecretToRegions", "prod/github-AbCdEf", "prod", "", ""),
		{"list secrets", "secretsmanager:ListSecrets", "*", nil, "admin"},
		{"many secrets at once", "secretsmanager:BatchGetSecretValue", "*", nil, ""},
		{"decrypt with the secrets' key, by itself", "kms:Decrypt", secretsKey, map[string][]string{"kms:encryptioncontext:secretarn": {secretARN + "prod/github-AbCdEf"}}, ""},
		{"encrypt a value by way of Secrets Manager", "kms:GenerateDataKey", secretsKey, map[string][]string{"kms:viaservice": {"secretsmanager.us-east-1.amazonaws.com"},
			"kms:encryptioncontext:secretarn": {secretARN + "prod/github-AbCdEf"}}, "rotation"},
		{"decrypt a secret of another path", "kms:Decrypt", secretsKey, map[string][]string{"kms:viaservice": {"secretsmanager.us-east-1.amazonaws.com"},
			"kms:encryptioncontext:secretarn": {secretARN + "payroll/database-AbCdEf"}}, ""},
	}
}

func onEvidence() []attack {
	const receipt = "01JABCDEF"
	return []attack{
		row("add a record, or overwrite one", "PutItem", "audit", receipt, "admin callback cleanup ledger proxy revocation rotation"), // IAM cannot tell the two apart
		row("change a record", "UpdateItem", "audit", receipt, ""),
		row("delete a record", "DeleteItem", "audit", receipt, ""),
		row("delete records in a batch", "BatchWriteItem", "audit", receipt, ""),
		row("insert by a statement", "PartiQLInsert", "audit", receipt, ""),
		row("update by a statement", "PartiQLUpdate", "audit", receipt, ""),
		row("delete by a statement", "PartiQLDelete", "audit", receipt, ""),
		row("read by a statement", "PartiQLSelect", "audit", receipt, ""),
		row("let records expire", "UpdateTimeToLive", "audit", "", ""),
		row("delete the table", "DeleteTable", "audit", "", ""),
		row("take the table's policy away", "DeleteResourcePolicy", "audit", "", ""),
		row("switch recovery off", "UpdateContinuousBackups", "audit", "", ""),
		row("copy the table out", "ExportTableToPointInTime", "audit", "", ""),
		row("read a record", "Query", "audit", receipt, "admin ledger"),
		row("read a record by its key", "GetItem", "audit", receipt, ""),
		row("read all records", "Scan", "audit", "", "ledger"),
		row("read the index", "Query", "audit-index", "entries/prod/2026-01-01", "admin"),
		row("read the whole index", "Scan", "audit-index", "", ""),
		row("read when something was used", "Query", "audit-index", "usage/prod/github", "admin rotation"),
		row("change the index", "UpdateItem", "audit-index", "entries/prod/2026-01-01", "ledger"),
		row("delete from the index", "DeleteItem", "audit-index", "entries/prod/2026-01-01", ""),
		{"read what is written into the audit table", "dynamodb:GetRecords", tableARN + "audit/stream/2026-01-01T00:00:00.000", nil, "ledger outbox"},
	}
}

func onSealedTexts() []attack {
	return []attack{
		opening("open a person's grant", "Decrypt", "prod", "grant", everySealer),
		opening("open a grant of another environment", "Decrypt", "dev", "grant", ""),
		opening("open a value", "Decrypt", "prod", "value", "admin cleanup proxy rotation"),
		opening("open a value of another environment", "Decrypt", "dev", "value", ""),
		opening("open without a context", "Decrypt", "", "", ""),
		opening("open without a purpose", "Decrypt", "prod", "", ""),
		opening("open without an environment", "Decrypt", "", "grant", ""),
		opening("open for a purpose of one's own", "Decrypt", "prod", "mine", ""),
		opening("open what is staged", "Decrypt", "prod", "rotation", "rotation"),
		opening("open a session's key", "Decrypt", "prod", "session-key", "cleanup proxy"),
		opening("open a registration", "Decrypt", "prod", "registration", everySealer),
		opening("open issuers' keys", "Decrypt", "prod", "issuer-keys", "admin authorizer callback proxy"),
		opening("seal a value", "GenerateDataKey", "prod", "value", "admin rotation"),
		opening("seal a grant", "GenerateDataKey", "prod", "grant", everySealer),
		opening("seal for another environment", "GenerateDataKey", "dev", "grant", ""),
		opening("move a text to another key", "ReEncryptFrom", "prod", "grant", "rotation"),
		opening("move a text of another environment", "ReEncryptFrom", "dev", "grant", ""),
		opening("encrypt by the key itself", "Encrypt", "prod", "grant", ""),
		opening("lend the key", "CreateGrant", "prod", "grant", ""),
		opening("change the key's policy", "PutKeyPolicy", "prod", "grant", ""),
		opening("have the key deleted", "ScheduleKeyDeletion", "", "", ""),
		{"sign with the stack's signing key", "kms:Sign", signingKey, nil, "callback cleanup proxy rotation"},
		{"open with the signing key", "kms:Decrypt", signingKey, nil, ""},
	}
}

func onRows() []attack {
	return []attack{
		row("read a sealed value", "GetItem", "grants", "sealed/prod/github", "admin cleanup proxy rotation"),
		row("read a sealed value of another environment", "GetItem", "grants", "sealed/dev/github", ""),
		row("read a person's grant", "Query", "grants", "grants/prod/p-alice", everySealer),
		row("read two people's grants, one of another environment", "BatchGetItem", "grants", "grants/prod/p-alice grants/dev/p-bob", ""),
		row("read what a rotation keeps", "GetItem", "grants", "rotation/prod/github", "admin rotation"),
		row("read all that is sealed", "Scan", "grants", "", "cleanup rotation"),
		row("change a sealed value", "PutItem", "grants", "sealed/prod/github", "admin cleanup rotation"),
		row("make a grant", "PutItem", "grants", "grants/prod/p-alice", "callback"),
		row("change a grant", "UpdateItem", "grants", "grants/prod/p-alice", everySealer),
		row("delete a grant", "DeleteItem", "grants", "grants/prod/p-alice", ""),
		row("bind somebody to a server", "PutItem", "catalogue", "server/prod/github", "admin rotation"), // rotation repoints cards, and no key tells them apart
		row("register a store", "PutItem", "catalogue", "env/prod#0", "admin"),
		row("register a provider", "PutItem", "catalogue", "provider/prod", "admin"),
		row("lower a tool's risk", "PutItem", "catalogue", "tool/prod/github", "admin"),
		row("put a policy set", "PutItem", "catalogue", "policies/prod", "admin"),
		row("write a notice", "PutItem", "catalogue", "notices/prod", "admin rotation"),
		row("delete a card", "DeleteItem", "catalogue", "server/prod/github", "admin"),
		row("delete a tool", "DeleteItem", "catalogue", "tool/prod/github", ""),
		row("read the catalogue's cards", "Query", "catalogue", "server/prod/github", everySealer),
		row("read the catalogue's assignments", "Query", "catalogue", "assignment/prod", "admin cleanup rotation"),
		row("read the catalogue's incidents", "Query", "catalogue", "incident/prod", "admin cleanup rotation"),
		row("read the whole catalogue", "Scan", "catalogue", "", ""),
		row("stop somebody", "PutItem", "revocations", "marker/prod/principal/p-alice", "revocation"),
		row("stop a server, or let it go", "PutItem", "revocations", "markers/prod/github", "revocation"),
		row("stop everything, or let it go", "PutItem", "revocations", "markers/prod#0", "revocation"),
		row("delete a marker", "DeleteItem", "revocations", "marker/prod/principal/p-alice", ""),
		row("delete a server's marker", "DeleteItem", "revocations", "markers/prod/github", ""),
		row("count a change of a secret", "PutItem", "revocations", "marker/prod/change/aws-sm:x", "revocation rotation"),
		row("write a case", "PutItem", "revocations", "revocations/prod", "cleanup revocation"),
		row("read cases", "Query", "revocations", "revocations/prod", "admin cleanup"),
		row("read cases in a batch", "BatchGetItem", "revocations", "revocations/prod", "cleanup"),
		row("read markers", "BatchGetItem", "revocations", "marker/prod/principal/p-alice", "admin callback cleanup proxy revocation rotation"),
		row("read markers of another environment", "BatchGetItem", "revocations", "marker/dev/principal/p-alice", ""),
		row("take another's session key", "GetItem", "transient", "rolling-key/prod", "cleanup proxy"),
		row("take a login under way", "GetItem", "transient", "handle/prod/login", "callback"),
		row("make a ticket", "PutItem", "transient", "handle/prod/ticket", "callback proxy"),
		row("plant issuers' keys", "PutItem", "transient", "issuer-keys/prod/okta", "admin authorizer callback proxy"),
		row("plant issuers' keys of another environment", "PutItem", "transient", "issuer-keys/dev/okta", ""),
		row("end sessions", "DeleteItem", "transient", "sessions/prod/p-alice", "cleanup proxy"),
		row("free one's places", "DeleteItem", "transient", "quota/prod/p-alice/places", "proxy"),
		row("read all short-lived rows", "Scan", "transient", "", "cleanup"),
	}
}

func onFunctions() []attack {
	function := "arn:aws:lambda:" + template.Region + ":" + template.AccountID + ":function:" + stackName + "-"
	bus := "arn:aws:events:" + template.Region + ":" + template.AccountID + ":event-bus/"
	return []attack{
		{"have something revoked", "lambda:InvokeFunction", function + "revocation", nil, "admin"},
		{"wake rotations", "lambda:InvokeFunction", function + "rotation", nil, "admin"},
		{"invoke the proxy", "lambda:InvokeFunction", function + "proxy", nil, ""},
		{"fill the index anew", "lambda:InvokeFunction", function + "ledger", nil, ""},
		{"rotate by a function of the customer's", "lambda:InvokeFunction", rotator, nil, "rotation"},
		{"replace a function's code", "lambda:UpdateFunctionCode", function + "proxy", nil, ""},
		{"change a function's settings", "lambda:UpdateFunctionConfiguration", function + "proxy", nil, ""},
		{"tell an event in Bindery's name", "events:PutEvents", bus + "default", map[string][]string{"events:source": {"bindery"}}, "outbox"},
		{"tell an event in another's name", "events:PutEvents", bus + "default", map[string][]string{"events:source": {"aws.guardduty"}}, ""},
		{"tell it on another bus", "events:PutEvents", bus + "payroll", map[string][]string{"events:source": {"bindery"}}, ""},
		{"take another role", "sts:AssumeRole", "arn:aws:iam::" + template.AccountID + ":role/admin", nil, ""},
		{"widen a role", "iam:PutRolePolicy", "arn:aws:iam::" + template.AccountID + ":role/" + stackName, nil, ""},
		{"open an interface into the VPC", "ec2:CreateNetworkInterface", "*", nil, ""},
		{"read another function's log", "logs:GetLogEvents", "arn:aws:logs:" + template.Region + ":" + template.AccountID + ":log-group:" + stackName + "-proxy:*", nil, ""},
		{"delete a log", "logs:DeleteLogGroup", "arn:aws:logs:" + template.Region + ":" + template.AccountID + ":log-group:" + stackName + "-proxy:*", nil, ""},
	}
}
