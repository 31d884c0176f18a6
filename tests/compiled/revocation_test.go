//go:build e2e

package compiled

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/enforce"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
	"bindery/shared/revoke"
)

// newRevocation starts the compiled revocation function with the settings of the
// template and nothing else.
func newRevocation(t *testing.T, w *world) *runtimeapi.Function {
	t.Helper()
	binary := filepath.Join(w.dir, "revocation")
	runtimeapi.Build(t, binary, []string{"revocation"})
	f, err := runtimeapi.Start(t.Context(), binary, w.as(t, "revocation", w.settingsOf(func(s config.Setting) bool { return s.For("revocation") })))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Stop() })
	return f
}

func newTables(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	w.issuer, w.Deployment = deploy(t, moto.URL)
	return w
}

// TestTheRevocationFunctionStopsByRequestAndByEvent, in tables of an AWS-compatible
// endpoint; what it is asked twice it does once.
func TestTheRevocationFunctionStopsByRequestAndByEvent(t *testing.T) {
	w := newTables(t)
	f := newRevocation(t, w)
	sample, err := os.ReadFile("../../events/revocation/leaked-secret.json")
	must(t, err)
	event := strings.ReplaceAll(string(sample), `"prod"`, `"`+environment+`"`)
	ask := func(text string) revoke.Answer {
		t.Helper()
		response, err := f.Invoke(t.Context(), []byte(text))
		must(t, err)
		var a revoke.Answer
		if err := json.Unmarshal(response.Raw, &a); err != nil || a.Acknowledged == nil {
			t.Fatalf("answered %s", response.Raw)
		}
		return a
	}
	first, again := ask(event), ask(event)
	if !again.Acknowledged.Already || again.Acknowledged.Case != first.Acknowledged.Case || !first.Acknowledged.Recorded {
		t.Errorf("%+v, then %+v", first.Acknowledged, again.Acknowledged)
	}
	everything := ask(`{"revoke":{"kind":"everything","subject":"` + environment + `","by":"operator/on-call","reason":"all keys are in the open"}}`)
	lifted := ask(`{"lift":{"case":"` + everything.Acknowledged.Case + `","by":"operator/on-call","reason":"they are replaced"}}`)
	if lifted.Acknowledged.Epoch != 2 || lifted.Acknowledged.Revoked {
		t.Errorf("lifted: %+v", lifted.Acknowledged)
	}
	cases, err := w.DB.RevocationsOf(t.Context(), environment, "", 10)
	open, err2 := w.DB.OpenRevocations(t.Context(), environment, 10)
	must(t, err)
	must(t, err2)
	if len(cases) != 3 || len(open) != 2 {
		t.Errorf("%d cases, %d of them open", len(cases), len(open))
	}
	facts, err := w.DB.Receipt(t.Context(), broker.ReceiptOf(first.Acknowledged.At, "fact", environment, first.Acknowledged.Case))
	if err != nil || len(facts) != 1 || facts[0].Method != string(broker.RevocationAcknowledged) {
		t.Errorf("recorded as %+v, %v", facts, err)
	}
}

// TestTheAdminFunctionInvokesTheRevocationFunction, both compiled: the Lambda API
// between them is a stub that passes bytes on.
func TestTheAdminFunctionInvokesTheRevocationFunction(t *testing.T) {
	w := newTables(t)
	stops := newRevocation(t, w)
	lambda := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		request, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/2015-03-31/functions/bindery-compiled-revocation/invocations" {
			http.Error(rw, "no", http.StatusBadRequest)
			return
		}
		response, err := stops.Invoke(r.Context(), request)
		if err != nil {
			rw.Header().Set("X-Amz-Function-Error", "Unhandled")
			return
		}
		_, _ = rw.Write(response.Raw)
	}))
	t.Cleanup(lambda.Close)
	o := &office{world: w}
	o.binary = filepath.Join(o.dir, "bootstrap")
	runtimeapi.Build(t, o.binary, []string{"admin"})
	function, err := runtimeapi.Start(t.Context(), o.binary, append(o.as(t, "admin", o.settings()), "AWS_ENDPOINT_URL_LAMBDA="+enforce.New(t, lambda.URL, o.deployed(), nil).URL))
	must(t, err)
	o.function = function
	t.Cleanup(func() { function.Stop() })
	body := `{"kind":"group","subject":"staff","reason":"dissolved"}`
	got, answer := o.asks(t, stack.Admin, http.MethodPost, "/revocations", body)
	if got.StatusCode != http.StatusOK || answer["revoked"] != true || answer["recorded"] != true {
		t.Fatalf("answered %d %v", got.StatusCode, answer)
	}
	m, err := w.DB.Markers(t.Context(), environment, []broker.MarkerKey{{Kind: broker.GroupMarker, ID: "staff"}})
	if err != nil || len(m) != 1 || !m[0].Revoked || m[0].Revocation != answer["revocation"] {
		t.Errorf("the marker: %+v, %v", m, err)
	}
	stops.Stop()
	if got, answer := o.asks(t, stack.Admin, http.MethodPost, "/revocations", strings.Replace(body, "staff", "owners", 1)); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without the function: %d %v", got.StatusCode, answer)
	}
}
