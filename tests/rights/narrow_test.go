package rights

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

// whole are the statements that reach a whole table, each with the reason why no
// condition bounds it to rows. No other may.
var whole = map[string]string{
	"ProxyRole AppendAudit": appends, "AdminRole AppendAudit": appends, "CallbackRole AppendAudit": appends,
	"LedgerRole AppendAudit": appends, "RevocationRole AppendAudit": appends, "RotationRole AppendAudit": appends, "CleanupRole AppendAudit": appends,
	"AdminRole ManageCatalogue":  "administration is of every kind of row",
	"AdminRole ReadAudit":        "receipts have no pattern",
	"AdminRole ReadAuditIndex":   "auditors ask for every kind of row",
	"LedgerRole FillIndex":       "it writes every kind of row of the index, and holds no other table",
	"LedgerRole ReadAuditAgain":  "a scan cannot be bounded",
	"RotationRole ReadCatalogue": "the search for drift looks at every card, plan, store and provider",
	"RotationRole ScanGrants":    "a scan cannot be bounded",
	"CleanupRole ReadCatalogue":  "what is revoked may be any card, server or provider",
	"CleanupRole FindSessions":   "a scan cannot be bounded",
	"CleanupRole FindGrants":     "a scan cannot be bounded",
	"LedgerRole ReadAudit":       "receipts have no pattern",
}

const appends = "receipts have no pattern; the code's condition forbids to overwrite"

// wide are the ways in which what is deployed is wider than it may be.
func wide(d deployed) (found []string) {
	say := func(where, format string, args ...any) {
		found = append(found, where+": "+fmt.Sprintf(format, args...))
	}
	names, policies := d.named()
	for _, name := range names {
		for _, s := range policies[name].Statements {
			where := name + " " + s.Sid
			if s.Deny {
				continue
			}
			for _, why := range slices.Concat(wideAnywhere(s), wideOfOthers(name, s), wideOnTables(where, s), wideOnSecrets(s), wideOnKeys(s), wideOnEvents(s)) {
				say(where, "%s", why)
			}
		}
	}
	for arn, p := range d.account.Resources {
		for _, s := range p.Statements {
			if s.Deny {
				continue
			}
			for _, why := range wideOfResource(d, s) {
				say(arn[strings.LastIndex(arn, ":")+1:]+" "+s.Sid, "%s", why)
			}
		}
	}
	return found
}

// bounded resources end in a star at most: a path of secrets, the streams of a
// log, the streams of a table.
var boundedResource = regexp.MustCompile(`^arn:aws:(secretsmanager:.*:secret:` + environment + `/([a-z]+/)?\*|logs:.*:log-group:[a-z-]+:\*|[^*?]+)$`)

// work are all actions that any function needs; what can be done beside them is
// nobody's work, on whatever.
var work = regexp.MustCompile(`^(dynamodb:.*|ec2:.*|events:PutEvents|kms:(Decrypt|GenerateDataKey|GetPublicKey|Sign)|lambda:InvokeFunction|logs:(CreateLogStream|PutLogEvents)|` +
	`secretsmanager:(DescribeSecret|GetSecretValue|ListSecrets|PutSecretValue|RotateSecret|UpdateSecretVersionStage)|sqs:SendMessage|xray:Put(TelemetryRecords|TraceSegments))$`)

func wideAnywhere(s iam.Statement) (why []string) {
	for _, a := range s.Actions {
		switch {
		case strings.ContainsAny(a, "*?"):
			why = append(why, "the action "+a+" has a wildcard")
		case !work.MatchString(a):
			why = append(why, a+" is nobody's work")
		}
	}
	if len(s.Resources) > 1 {
		why = append(why, "it is about several resources, which conditions cannot tell apart")
	}
	for _, r := range s.Resources {
		if r == "*" {
			for _, a := range s.Actions {
				if unbounded[a] == "" {
					why = append(why, a+" on everything, without a reason")
				}
			}
		} else if !boundedResource.MatchString(r) {
			why = append(why, "the resource "+r+" is too many")
		}
	}
	return why
}

// ownParts are the logs and queues of functions, and the functions themselves.
var ownParts = regexp.MustCompile(`:(?:log-group:|function:)?` + stackName + `-([a-z]+)(-failures|:\*)?$`)

// invokers are the roles that may invoke functions, and which.
var invokers = map[string]string{"AdminRole": "revocation rotation", "LedgerScheduleRole": "ledger", "RotationScheduleRole": "rotation", "CleanupScheduleRole": "cleanup"}

// wideOfOthers: each function writes its own log and fills its own queue, and
// invokes whom it has to.
func wideOfOthers(role string, s iam.Statement) (why []string) {
	function, _, _ := strings.Cut(strings.TrimSuffix(role, "Role"), "Schedule")
	for _, a := range s.Actions {
		for _, r := range s.Resources {
			part := ownParts.FindStringSubmatch(r)
			switch {
			case a == "lambda:InvokeFunction" && r == rotator && role == "RotationRole":
			case a == "lambda:InvokeFunction" && (part == nil || !slices.Contains(strings.Fields(invokers[role]), part[1])),
				(strings.HasPrefix(a, "logs:") || strings.HasPrefix(a, "sqs:")) && (part == nil || part[1] != strings.ToLower(function)):
				why = append(why, a+" of another's "+r)
			}
		}
	}
	return why
}

