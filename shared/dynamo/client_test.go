package dynamo_test

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
)

var tables = dynamo.Tables{Catalogue: "catalogue", Revocations: "revocations", Grants: "grants", Transient: "transient", Audit: "audit", AuditIndex: "audit-index"}

// client is made as functions make theirs.
func client(endpoint string, also ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamodb.NewFromConfig(aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, append([]func(*dynamodb.Options){dynamo.Configure}, also...)...)
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// route and lookup name rows of an environment that only one test uses.
func route(environment string) broker.Route {
	return broker.Route{Environment: environment, Server: "github"}
}

func lookup(environment string) broker.Lookup {
	return broker.Lookup{Route: route(environment), Principal: "p-alice", Agent: "okta:robot", Tool: "create"}
}

func quota(environment string, limit int) broker.Quota {
	return broker.Quota{Environment: environment, Subject: "principal/p-alice", Limit: limit}
}

func server(environment string) broker.Server {
	return broker.Server{Environment: environment, Name: "github", State: broker.Active, URL: "https://mcp.example.com/v1"}
}

func binding(environment, name string, actor broker.Actor) broker.Binding {
	return broker.Binding{Environment: environment, Server: "github", Name: name, State: broker.Active, Actor: actor,
		Mode: broker.ServiceAccount, Source: broker.Static}
}

func marker(environment string, kind broker.MarkerKind, id string) broker.Marker {
	return broker.Marker{Environment: environment, Kind: kind, ID: id, Epoch: 1, Revoked: true, At: noon}
}

func record(receipt, nonce string) broker.Record {
	return broker.Record{Schema: broker.RecordSchema, Receipt: receipt, Phase: broker.Intent, Nonce: nonce, At: noon}
}

// fullPage is the longest page of a list.
var fullPage = broker.Page{Limit: broker.MaxPage}

func attempt(environment, receipt string) broker.Attempt {
	return broker.Attempt{Environment: environment, Principal: "p-admin", Key: "key", Request: "digest", Receipt: receipt, Begun: noon}
}

func ended(a broker.Attempt) broker.Attempt {
	a.Status, a.Answer = 201, []byte("{}")
	return a
}

func sealed(environment string, version int64) broker.SealedValue {
	return broker.SealedValue{Environment: environment, ID: "token", Version: version, State: broker.Active, Sealed: []byte{1}, At: noon}
}

func policySet(environment string) broker.PolicySet {
	return broker.PolicySet{Environment: environment, ID: strings.Repeat("0f", 32), Text: "forbid (principal, action, resource);", At: noon, By: "p-admin"}
}

func assignment(environment string) broker.Assignment {
	return broker.Assignment{Environment: environment, Name: "git", State: broker.Active, Store: "aws-sm", Paths: broker.Scope{"prod/*"}}
}

// reference gives nothing for what is none: the tests find it.
func reference(s string) broker.Reference {
	r, _ := broker.ParseReference(s)
	return r
}
