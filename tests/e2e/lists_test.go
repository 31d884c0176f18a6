//go:build e2e && !nonode

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// lists are those of MCP: where their elements stand, by what member they are
// named, and by what method one is used.
var lists = []struct{ method, member, key, use string }{
	{"tools/list", "tools", "name", "tools/call"},
	{"prompts/list", "prompts", "name", "prompts/get"},
	{"resources/list", "resources", "uri", "resources/read"},
	{"resources/templates/list", "resourceTemplates", "uriTemplate", ""},
}

// elements is a list as it was answered: its elements by name, byte for byte,
// the names in their order, and what stands beside the list.
type elements struct {
	raw   map[string]string
	names []string
	rest  map[string]string
}

// elementsOf reads a list out of a JSON answer or a stream with one.
func elementsOf(t *testing.T, body, member, key string) elements {
	t.Helper()
	for line := range strings.Lines(body) {
		if data, found := strings.CutPrefix(line, "data: {"); found {
			body = "{" + data
		}
	}
	var message struct{ Result map[string]json.RawMessage }
	must(t, json.Unmarshal([]byte(body), &message))
	var all []json.RawMessage
	must(t, json.Unmarshal(message.Result[member], &all))
	e := elements{raw: map[string]string{}, names: []string{}, rest: map[string]string{}}
	for _, raw := range all {
		var members map[string]any
		must(t, json.Unmarshal(raw, &members))
		name, _ := members[key].(string)
		if strings.HasPrefix(name, "__") { // the official server's own tests add such ones
			continue
		}
		e.raw[name], e.names = string(raw), append(e.names, name)
	}
	for name, raw := range message.Result {
		if name != member {
			e.rest[name] = string(raw)
		}
	}
	return e
}

// directly asks an official server without Bindery.
func directly(t *testing.T, d *deployment, at, era, method string) string {
	t.Helper()
	r := d.asking(alice, "notes", era, method, "")
	to, err := http.NewRequestWithContext(t.Context(), r.Method, at, r.Body)
	must(t, err)
	to.Header = r.Header
	to.Header.Del("Authorization")
	a := d.send(to)
	a.want(t, http.StatusOK, `"result"`)
	return a.body
}

// listing lets an official server answer everything but the use of what it
// lists, because some of that waits for its caller.
func listing(t *testing.T, at string) http.HandlerFunc {
	official := through(t, at)
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct{ Method string }
		_ = json.Unmarshal(body, &m)
		for _, l := range lists {
			if m.Method == l.use {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, okAnswer)
				return
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		official.ServeHTTP(w, r)
	}
}

