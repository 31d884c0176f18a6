//go:build e2e

package compiled

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
	"bindery/shared/brokertest/runtimeapi"
)

// office is the compiled admin function at work on an AWS-compatible endpoint.
type office struct {
	*world
	function *runtimeapi.Function
	said     bytes.Buffer // every answer, headers and body
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{world: &world{dir: t.TempDir(), canary: stack.RandomSecret("canary-")}}
	o.binary = filepath.Join(o.dir, "bootstrap")
	runtimeapi.Build(t, o.binary, []string{"admin"})
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	o.issuer, o.Deployment = deploy(t, moto.URL)
	o.function = o.start(t, "admin")
	return o
}

// asks sends a request as API Gateway does, and gives the answer and its JSON.
func (o *office) asks(t *testing.T, account, method, path, body string, header ...string) (*runtimeapi.Response, map[string]any) {
	t.Helper()
	token, err := o.issuer.Token(account)
	if err != nil {
		t.Fatal(err)
	}
	e := events.APIGatewayProxyRequest{HTTPMethod: method, Path: "/admin/v1" + path, Body: body, MultiValueHeaders: map[string][]string{
		"Host": {"mcp.example.com"}, "Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}}
	for i := 0; i < len(header); i += 2 {
		e.MultiValueHeaders[header[i]] = []string{header[i+1]}
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	response, err := o.function.Invoke(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Header.Write(&o.said)
	o.said.Write(answer)
	var decoded map[string]any
	if err := json.Unmarshal(answer, &decoded); err != nil {
		t.Fatalf("%s %s answered %q", method, path, answer)
	}
	return response, decoded
}

// TestTheAdminFunctionKnowsItsAdministrators: by a token for the admin API, and
// by no other.
func TestTheAdminFunctionKnowsItsAdministrators(t *testing.T) {
	o := newOffice(t)
	me, body := o.asks(t, stack.Admin, http.MethodGet, "/me", "")
	if roles, _ := json.Marshal(body["roles"]); me.StatusCode != http.StatusOK || string(roles) != `["mcp_admin"]` {
		t.Errorf("whoami answered %d %v", me.StatusCode, body)
	}
	if got, body := o.asks(t, stack.Alice, http.MethodGet, "/me", ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token for servers was answered %d %v", got.StatusCode, body)
	}
}

// TestWhatAnAdministratorDoesIsStoredAndRecorded takes a server through the
// compiled function, and a value, which comes out nowhere.
func TestWhatAnAdministratorDoesIsStoredAndRecorded(t *testing.T) {
	o := newOffice(t)
	const server = `{"owner":"platform","url":"https://api.example.com/mcp","attach":[{"in":"header","name":"Authorization","template":"Bearer {token}"}],"state":"active"}`
	put, body := o.asks(t, stack.Admin, http.MethodPut, "/servers/raw", server, "If-None-Match", "*")
	if put.StatusCode != http.StatusOK || put.Header.Get("ETag") != `"v1"` {
		t.Fatalf("the server was answered %d %v", put.StatusCode, body)
	}
	got, body := o.asks(t, stack.Admin, http.MethodGet, "/servers/raw", "")
	if got.StatusCode != http.StatusOK || body["url"] != "https://api.example.com/mcp" || body["version"] != 1.0 {
		t.Errorf("read %d %v", got.StatusCode, body)
	}
	if listed, body := o.asks(t, stack.Admin, http.MethodGet, "/servers", ""); listed.StatusCode != http.StatusOK || len(body["items"].([]any)) != 1 {
		t.Errorf("listed %d %v", listed.StatusCode, body)
	}
	if again, body := o.asks(t, stack.Admin, http.MethodPut, "/servers/raw", server, "If-None-Match", "*"); again.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("the same again was answered %d %v", again.StatusCode, body)
	}
	records, err := o.Audit(t.Context(), put.Header.Get("Bindery-Receipt"))
	if err != nil || len(records) != 2 || records[0].Phase != broker.Intent || records[1].Phase != broker.Outcome {
		t.Errorf("records %+v, %v", records, err)
	}
	value := `{"server":"raw","value":"` + o.canary + `"}`
	if sealed, body := o.asks(t, stack.Admin, http.MethodPut, "/values/raw-token", value); sealed.StatusCode != http.StatusOK {
		t.Errorf("the value was answered %d %v", sealed.StatusCode, body)
	}
	if literal, body := o.asks(t, stack.Admin, http.MethodPut, "/servers/raw", value, "If-Match", `"v1"`); literal.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a value in place of a server was answered %d %v", literal.StatusCode, body)
	}
	o.function.Stop()
	o.holdsNothing(t)
}

// holdsNothing looks for the value in everything the function left.
func (o *office) holdsNothing(t *testing.T) {
	t.Helper()
	if err := os.Remove(o.binary); err != nil {
		t.Fatal(err)
	}
	files, err := leak.Folder(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	tables := o.Config.Tables
	rows, err := leak.Tables(t.Context(), dynamodb.NewFromConfig(o.AWS), tables.Catalogue, tables.Revocations, tables.Grants, tables.Transient, tables.Audit)
	if err != nil || !bytes.Contains(rows, []byte("raw-token")) {
		t.Fatal("the value was not stored: the test would prove nothing", err)
	}
	for name, data := range map[string][]byte{"answers": o.said.Bytes(), "stdout": o.function.Stdout(), "stderr": o.function.Stderr(), "files": files, "tables": rows} {
		if found := leak.Find(data, o.canary); found != nil {
			t.Errorf("the value is in %s as %v", name, found)
		}
	}
}