// inEnvironment are partition keys of one kind of row of this environment.
var inEnvironment = regexp.MustCompile(`^[a-z-]+/` + environment + `($|[/#][a-z/-]*\*?$)`)

// ofStreams are actions on a table's stream, which has no rows.
var ofStreams = []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}

func wideOnTables(where string, s iam.Statement) (why []string) {
	for _, a := range s.Actions {
		if !strings.HasPrefix(a, "dynamodb:") || slices.Contains(ofStreams, a) {
			continue
		}
		if slices.ContainsFunc(s.Resources, func(r string) bool { return strings.HasSuffix(r, "-audit") }) && !slices.Contains([]string{"dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan"}, a) {
			why = append(why, a+" on the audit table")
		}
		if !slices.Contains([]string{"dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem",
			"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem"}, a) {
			why = append(why, a+" is about tables, not rows")
		}
		if whole[where] == "" && (!rowsBounded(s) || a == "dynamodb:Scan" || a == "dynamodb:BatchWriteItem") {
			why = append(why, a+" on a whole table, without a reason")
		}
	}
	return why
}

func rowsBounded(s iam.Statement) bool {
	named, bounded := false, false
	for _, c := range s.Conditions {
		switch c.Operator + " " + c.Key {
		case "Null dynamodb:LeadingKeys":
			named = slices.Equal(c.Values, []string{"false"})
		case "ForAllValues:StringEquals dynamodb:LeadingKeys", "ForAllValues:StringLike dynamodb:LeadingKeys":
			bounded = !slices.ContainsFunc(c.Values, func(p string) bool { return !inEnvironment.MatchString(p) })
		}
	}
	return named && bounded
}

// has tells whether a statement has a condition of just these values.
func has(s iam.Statement, operator, key string, values ...string) bool {
	return slices.ContainsFunc(s.Conditions, func(c iam.Condition) bool {
		return c.Operator == operator && c.Key == key && slices.Equal(c.Values, values)
	})
}

func wideOnSecrets(s iam.Statement) (why []string) {
	for _, a := range s.Actions {
		if !strings.HasPrefix(a, "secretsmanager:") || a == "secretsmanager:ListSecrets" {
			continue
		}
		if !has(s, "StringEquals", "secretsmanager:ResourceTag/bindery-environment", environment) {
			why = append(why, a+" of secrets without the tag")
		}
		if a == "secretsmanager:GetSecretValue" && !has(s, "StringEqualsIfExists", "secretsmanager:VersionStage", "AWSCURRENT", "AWSPREVIOUS") {
			why = append(why, a+" of staged versions")
		}
	}
	return why
}

// wideOnKeys: what a role says of keys is about the customer's. The stack's own
// says itself who may use it.
func wideOnKeys(s iam.Statement) (why []string) {
	opens := func(below string) bool {
		return has(s, "StringLike", "kms:EncryptionContext:SecretARN", secretARN+environment+below)
	}
	for _, a := range s.Actions {
		switch {
		case !strings.HasPrefix(a, "kms:"), (a == "kms:Sign" || a == "kms:GetPublicKey") && slices.Equal(s.Resources, []string{signingKey}):
		case a != "kms:Decrypt" && a != "kms:GenerateDataKey", !slices.Equal(s.Resources, []string{secretsKey}),
			!has(s, "StringEquals", "kms:ViaService", "secretsmanager.us-east-1.amazonaws.com"),
			!opens("/*") && !opens("/clients/*"):
			why = append(why, a+" otherwise than through Secrets Manager")
		}
	}
	return why
}

func wideOnEvents(s iam.Statement) (why []string) {
	for _, a := range s.Actions {
		if strings.HasPrefix(a, "events:") && !has(s, "StringEquals", "events:source", "bindery") {
			why = append(why, a+" in the name of others")
		}
	}
	return why
}

// administration of the key, none of which opens or seals anything.
var administration = regexp.MustCompile(`^kms:(CancelKeyDeletion|(Create|Delete|Update)Alias|DescribeKey|(Disable|Enable)Key|EnableKeyRotation|GetKeyPolicy|GetKeyRotationStatus|` +
	`List(Grants|KeyPolicies|KeyRotations|ResourceTags)|PutKeyPolicy|RevokeGrant|RotateKeyOnDemand|ScheduleKeyDeletion|(Tag|Untag)Resource|UpdateKeyDescription)$`)

func wideOfResource(d deployed, s iam.Statement) (why []string) {
	for _, who := range s.Principals {
		_, isRole := d.account.Roles[who]
		if who == "*" || strings.Contains(who, "*") {
			why = append(why, "it allows everybody")
		}
		for _, a := range s.Actions {
			uses := isRole && slices.Contains([]string{"kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}, a)
			switch {
			case !isRole && who != "arn:aws:iam::"+template.AccountID+":root":
				why = append(why, a+" by "+who+", which is not of this account")
			case !isRole && !administration.MatchString(a):
				why = append(why, a+" by "+who)
			case isRole && !uses:
				why = append(why, a+" by a function")
			case uses && !has(s, "StringEquals", "kms:EncryptionContext:bindery:environment", environment):
				why = append(why, a+" of what is sealed for any environment")
			case uses && !slices.ContainsFunc(s.Conditions, func(c iam.Condition) bool {
				return c.Operator == "StringEquals" && c.Key == "kms:EncryptionContext:bindery:purpose"
			}):
				why = append(why, a+" of what is sealed for any purpose")
			}
		}
	}
	return why
}
