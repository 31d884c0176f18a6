//go:build e2e

// Package compiled runs the binary that Lambda runs, against the Runtime API
// and an AWS-compatible endpoint, and looks at everything that comes out of it.
package compiled

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/stack"
	"bindery/shared/brokertest/emf"
	"bindery/shared/brokertest/leak"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"anything","arguments":{}}}`

func TestFirstEventLeavesTheFunctionWhileTheUpstreamIsStillWriting(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\n\n")
		rw.(http.Flusher).Flush()
		<-release
		fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"echo\":%q}}\n\n", r.Header.Get("Authorization"))
	}))
	f := w.start(t, "proxy")
	response, err := f.Invoke(t.Context(), w.event(t, stack.Alice, call))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(response.Body)
	first, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(first, "notifications/progress") {
		t.Fatalf("first event %q, %v", first, err)
	}
	close(release) // only now may the upstream go on
	rest, err := io.ReadAll(lines)
	if err != nil || !bytes.Contains(rest, []byte("[masked:staff-raw]")) {
		t.Errorf("rest %q, %v", rest, err)
	}
	if response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("Bindery-Receipt") == "" {
		t.Errorf("headers %v", response.Header)
	}
	records, err := w.Audit(t.Context(), response.Header.Get("Bindery-Receipt"))
	if err != nil || len(records) != 2 || records[1].Masked != 1 {
		t.Errorf("records %+v, %v", records, err)
	}
}

// TestNothingThatComesOutHoldsTheCredential makes good and bad calls, then
// scans all output, the function's folders and every table for the canary.
func TestNothingThatComesOutHoldsTheCredential(t *testing.T) {
	var canary string
	behaviours := []func(http.ResponseWriter, *http.Request){
		func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("Retry-After", canary)
			fmt.Fprintf(rw, `{"jsonrpc":"2.0","id":1,"result":{"all":%q}}`, fmt.Sprint(r.Header))
		},
		func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Location", "http://127.0.0.1:1/"+canary)
			rw.WriteHeader(http.StatusFound)
		},
		func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no: "+canary, http.StatusUnauthorized) },
		func(rw http.ResponseWriter, _ *http.Request) {
			http.Error(rw, "no: "+canary, http.StatusInternalServerError)
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(rw http.ResponseWriter, _ *http.Request) {
			connection, _, err := rw.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(connection, "HTTP/1.1 %s\r\nX: %s\r\n\r\n", canary, canary)
				_ = connection.Close()
			}
		},
	}
	turn := 0
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		behaviours[turn](rw, r)
	}))
	canary = w.canary
	f := w.start(t, "proxy")
	var answers bytes.Buffer
	for turn = range behaviours {
		response, err := f.Invoke(t.Context(), w.event(t, stack.Alice, call))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Header.Write(&answers)
		if _, err := io.Copy(&answers, response.Body); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range [][]byte{w.event(t, "reporter", call), []byte(`{"httpMethod":"POST","path":"/mcp/` + environment + `/raw","body":"` + canary + `"}`), []byte(`"x"`)} {
		if response, err := f.Invoke(t.Context(), bad); err == nil {
			_, _ = io.Copy(&answers, response.Body)
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", f.PID()))
	if err != nil || !slices.Equal(coreLimit(string(limits)), []string{"0", "0"}) {
		t.Errorf("core dumps are not off: %v, %v", coreLimit(string(limits)), err)
	}
	f.Stop()
	lines, err := emf.ReadAll(f.Stdout())
	if err != nil || emf.Sum(lines, "Calls") == 0 || emf.Sum(lines, "MaskedValues") == 0 {
		t.Errorf("%v: the log has not the metrics of these calls: %s", err, f.Stdout())
	}
	w.scan(t, f, answers.Bytes())
}

// coreLimit gives soft and hard limit of core files.
func coreLimit(limits string) []string {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			return strings.Fields(rest)[:2]
		}
	}
	return nil
}

func (w *world) scan(t *testing.T, f *runtimeapi.Function, answers []byte) {
	t.Helper()
	if err := os.Remove(w.binary); err != nil {
		t.Fatal(err)
	}
	files, err := leak.Folder(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	tables := w.Config.Tables
	rows, err := leak.Tables(t.Context(), dynamodb.NewFromConfig(w.AWS), tables.Catalogue, tables.Revocations, tables.Grants, tables.Transient, tables.Audit)
	if err != nil || len(rows) == 0 {
		t.Fatal("no rows", err)
	}
	if len(f.Stdout()) == 0 || !bytes.Contains(rows, []byte("outcome")) {
		t.Error("nothing to scan: the test would prove nothing")
	}
	for name, data := range map[string][]byte{"answers": answers, "stdout": f.Stdout(), "stderr": f.Stderr(), "files": files, "tables": rows} {
		if found := leak.Find(data, w.canary); found != nil {
			t.Errorf("the credential is in %s as %v", name, found)
		}
	}
}

func TestAMissingSettingEndsTheStartWithOneClearLine(t *testing.T) {
	w := newWorld(t, http.NotFoundHandler())
	bad := slices.DeleteFunc(w.settings(), func(s string) bool { return strings.HasPrefix(s, config.AuditTable+"=") })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f, err := runtimeapi.Start(ctx, w.binary, bad)
	if err == nil {
		t.Fatal("started")
	}
	if out := string(f.Stdout()); !strings.Contains(out, config.AuditTable+" is not set") {
		t.Errorf("said %q", out)
	}
}
