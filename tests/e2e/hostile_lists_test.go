//go:build e2e && !nonode

package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// hiding are answers to tools/list by which an upstream could show a caller,
// past one reader, a tool that is none of theirs.
func hiding() map[string]func(w http.ResponseWriter) {
	const list = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"whoami"},{"name":"hidden"}]}}`
	says := func(media string, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", media)
			_, _ = w.Write([]byte(body))
		}
	}
	whole := func(old, with string) func(http.ResponseWriter) {
		return says("application/json", strings.Replace(list, old, with, 1))
	}
	events := func(stream string) func(http.ResponseWriter) { return says("text/event-stream", stream) }
	event := "data: " + list + "\n\n"
	return map[string]func(http.ResponseWriter){
		"in the list":                     whole("", ""),
		"in front":                        whole(`[{"name":"whoami"},{"name":"hidden"}]`, `[{"name":"hidden"},{"name":"whoami"}]`),
		"alone":                           whole(`{"name":"whoami"},`, ``),
		"by escape":                       whole(`"hidden"}`, `"\u0068idden","description":"hidden"}`),
		"under a list in another case":    whole(`"tools"`, `"Tools"`),
		"under a list by escape":          whole(`"tools"`, `"\u0074ools"`),
		"under a list with a long s":      whole(`"tools"`, `"toolſ"`),
		"under two lists":                 whole(`"tools"`, `"tools":[{"name":"whoami"}],"tools"`),
		"under two lists by escape":       whole(`"tools"`, `"tools":[{"name":"whoami"}],"t\u006fols"`),
		"under two results":               whole(`"result"`, `"result":{"tools":[]},"result"`),
		"under a Result":                  whole(`"result"`, `"Result"`),
		"under two names":                 whole(`"name":"hidden"`, `"name":"whoami","name":"hidden"`),
		"under a Name":                    whole(`"name":"hidden"`, `"name":"whoami","Name":"hidden"`),
		"without a name":                  whole(`"name":"hidden"`, `"title":"hidden"`),
		"as a text":                       whole(`{"name":"hidden"}`, `"hidden"`),
		"as an object of tools":           whole(`[{"name":"whoami"},{"name":"hidden"}]`, `{"0":{"name":"hidden"}}`),
		"in a batch":                      says("application/json", "["+list+"]"),
		"behind the answer":               says("application/json", list+list),
		"behind a mark":                   says("application/json", "\ufeff"+list),
		"to another id":                   whole(`"id":1`, `"id":2`),
		"to the id in another form":       whole(`"id":1`, `"id":1.0`),
		"in an event":                     events(event),
		"in two events":                   events(event + event),
		"in an event to another id":       events(strings.Replace(event, `"id":1`, `"id":2`, 1) + event),
		"in an event after the answer":    events("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[]}}\n\n" + event),
		"in an event of another name":     events("event: tools\n" + event),
		"in an event of several lines":    events(strings.Replace(event, `"tools":`, "\ndata: \"tools\":\rdata: ", 1)),
		"in an event of carriage ends":    events("data: " + list + "\r\r"),
		"in an event behind a mark":       events("\ufeff" + event),
		"in an event without its end":     events("data: " + list),
		"in an event of UTF-16":           says("text/event-stream; charset=utf-16", event),
		"in an event in front of a batch": events("data: [" + list + "]\n\n"),
	}
}

// TestATrickDoesNotShowAHiddenTool, in either era: what can be read as one list
// is filtered, what cannot is no answer.
func TestATrickDoesNotShowAHiddenTool(t *testing.T) {
	t.Parallel()
	for _, era := range []string{legacy, modern} {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			d, tricks := deploy(t), hiding()
			var play func(http.ResponseWriter)
			u := d.upstream(func(w http.ResponseWriter, _ *http.Request) { play(w) })
			d.server("notes", u.URL)
			_, reference := d.secret("notes")
			d.bind(d.card("notes", "dev-notes", group("dev"), reference), func(b *broker.Binding) { b.Allow.Tools = []string{"whoami"} })
			shown := 0
			for _, name := range slices.Sorted(maps.Keys(tricks)) {
				play = tricks[name]
				t.Run(name, func(t *testing.T) {
					body := strings.Replace(toolCall(era), `"tools/call"`, `"tools/list"`, 1)
					r := d.request(alice, "notes", era, body)
					if era == modern {
						r.Header.Set("Mcp-Method", "tools/list")
						r.Header.Del("Mcp-Name")
					}
					a := d.send(r)
					if strings.Contains(a.body, "hidden") || strings.Contains(a.body, `\u0068idden`) {
						t.Errorf("the caller got %d %s", a.status, a.body)
					}
					if reason := d.outcome(a).Reason; (reason == "") != (a.status == http.StatusOK && !strings.Contains(a.body, `"code":150`)) {
						t.Errorf("recorded %q for %d %s", reason, a.status, a.body)
					}
					if strings.Contains(a.body, "whoami") {
						shown++
					}
				})
			}
			if shown < 8 {
				t.Errorf("only %d of %d lists came through", shown, len(tricks))
			}
		})
	}
}
