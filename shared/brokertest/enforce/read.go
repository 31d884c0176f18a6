package enforce

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/shared/brokertest/template"
)

// question is one thing that a request needs to be allowed.
type question struct {
	action, resource string
	keys             map[string][]string
}

const invocations = "/2015-03-31/functions/"

// read tells what a request asks for. A request may need several rights.
func (p *Proxy) read(r *http.Request, body []byte) ([]question, error) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if service == "" {
		return readInvocation(r)
	}
	var in map[string]any
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("%s.%s: %w", service, operation, err)
	}
	switch service {
	case "DynamoDB_20120810":
		return readDynamoDB(operation, in)
	case "secretsmanager":
		return p.readSecrets(r.Context(), operation, in)
	case "TrentService":
		return p.readKeys(r.Context(), operation, in)
	case "AWSEvents":
		return readEvents(operation, in)
	}
	return nil, fmt.Errorf("the service %q is not known", service)
}

func readInvocation(r *http.Request) ([]question, error) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), invocations)
	escaped, isInvocation := strings.CutSuffix(path, "/invocations")
	name, err := url.PathUnescape(escaped)
	if !ok || !isInvocation || err != nil || r.Method != http.MethodPost {
		return nil, errors.New("a request without a target that is no invocation")
	}
	if !strings.HasPrefix(name, "arn:") {
		name = arn("lambda", "function:"+name)
	}
	if qualifier := r.URL.Query().Get("Qualifier"); qualifier != "" {
		name += ":" + qualifier
	}
	return []question{{"lambda:InvokeFunction", name, nil}}, nil
}

func arn(service, rest string) string {
	return "arn:aws:" + service + ":" + template.Region + ":" + template.AccountID + ":" + rest
}

func text(in map[string]any, name string) string {
	s, _ := in[name].(string)
	return s
}

func members(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}

// readSecrets looks up the secret's ARN and tags where they are: at the endpoint. A
// secret under a key of the customer's needs the key too, by way of the service.
func (p *Proxy) readSecrets(ctx context.Context, operation string, in map[string]any) ([]question, error) {
	q := question{"secretsmanager:" + operation, "*", map[string][]string{}}
	id := text(in, "SecretId")
	if id == "" {
		return []question{q}, nil
	}
	if stage := text(in, "VersionStage"); stage != "" {
		q.keys["secretsmanager:versionstage"] = []string{stage}
	}
	s, err := p.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing): // there is nothing to be protected: the endpoint says so itself
		return nil, nil // AWS may also say that it is denied, because what is not there has no tag
	case err != nil:
		return nil, err
	}
	q.resource = aws.ToString(s.ARN)
	for _, tag := range s.Tags {
		q.keys["secretsmanager:resourcetag/"+strings.ToLower(aws.ToString(tag.Key))] = []string{aws.ToString(tag.Value)}
	}
	questions := []question{q}
	uses := map[string][]string{"GetSecretValue": {"kms:Decrypt"}, "PutSecretValue": {"kms:Decrypt", "kms:GenerateDataKey"}}[operation]
	for _, action := range uses {
		if key := aws.ToString(s.KmsKeyId); key != "" {
			questions = append(questions, question{action, p.keyARN(ctx, key), map[string][]string{
				"kms:viaservice": {"secretsmanager." + template.Region + ".amazonaws.com"}, "kms:encryptioncontext:secretarn": {q.resource}}})
		}
	}
	return questions, nil
}

// readKeys names a key as IAM does: by its ARN, whatever the request calls it.
func (p *Proxy) readKeys(ctx context.Context, operation string, in map[string]any) ([]question, error) {
	if operation == "ReEncrypt" {
		return []question{
			{"kms:ReEncryptFrom", p.keyARN(ctx, keyOf(in, "SourceKeyId")), encryptionContext(in["SourceEncryptionContext"])},
			{"kms:ReEncryptTo", p.keyARN(ctx, text(in, "DestinationKeyId")), encryptionContext(in["DestinationEncryptionContext"])},
		}, nil
	}
	return []question{{"kms:" + operation, p.keyARN(ctx, keyOf(in, "KeyId")), encryptionContext(in["EncryptionContext"])}}, nil
}

// keyOf is the key that a request names or, where it need not, the one that its
// text is under: moto writes the key's id before each text.
func keyOf(in map[string]any, name string) string {
	if id := text(in, name); id != "" {
		return id
	}
	sealed, err := base64.StdEncoding.DecodeString(text(in, "CiphertextBlob"))
	if err != nil || len(sealed) < 36 {
		return "unknown"
	}
	return string(sealed[:36])
}

func encryptionContext(pairs any) map[string][]string {
	keys := map[string][]string{}
	for name := range members(pairs) {
		keys["kms:encryptioncontext:"+strings.ToLower(name)] = []string{text(members(pairs), name)}
	}
	return keys
}

func (p *Proxy) keyARN(ctx context.Context, id string) string {
	if found, ok := p.keyARNs.Load(id); ok {
		return found.(string) //nolint:forcetypeassert // stored below
	}
	out, err := p.keys.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		return arn("kms", "key/unknown")
	}
	p.keyARNs.Store(id, *out.KeyMetadata.Arn)
	return *out.KeyMetadata.Arn
}

func readEvents(operation string, in map[string]any) (questions []question, err error) {
	if operation != "PutEvents" {
		return []question{{"events:" + operation, "*", nil}}, nil
	}
	for _, entry := range list(in["Entries"]) {
		e := members(entry)
		bus := text(e, "EventBusName")
		if bus == "" {
			bus = "default"
		}
		if !strings.HasPrefix(bus, "arn:") {
			bus = arn("events", "event-bus/"+bus)
		}
		questions = append(questions, question{"events:PutEvents", bus, map[string][]string{
			"events:source": {text(e, "Source")}, "events:detail-type": {text(e, "DetailType")}}})
	}
	if len(questions) == 0 {
		return nil, errors.New("no events")
	}
	return questions, nil
}
