package awssm

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bindery/shared/broker"
)

var account = Account{ID: "111122223333", Region: "us-east-1"}

// told is an event; parts replace what it has.
func told(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`{"version":"0","id":"0a1b","detail-type":"AWS API Call via CloudTrail","source":"aws.secretsmanager",
		"account":"111122223333","time":"2026-03-01T12:00:00Z","region":"us-east-1","resources":[],
		"detail":{"eventSource":"secretsmanager.amazonaws.com","eventName":"PutSecretValue","requestParameters":{"secretId":"prod/github"},
		"responseElements":{"arn":"arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/github-AbCdEf"}}}`)
}

func TestAnEventConcernsEveryWayToNameItsSecret(t *testing.T) {
	whole := told()
	named := told(`"responseElements":{"arn":"arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/github-AbCdEf"}`, `"responseElements":null`)
	old := told(`"arn":`, `"aRN":`)
	service := told(`"PutSecretValue"`, `"RotationSucceeded"`, `"requestParameters":{"secretId":"prod/github"}`, `"requestParameters":null`, "responseElements", "additionalEventData", `"arn":`, `"SecretId":`)
	for name, text := range map[string]string{"whole": whole, "by name alone": named, "the older spelling": old, "of the service": service} {
		e, err := ParseEvent([]byte(text), account)
		if err != nil {
			t.Fatal(name, err)
		}
		for reference, want := range map[string]bool{
			"aws-sm:prod/github": true, "aws-sm:prod/github?stage=AWSPREVIOUS": true,
			"aws-sm:prod/github-other": false, "aws-sm:prod/git": false, "aws-sm:prod/github-AbCdEf": false, "aws-sm:/prod/github": false,
		} {
			r, err := broker.ParseReference(reference)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Concerns(r); got != want {
				t.Errorf("%s: %s: %v", name, reference, got)
			}
		}
	}
}

func TestForeignEventsAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"another account":           told(`"account":"111122223333"`, `"account":"999999999999"`),
		"another region":            told(`"region":"us-east-1"`, `"region":"eu-west-1"`),
		"a secret of another":       told(":111122223333:secret", ":999999999999:secret"),
		"a secret elsewhere":        told("manager:us-east-1", "manager:eu-west-1"),
		"another service's ARN":     told("arn:aws:secretsmanager", "arn:aws:kms"),
		"a call that failed":        told(`"eventName"`, `"errorCode":"AccessDenied","eventName"`),
		"a call that only reads":    told("PutSecretValue", "GetSecretValue"),
		"another service's call":    told("secretsmanager.amazonaws.com", "kms.amazonaws.com"),
		"no secret":                 told("secretId", "other", `"arn":`, `"other":`),
		"an id without end":         told("prod/github", strings.Repeat("x", maxSecretID+1)),
		"an event without an id":    told(`"id":"0a1b"`, `"id":""`),
		"an event without a time":   told(`"time":"2026-03-01T12:00:00Z",`, ""),
		"an event id without end":   told("0a1b", strings.Repeat("0", maxEventID+1)),
		"an ARN that is none":       told("arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/github-AbCdEf", "arn:"),
		"an ARN that names nothing": told("secret:prod/github-AbCdEf", "secret:"),
	} {
		if e, err := ParseEvent([]byte(text), account); !errors.Is(err, ErrForeign) || e != (Event{}) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "no object": "[]", "another source": told("aws.secretsmanager", "aws.kms"), "a wrong type": told(`"id":"0a1b"`, `"id":7`),
		"a time that is none": told("2026-03-01T12:00:00Z", "noon"), "too long": fmt.Sprintf(`{"source":"aws.secretsmanager","x":%q}`, strings.Repeat("x", maxEvent)),
	} {
		if _, err := ParseEvent([]byte(text), account); !errors.Is(err, ErrNoEvent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
