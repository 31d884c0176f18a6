//go:build e2e && !nonode

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/shared/broker"
)

// TestAListIsReadPageByPage by a real client, also across pages of which
// nothing is left. The upstream answers in JSON.
func TestAListIsReadPageByPage(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, &mcp.ServerOptions{PageSize: 2})
	for _, name := range []string{"a1", "b2", "b3", "b4", "b5", "b6", "c7"} {
		server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, nil)
	}
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	u := d.upstream(h.ServeHTTP)
	d.server("notes", u.URL)
	_, reference := d.secret("notes")
	d.bind(d.card("notes", "dev-notes", group("dev"), reference), func(b *broker.Binding) { b.Allow.Tools = []string{"a*", "c7"} })
	for _, era := range []string{legacy, modern} {
		session, _ := d.session(alice, "notes", era)
		before, names := len(u.arrivals()), []string{}
		for tool, err := range session.Tools(t.Context(), nil) {
			must(t, err)
			names = append(names, tool.Name)
		}
		if diff := cmp.Diff([]string{"a1", "c7"}, names); diff != "" {
			t.Errorf("%s: shown (-want +got):\n%s", era, diff)
		}
		if n := len(u.arrivals()) - before; n != 4 {
			t.Errorf("%s: %d pages were read, want 4", era, n)
		}
	}
}

// TestWhatStaysOfAListIsUntouched: an edit cuts and replaces whole values, and
// every other byte is the upstream's.
func TestWhatStaysOfAListIsUntouched(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	var media, body string
	u := d.upstream(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		_, _ = io.WriteString(w, body)
	})
	d.server("notes", u.URL)
	_, reference := d.secret("notes")
	d.bind(d.card("notes", "dev-notes", group("dev"), reference), func(b *broker.Binding) { b.Allow.Tools = []string{"mine*"} })
	const head = "{ \"id\" : 1,\"jsonrpc\":\"2.0\",\t\"result\" : { \"x\":[1.0E2,\"\\u00e9\\/\"], \"tools\" :[ "
	const kept = "{\"n\":1.50, \"name\":\"\\u006dine\" ,\"d\":\"\\ud83d\\ude00\"}"
	const last = " {\"name\":\"mine2\",\"a\":{\"name\":\"theirs\",\"b\":1,\"b\":2}}"
	const tail = " ] ,\"nextCursor\":\"c\\u0041\""
	from := head + "{\"name\":\"theirs\"} ,\t" + kept + " , {\"name\":\"Mine\"}, {\"name\":\"\"}," + last + ",{\"name\":\"mine\\u0000\"}" + tail
	to := head + kept + "," + last + tail
	for era, scopes := range map[string]map[string]string{
		legacy: {"": "", `,"cacheScope":"public"`: `,"cacheScope":"private"`},
		modern: {"": `,"cacheScope":"private"`, `,"cacheScope" : "public"`: `,"cacheScope" : "private"`, `,"cacheScope":"priv\u0061te"`: `,"cacheScope":"priv\u0061te"`},
	} {
		for scope, becomes := range scopes {
			body = from + scope + "  } }"
			want := to + becomes + "  } }"
			media = "application/json"
			plain := body
			if a := d.ask(alice, "notes", era, "tools/list", ""); a.body != want || a.status != http.StatusOK {
				t.Errorf("%s: the caller got %d\n%s, want\n%s", era, a.status, a.body, want)
			}
			media, body = "text/event-stream", ": hello\n\nid: 7\nevent: message\ndata: "+plain+"\n\n"
			a := d.ask(alice, "notes", era, "tools/list", "")
			if a.status != http.StatusOK || !strings.HasPrefix(a.body, ": hello\n\n") || !strings.Contains(a.body, "\ndata: "+want+"\n") || !strings.Contains(a.body, "\nid: 7\n") {
				t.Errorf("%s: the caller got %d\n%s, want\n%s", era, a.status, a.body, want)
			}
		}
	}
}

// TestAListThatTwoReadersReadInTwoWaysIsNoAnswer, whatever is listed.
func TestAListThatTwoReadersReadInTwoWaysIsNoAnswer(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	var media, body string
	u := d.upstream(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		_, _ = io.WriteString(w, body)
	})
	d.server("notes", u.URL)
	_, reference := d.secret("notes")
	d.bind(d.card("notes", "dev-notes", group("dev"), reference))
	for i, l := range lists {
		for name, result := range map[string]string{
			"a name twice":           `"LIST":[{"KEY":"a","KEY":"b"}]`,
			"a name in another case": `"LIST":[{"KEY":"a","` + strings.ToUpper(l.key[:1]) + l.key[1:] + `":"b"}]`,
			"no name":                `"LIST":[{"title":"a"}]`,
			"a name that is no text": `"LIST":[{"KEY":["a"]}]`,
			"no array":               `"LIST":{"KEY":"a"}`,
			"the list twice":         `"LIST":[],"LIST":[{"KEY":"a"}]`,
			"the list once more":     `"LIST":[],"` + strings.ToUpper(l.member) + `":[{"KEY":"a"}]`,
		} {
			result = strings.NewReplacer("LIST", l.member, "KEY", l.key).Replace(result)
			plain := `{"jsonrpc":"2.0","id":1,"result":{` + result + `}}`
			if i%2 == 0 {
				media, body = "application/json", plain
				a := d.ask(alice, "notes", legacy, l.method, "")
				if a.status != http.StatusBadGateway || !strings.Contains(a.body, `"code":15029`) {
					t.Errorf("%s, %s: answered %d %s", l.method, name, a.status, a.body)
				}
				d.ended(a, broker.UpstreamMalformed)
				continue
			}
			media, body = "text/event-stream", progress+"data: "+plain+"\n\n"
			want := progress + "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":15029"
			if a := d.ask(alice, "notes", modern, l.method, ""); a.status != http.StatusOK || !strings.HasPrefix(a.body, want) || strings.Contains(a.body, result) {
				t.Errorf("%s, %s, as an event: answered %d %s", l.method, name, a.status, a.body)
			}
		}
	}
}
