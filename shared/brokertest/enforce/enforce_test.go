package enforce

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const key = "arn:aws:kms:us-east-1:123456789012:key/one"

// asks sends a request as a function through a proxy in front of an endpoint that
// permits everything, and tells what came back and whether it got through.
func asks(t *testing.T, p *Proxy, function, target, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+function+"/20260101/us-east-1/dynamodb/aws4_request, Signature=x")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func permissive(t *testing.T, got *[]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*got = append(*got, string(body))
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestOnlyWhatARoleAllowsGoesFurther, byte for byte; the rest is answered as AWS
// answers it, and is known.
func TestOnlyWhatARoleAllowsGoesFurther(t *testing.T) {
	var got []string
	tally := &Tally{}
	d := Deployment{Environment: "prod", ValuesKey: key}
	p := New(t, permissive(t, &got), d, tally)
	const put = `{"TableName":"bindery-prod-audit","Item":{"pk":{"S":"01J"},"sk":{"S":"intent"}}}`
	if status, answer := asks(t, p, "proxy", "DynamoDB_20120810.PutItem", put); status != http.StatusOK || answer != "{}" {
		t.Errorf("it is answered %d %s", status, answer)
	}
	for _, c := range [][3]string{
		{"outbox", "DynamoDB_20120810.PutItem", put},
		{"somebody", "DynamoDB_20120810.PutItem", put},
		{"", "DynamoDB_20120810.PutItem", put},
		{"proxy", "DynamoDB_20120810.UpdateItem", `{"TableName":"bindery-prod-audit","Key":{"pk":{"S":"01J"}}}`},
		{"proxy", "DynamoDB_20120810.PutItem", `{"TableName":"bindery-prod-audit"`},
		{"proxy", "DynamoDB_20120810.BatchExecuteStatement", `{"Statements":[]}`},
		{"proxy", "DynamoDB_20120810.TransactWriteItems", `{"TransactItems":[]}`},
		{"proxy", "DynamoDB_20120810.TransactWriteItems", `{"TransactItems":[{"Put":` + put + `},{"Delete":{"TableName":"bindery-prod-audit","Key":{"pk":{"S":"01J"}}}}]}`},
		{"proxy", "AmazonSQS.SendMessage", `{}`},
		{"proxy", "", `{}`},
	} {
		status, answer := asks(t, p, c[0], c[1], c[2])
		var fault struct {
			Type string `json:"__type"`
		}
		if err := json.Unmarshal([]byte(answer), &fault); err != nil || status != http.StatusBadRequest || fault.Type != "AccessDeniedException" {
			t.Errorf("%v is answered %d %s", c, status, answer)
		}
	}
	if diff := cmp.Diff([]string{put}, got); diff != "" || len(p.Denied()) != 10 {
		t.Errorf("%d were denied; further went %s", len(p.Denied()), diff)
	}
	use := Use{"proxy", "AppendAudit", "dynamodb:PutItem"}
	if !tally.Needed(use) || len(tally.Uses()) != 1 {
		t.Errorf("counted %v", tally.Uses())
	}
	unneeded, err := tally.Unneeded(d, "proxy")
	if joined := strings.Join(unneeded, "\n"); err != nil || strings.Contains(joined, "AppendAudit") || !strings.Contains(joined, "proxy RefreshGrants dynamodb:UpdateItem") ||
		!strings.Contains(joined, "proxy ProxyOpens kms:Decrypt") {
		t.Errorf("unneeded are %s, %v", joined, err)
	}
}

// TestRequestsAreReadAsIAMReadsThem: which action, on what, with which partitions.
func TestRequestsAreReadAsIAMReadsThem(t *testing.T) {
	const table = "arn:aws:dynamodb:us-east-1:123456789012:table/"
	rows := func(partitions ...string) map[string][]string { return map[string][]string{leadingKeys: partitions} }
	for _, c := range []struct {
		operation, body string
		want            []question
	}{
		{"GetItem", `{"TableName":"t","Key":{"pk":{"S":"a/1"}}}`, []question{{"dynamodb:GetItem", table + "t", rows("a/1")}}},
		{"GetItem", `{"TableName":"` + table + `t","Key":{"pk":{"S":"a/1"}}}`, []question{{"dynamodb:GetItem", table + "t", rows("a/1")}}},
		{"Query", `{"TableName":"t","KeyConditionExpression":"#k = :k AND begins_with(sk, :s)","ExpressionAttributeNames":{"#k":"pk"},"ExpressionAttributeValues":{":k":{"S":"a/1"},":s":{"S":"x"}}}`,
			[]question{{"dynamodb:Query", table + "t", rows("a/1")}}},
		{"Query", `{"TableName":"t","IndexName":"due","KeyConditionExpression":"due = :k","ExpressionAttributeValues":{":k":{"S":"due/1"}}}`,
			[]question{{"dynamodb:Query", table + "t/index/due", rows("due/1")}}},
		{"Query", `{"TableName":"t","KeyConditionExpression":"sk = :k","ExpressionAttributeValues":{":k":{"S":"a/1"}}}`, []question{{"dynamodb:Query", table + "t", map[string][]string{}}}},
		{"Scan", `{"TableName":"t"}`, []question{{"dynamodb:Scan", table + "t", map[string][]string{}}}},
		{"BatchGetItem", `{"RequestItems":{"t":{"Keys":[{"pk":{"S":"a/1"}},{"pk":{"S":"b/1"}}]}}}`, []question{{"dynamodb:BatchGetItem", table + "t", rows("a/1", "b/1")}}},
		{"BatchWriteItem", `{"RequestItems":{"t":[{"PutRequest":{"Item":{"pk":{"S":"a/1"}}}},{"DeleteRequest":{"Key":{"pk":{"S":"b/1"}}}}]}}`,
			[]question{{"dynamodb:BatchWriteItem", table + "t", rows("a/1", "b/1")}}},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"t","Item":{"pk":{"S":"a/1"}}}},{"ConditionCheck":{"TableName":"t","Key":{"pk":{"S":"b/1"}}}}]}`,
			[]question{{"dynamodb:PutItem", table + "t", rows("a/1")}, {"dynamodb:ConditionCheckItem", table + "t", rows("b/1")}}},
		{"ExecuteStatement", `{"Statement":"delete FROM \"t\" WHERE pk='a'"}`, []question{{"dynamodb:PartiQLDelete", table + "t", map[string][]string{}}}},
		{"ListTables", `{}`, []question{{"dynamodb:ListTables", "*", map[string][]string{}}}},
	} {
		var in map[string]any
		if err := json.Unmarshal([]byte(c.body), &in); err != nil {
			t.Fatal(err)
		}
		got, err := readDynamoDB(c.operation, in)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(question{})); diff != "" || err != nil {
			t.Errorf("%s %s: %v %s", c.operation, c.body, err, diff)
		}
	}
	told, err := readEvents("PutEvents", map[string]any{"Entries": []any{map[string]any{"Source": "bindery", "DetailType": "x"}}})
	want := []question{{"events:PutEvents", "arn:aws:events:us-east-1:123456789012:event-bus/default", map[string][]string{"events:source": {"bindery"}, "events:detail-type": {"x"}}}}
	if diff := cmp.Diff(want, told, cmp.AllowUnexported(question{})); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	invocation := httptest.NewRequestWithContext(t.Context(), http.MethodPost, invocations+"one/invocations", nil)
	invoked, err := readInvocation(invocation)
	if diff := cmp.Diff([]question{{"lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:one", nil}}, invoked, cmp.AllowUnexported(question{})); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

// TestASecretThatCannotBeLookedUpIsDenied: only one that is not there has nothing to
// protect.
func TestASecretThatCannotBeLookedUpIsDenied(t *testing.T) {
	for code, want := range map[string]int{"ResourceNotFoundException": http.StatusOK, "InvalidRequestException": http.StatusBadRequest} {
		endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeSecret") {
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"__type":"`+code+`"}`)
			}
		}))
		t.Cleanup(endpoint.Close)
		p := New(t, endpoint.URL, Deployment{Environment: "prod", ValuesKey: key}, nil)
		if status, answer := asks(t, p, "proxy", "secretsmanager.GetSecretValue", `{"SecretId":"dev/github"}`); status != want {
			t.Errorf("%s: it is answered %d %s", code, status, answer)
		}
	}
}
