//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"

	cleanup "bindery/functions/cleanup/handler"
	rotation "bindery/functions/rotation/handler"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/secret"
	"bindery/shared/wire"
)

// asked is one request to a table, as IAM judges it.
type asked struct{ action, table, index, partition string }

// requests notes what a function asks of tables.
type requests struct {
	mu   sync.Mutex
	seen map[asked]bool
}

func (r *requests) add(action string, table *string, index string, at map[string]types.AttributeValue, name string) {
	partition := ""
	if s, ok := at[name].(*types.AttributeValueMemberS); ok {
		partition = s.Value
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[asked{"dynamodb:" + action, *table, index, partition}] = true
}

func (r *requests) note(in any) {
	switch p := in.(type) {
	case *dynamodb.GetItemInput:
		r.add("GetItem", p.TableName, "", p.Key, "pk")
	case *dynamodb.PutItemInput:
		r.add("PutItem", p.TableName, "", p.Item, "pk")
	case *dynamodb.UpdateItemInput:
		r.add("UpdateItem", p.TableName, "", p.Key, "pk")
	case *dynamodb.DeleteItemInput:
		r.add("DeleteItem", p.TableName, "", p.Key, "pk")
	case *dynamodb.ScanInput:
		r.add("Scan", p.TableName, "", nil, "")
	case *dynamodb.QueryInput:
		name := strings.Fields(aws.ToString(p.KeyConditionExpression)) // "pk = :pk AND ..."
		r.add("Query", p.TableName, aws.ToString(p.IndexName), p.ExpressionAttributeValues, name[2])
	case *dynamodb.BatchGetItemInput:
		for table, keys := range p.RequestItems {
			for _, k := range keys.Keys {
				r.add("BatchGetItem", &table, "", k, "pk")
			}
		}
	case *dynamodb.TransactWriteItemsInput:
		for _, w := range p.TransactItems {
			switch {
			case w.Put != nil:
				r.add("PutItem", w.Put.TableName, "", w.Put.Item, "pk")
			case w.Delete != nil:
				r.add("DeleteItem", w.Delete.TableName, "", w.Delete.Key, "pk")
			}
		}
	}
}

// of is a configuration whose requests are noted.
func (r *requests) of(a aws.Config) aws.Config {
	a = a.Copy()
	a.APIOptions = append(a.APIOptions, func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("requests", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			r.note(in.Parameters)
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
	return a
}

// permits reports whether a statement of the template allows a request.
func permits(s object, q asked) bool {
	actions, several := s["Action"].([]any)
	if !several {
		actions = []any{s["Action"]}
	}
	of := object{"Fn::GetAtt": []any{q.table, "Arn"}}
	if q.index != "" {
		of = object{"Fn::Sub": "${" + q.table + ".Arn}/index/" + q.index}
	}
	if !slices.Contains(actions, any(q.action)) || fmt.Sprint(s["Resource"]) != fmt.Sprint(of) {
		return false
	}
	bounds, bounded := s["Condition"].(object)
	for _, bound := range bounds {
		partitions, _ := bound.(object)["dynamodb:LeadingKeys"].([]any)
		for _, p := range partitions {
			pattern := strings.ReplaceAll(p.(object)["Fn::Sub"].(string), "${Environment}", "prod")
			if regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(q.partition) {
				return true
			}
		}
	}
	return !bounded
}

// TestTemplatePermitsWhatIsAsked: what the functions that work on a schedule ask of
// tables, their roles allow.
func TestTemplatePermitsWhatIsAsked(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	a := stack.AWS(moto.URL)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := kms.NewFromConfig(a).CreateKey(t.Context(), &kms.CreateKeyInput{})
	must(err)
	c := config.Config{Environment: "prod", PublicURL: "https://mcp.example.com", ValuesKey: *key.KeyMetadata.Arn, Local: true,
		Tables: config.Tables{Catalogue: "CatalogueTable", Revocations: "RevocationsTable", Grants: "GrantsTable", Transient: "TransientTable",
			Audit: "AuditTable", AuditIndex: "AuditIndexTable"}}
	must(dynamo.Create(t.Context(), dynamodb.NewFromConfig(a), wire.TableNames(c.Tables)))
	fillForRequests(t, wire.Join(c, a, wire.HotPath()))
	for role, h := range map[string]struct {
		tasks []string
		start func(aws.Config) func(context.Context, json.RawMessage) (any, error)
	}{
		"RotationRole": {[]string{"drift", "rotate", "refresh", "reencrypt"}, func(a aws.Config) func(context.Context, json.RawMessage) (any, error) {
			return rotation.New(c, a, slog.New(slog.DiscardHandler)).Handle
		}},
		"CleanupRole": {[]string{"continue"}, func(a aws.Config) func(context.Context, json.RawMessage) (any, error) {
			return cleanup.New(c, a, slog.New(slog.DiscardHandler)).Handle
		}},
	} {
		noted := &requests{seen: map[asked]bool{}}
		do := h.start(noted.of(a))
		for _, task := range h.tasks {
			if _, err := do(t.Context(), json.RawMessage(`{"task":"`+task+`"}`)); err != nil {
				t.Errorf("%s: %v", task, err)
			}
		}
		allowed := rights(t, role)
		for q := range noted.seen {
			one := false
			for _, s := range allowed {
				one = one || permits(s, q)
			}
			if !one {
				t.Errorf("%s may not %+v", role, q)
			}
		}
		if len(noted.seen) < 10 {
			t.Errorf("%s asks for %d things", role, len(noted.seen))
		}
	}
}

// fillForRequests stores something of each kind that the tasks look at.
func fillForRequests(t *testing.T, p wire.Parts) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const url = "https://api.example.com/mcp"
	origin, err := broker.OriginDigest(url)
	must(err)
	reference, err := broker.ParseReference("sealed:token")
	must(err)
	now, alice, ctx := time.Now().UTC(), "p-"+broker.Digest("alice"), t.Context()
	_, err = p.Sealed.Put(ctx, "prod", "token", origin, secret.New("made-up-value-one"))
	must(err)
	must(p.DB.PutStore(ctx, broker.Store{Environment: "prod", Name: "sealed", Kind: "sealed", Paths: broker.Scope{"*"}, State: broker.Active, MaxValueAge: time.Hour}))
	must(p.DB.PutServer(ctx, broker.Server{Environment: "prod", Name: "github", State: broker.Active, Owner: "git-team", URL: url}))
	must(p.DB.PutBinding(ctx, broker.Binding{Environment: "prod", Server: "github", Name: "dev", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Mode: broker.ServiceAccount, Source: broker.Static, Owner: "git-team", Origin: origin, Fields: []broker.Field{{Name: "token", Reference: reference}}}))
	must(p.DB.BeginGrant(ctx, broker.Grant{GrantKey: broker.GrantKey{Environment: "prod", Principal: alice, Server: "github", Origin: origin}, Provider: "okta",
		Consented: now, Sealed: []byte("made-up"), Refreshes: true, Expires: now.Add(time.Minute), Until: now.Add(time.Hour), State: broker.Active}, broker.Consent{At: now}))
	must(p.DB.AddSession(ctx, broker.LiveSession{Environment: "prod", Digest: broker.Digest("session", "one"), Server: "github", Origin: origin, Principal: alice,
		Binding: "dev", Wrapped: "made-up", Expires: now.Add(time.Hour)}))
	for i, m := range []broker.Marker{{Kind: broker.ReferenceMarker, ID: "sealed:token"}, {Kind: broker.ServerMarker, ID: "github"}, {Kind: broker.PrincipalMarker, ID: alice}} {
		m.Environment, m.Epoch, m.Revoked, m.At, m.By, m.Reason = "prod", 1, true, now, "p-admin", "a test"
		m.Revocation = broker.FirstReceipt(now) + fmt.Sprintf("%016d", i)
		must(p.DB.PutMarker(ctx, m))
		must(p.DB.AddRevocation(ctx, broker.Revocation{Environment: "prod", ID: m.Revocation, Kind: m.Kind, Subject: m.ID, Epoch: 1, By: m.By, Via: broker.ViaAdmin,
			Reason: m.Reason, At: now, Work: broker.WorkOpen}))
	}
}
