//go:build e2e

package compiled

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

// keysmith is an MCP server that issues its own keys, and takes those alone.
type keysmith struct {
	mu    sync.Mutex
	takes map[string]bool
	asked []string // methods that came with a key that it takes
}

func (k *keysmith) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !k.takes[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch {
	case r.URL.Path == "/keys":
		issued := stack.RandomSecret("canary-issued-")
		k.takes[issued] = true
		k.asked = append(k.asked, "issue")
		fmt.Fprintf(w, `{"key":{"id":%q,"secret":%q}}`, issued, issued)
	case r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, "/keys/"):
		delete(k.takes, strings.TrimPrefix(r.URL.Path, "/keys/"))
		k.asked = append(k.asked, "retire")
		fmt.Fprint(w, `{}`)
	default:
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		_ = json.NewDecoder(r.Body).Decode(&m)
		k.asked = append(k.asked, m.Method)
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"supportedVersions":["2026-07-28"],"tools":[]}}`, m.ID)
	}
}

// TestTheRotationFunctionRotatesByPlan: two runs, of which the second ends the key
// of the first, with the settings of the template and nothing else.
func TestTheRotationFunctionRotatesByPlan(t *testing.T) {
	w := &world{dir: t.TempDir(), canary: stack.RandomSecret("canary-")}
	w.binary = filepath.Join(w.dir, "bootstrap")
	runtimeapi.Build(t, w.binary, []string{"rotation"})
	moto, err := parts.Moto(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(moto.Stop)
	_, w.Deployment = deploy(t, moto.URL)
	smith := &keysmith{takes: map[string]bool{w.canary: true}}
	upstream := serve(t, smith)
	w.seed(t, upstream+"/mcp")
	reference, err := broker.ParseReference("aws-sm:" + environment + "/raw")
	must(t, err)
	origin, err := broker.OriginDigest(upstream)
	must(t, err)
	plan := broker.RotationPlan{Environment: environment, Name: "raw", Origin: origin, State: broker.Active, Owner: "platform", Reference: reference, Maker: broker.MakeByRecipe,
		Every: broker.MinEvery, Server: "raw", Binding: "staff-raw", Recipe: broker.Recipe{
			Issue: broker.RecipeCall{Method: "POST", URL: upstream + "/keys", Headers: map[string]string{"Authorization": "Bearer {token}"}, Body: "{}"},
			Value: "/key/secret", Keep: "/key/id",
			Retire: broker.RecipeCall{Method: "DELETE", URL: upstream + "/keys/{old}", Headers: map[string]string{"Authorization": "Bearer {token}"}}}}
	must(t, w.DB.PutRotationPlan(t.Context(), plan))
	function, err := runtimeapi.Start(t.Context(), w.binary, w.as(t, "rotation", w.settingsOf(func(s config.Setting) bool { return s.For("rotation") })))
	must(t, err)
	t.Cleanup(func() { function.Stop() })
	event, err := os.ReadFile("../../events/rotation/rotate.json")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // as the template's
	defer cancel()
	for _, want := range []string{`{"begun":1,"worked":1,"ended":1,"done":true}`, `{"begun":0,"worked":0,"ended":0,"done":true}`} {
		response, err := function.Invoke(ctx, event)
		must(t, err)
		if got := string(response.Raw); got != want {
			t.Errorf("answered %s, want %s", got, want)
		}
	}
	first, err := w.DB.Rotation(t.Context(), environment, plan.Subject())
	must(t, err)
	now := time.Now().UTC()
	again := broker.Rotation{Environment: environment, Subject: plan.Subject(), ID: "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", Previous: first.ID, Plan: plan.Name,
		Step: broker.RotationOrdered, Begun: now, Moved: now, Next: now, Kept: first.Kept}
	must(t, w.DB.BeginRotation(t.Context(), again))
	if _, err := function.Invoke(ctx, event); err != nil {
		t.Fatal(err)
	}
	function.Stop()
	last, err := w.DB.Rotation(t.Context(), environment, plan.Subject())
	must(t, err)
	if first.Step != broker.RotationOver || last.Step != broker.RotationOver || last.ID != again.ID {
		t.Errorf("the first is %s (%s), the second %s (%s)", first.Step, first.Reason, last.Step, last.Reason)
	}
	want := "issue server/discover tools/list issue server/discover tools/list retire"
	if got := strings.Join(smith.asked, " "); got != want || len(smith.takes) != 2 { // the first has no name
		t.Errorf("the upstream was asked %s, and takes %d keys", got, len(smith.takes))
	}
	for _, said := range [][]byte{function.Stdout(), function.Stderr()} {
		for key := range smith.takes {
			if found := leak.Find(said, key); found != nil {
				t.Errorf("a key is in the output as %v", found)
			}
		}
	}
}
