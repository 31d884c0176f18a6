package handler

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPostureShowsWhatTheCallerMaySee: owners the cards of their own servers,
// page by page, and no token names another one's.
func TestPostureShowsWhatTheCallerMaySee(t *testing.T) {
	f := world(t)
	for _, name := range []string{"a-first", "hidden-one", "z-last"} {
		f.server(t, name, "team-other")
		f.bind(t, name, "one", `{"anyone":true}`)
	}
	notes := []string{"alice", "alice-bot", "bob", "dev-notes"}
	all := slices.Concat([]string{"one", "one"}, notes, []string{"any", "bot", "ci", "one"})
	for who, want := range map[string][]string{"auditor": all, "root": all, "admin": all, "second": all, "owner": notes,
		"other": {"one", "one", "any", "bot", "ci", "one"}, "nobody": nil} {
		for _, limit := range []string{"1", "3", "200"} {
			if d := cmp.Diff(want, f.pages(t, who, "/posture?limit="+limit, "binding")); d != "" {
				t.Errorf("%s, %s a page: %s", who, limit, d)
			}
		}
	}
	token, _ := f.call(t, "owner", "GET", "/posture?limit=1", nil).body["next"].(string)
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || !strings.HasSuffix(string(text), "\nnotes/alice") {
		t.Errorf("%q %v", text, err)
	}
	f.call(t, "stranger", "GET", "/posture", nil).want(t, 401, "invalid_token")
}

// TestWhatPostureSays of a card.
func TestWhatPostureSays(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	at := time.Now().UTC().Truncate(time.Millisecond)
	f.happened(t, called{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes#token", version: "v1", at: at})
	want := map[string]any{"server": "notes", "binding": "dev-notes", "version": 1.0, "environment": "prod", "owner": "team-notes", "stores": []any{"aws-sm"},
		"material": "reference", "audience": "shared", "propagation": false, "masking": true, "state": "active", "server_state": "active", "pending": false,
		"last_used": stamp(at), "last_good": stamp(at), "last_rotated": stamp(at), "health": "good"}
	a := f.call(t, "auditor", "GET", "/posture", nil).want(t, 200, "")
	if d := cmp.Diff(want, a.body["items"].([]any)[0]); d != "" {
		t.Error(d)
	}
	propagating := strings.Replace(serverBody, `"state"`, `"propagate":[{"attribute":"email","header":"X-User-Email"}],"state"`, 1)
	f.call(t, "root", "PUT", "/servers/notes", propagating, "If-Match", `"v1"`).want(t, 200, "")
	f.bind(t, "notes", "alice", `{"principal":"p-aliceaaaaaaaaaaaaaaaaaaaaa"}`)
	a = f.call(t, "auditor", "GET", "/posture", nil).want(t, 200, "")
	if !slices.Equal(a.items("propagation"), []string{"true", "true"}) || !slices.Equal(a.items("audience"), []string{"per_person", "shared"}) {
		t.Errorf("%s", a.Body)
	}
	f.clean(t)
}