// TestAListShowsWhatItsCallerMayUseAndNothingElse, of all that the official
// server lists: to two people with cards of their own, and to an agent with a
// ceiling. Whatever it lists is then used, and works if it was shown.
func TestAListShowsWhatItsCallerMayUseAndNothingElse(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(listing(t, shared.stateless.URL))
	d.server("notes", u.URL)
	_, reference := d.secret("notes")
	only := func(tools, prompts, resources string) func(*broker.Binding) {
		return func(b *broker.Binding) {
			b.Allow = broker.Allow{Tools: strings.Fields(tools), Prompts: strings.Fields(prompts), Resources: strings.Fields(resources)}
		}
	}
	d.bind(d.card("notes", "dev-notes", group("dev"), reference), only("test_simple_text test_i* no_such", "test_simple_prompt test_prompt_with_a*", "test://static-*"))
	d.bind(d.card("notes", "ops-notes", group("ops"), reference), only("*", "", "test://template/7/*"))
	d.bind(d.card("notes", "agent-notes", broker.Actor{Agent: reporterAgent}, reference), func(b *broker.Binding) { b.Mode = broker.AgentScoped })
	for name, tool := range map[string]broker.Tool{
		"test_simple_text":       {Risk: broker.Low, Teams: []string{"platform"}},
		"test_audio_content":     {Risk: broker.Medium, Teams: []string{"platform"}},
		"test_image_content":     {Risk: broker.High, Teams: []string{"platform"}}, // above the ceiling
		"test_error_handling":    {Risk: broker.Low, Teams: []string{"finance"}},
		"test_embedded_resource": {Risk: broker.Low, Teams: []string{"platform"}, State: broker.Suspended},
	} {
		tool.Environment, tool.Server, tool.Name, tool.Owner = d.env, "notes", name, "platform"
		if tool.State == "" {
			tool.State = broker.Active
		}
		must(t, d.DB.PutTool(t.Context(), tool))
	}
	sees := map[string]map[string]func(string) bool{
		alice: {
			"tools":   func(n string) bool { return n == "test_simple_text" || strings.HasPrefix(n, "test_i") },
			"prompts": func(n string) bool { return n == "test_simple_prompt" || n == "test_prompt_with_arguments" },
			"resources": func(n string) bool {
				return n == "test://static-text" || n == "test://static-binary"
			},
		},
		bob: {
			"tools":             func(n string) bool { return n != "test_embedded_resource" },
			"resourceTemplates": func(n string) bool { return n == "test://template/{id}/data" },
		},
		reporter: {
			"tools":             func(n string) bool { return n == "test_simple_text" || n == "test_audio_content" },
			"prompts":           func(string) bool { return true },
			"resources":         func(string) bool { return true },
			"resourceTemplates": func(string) bool { return true },
		},
	}
	for _, era := range []string{legacy, modern} {
		for _, l := range lists {
			all := elementsOf(t, directly(t, d, shared.stateless.URL, era, l.method), l.member, l.key)
			if len(all.names) == 0 {
				t.Fatalf("the official server has no %s", l.member)
			}
			for who, what := range sees {
				if era == legacy && who == bob {
					continue // one person is enough there
				}
				may := what[l.member]
				if may == nil {
					may = func(string) bool { return false }
				}
				t.Run(era+"/"+l.member+"/"+who, func(t *testing.T) {
					d.sees(t, who, era, l.method, l.member, l.key, all, may)
					if era == modern && l.use != "" && (who == alice || who == reporter && l.use == "tools/call") {
						d.uses(t, u, who, l.use, all.names, may)
					}
				})
			}
		}
	}
}

// sees holds a caller's list against the whole of it.
func (d *deployment) sees(t *testing.T, who, era, method, member, key string, all elements, may func(string) bool) {
	t.Helper()
	a := d.ask(who, "notes", era, method, "")
	a.want(t, http.StatusOK, `"result"`)
	got := elementsOf(t, a.body, member, key)
	want := slices.DeleteFunc(slices.Clone(all.names), func(n string) bool { return !may(n) })
	if diff := cmp.Diff(want, got.names); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	for name, raw := range got.raw {
		if all.raw[name] != raw {
			t.Errorf("%s came as %s, the server sent %s", name, raw, all.raw[name])
		}
	}
	rest := map[string]string{}
	for name, raw := range all.rest {
		rest[name] = raw
	}
	if rest["cacheScope"] != "" || era == modern {
		rest["cacheScope"] = `"private"`
	}
	if diff := cmp.Diff(rest, got.rest); diff != "" {
		t.Errorf("beside the list (-want +got):\n%s", diff)
	}
	d.ended(a, "")
}

// uses makes each use that the server lists.
func (d *deployment) uses(t *testing.T, u *upstream, who, method string, names []string, may func(string) bool) {
	t.Helper()
	for _, name := range names {
		before := len(u.arrivals())
		status, text, reached := http.StatusOK, `"result"`, 1
		if !may(name) {
			status, text, reached = http.StatusForbidden, forbidden, 0
		}
		a := d.ask(who, "notes", modern, method, name)
		if n := len(u.arrivals()) - before; a.status != status || !strings.Contains(a.body, text) || n != reached {
			t.Errorf("%s of %s: answered %d %s after %d requests upstream, shown: %t", method, name, a.status, a.body, n, may(name))
		}
	}
}
