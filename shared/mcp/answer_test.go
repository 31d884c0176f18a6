package mcp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"bindery/shared/mcp"

	"github.com/google/go-cmp/cmp"
)

func TestProtectedPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		msg  string
		want []string
	}{
		"result": {
			`{"jsonrpc":"2.0","id":"i1","result":{"nextCursor":"c","tools":[{"name":"n","description":"free"}],"_meta":{"progressToken":7}}}`,
			[]string{`"2.0"`, `"i1"`, `"c"`, `7`},
		},
		"input required": {
			`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s","inputRequests":{"k":{"method":"elicitation/create","params":{"elicitationId":"e","message":"free"}}}}}`,
			[]string{`"2.0"`, `1`, `"input_required"`, `"s"`, `"e"`},
		},
		"request from upstream": {
			`{"jsonrpc":"2.0","id":2,"method":"elicitation/create","params":{"mode":"url","elicitationId":"e","message":"free"}}`,
			[]string{`"2.0"`, `2`, `"elicitation/create"`, `"e"`},
		},
		"cancelled": {
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r","reason":"free"}}`,
			[]string{`"2.0"`, `"notifications/cancelled"`, `"r"`},
		},
		"error with elicitations": {
			`{"jsonrpc":"2.0","id":3,"error":{"code":-32042,"message":"free","data":{"elicitations":[{"elicitationId":"e"}]}}}`,
			[]string{`"2.0"`, `3`, `"e"`},
		},
		"tasks": {
			`{"jsonrpc":"2.0","id":4,"result":{"tasks":[{"taskId":"t1"}],"task":{"taskId":"t2"},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t3"}}}}`,
			[]string{`"2.0"`, `4`, `"t1"`, `"t2"`, `{"taskId":"t3"}`},
		},
		"content is free": {
			`{"jsonrpc":"2.0","id":5,"result":{"content":[{"type":"text","text":"free","taskId":"x"}],"structuredContent":{"id":"free","nextCursor":"free"}}}`,
			[]string{`"2.0"`, `5`},
		},
		"other case and escapes": {
			`{"jsonrpc":"2.0","ID":6,"result":{"NextCursor":"c","next\u0043ursor":"d"}}`,
			[]string{`"2.0"`, `6`, `"c"`, `"d"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spans, err := mcp.Protected([]byte(c.msg))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, span := range spans {
				got = append(got, string(span))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnreadableAnswerIsAnError: where a secret was found, not knowing the
// places must end in a refusal.
func TestUnreadableAnswerIsAnError(t *testing.T) {
	for _, msg := range []string{
		``, `[]`, `"x"`, `{`, `{"id":1`, `{"id":1}}`, `{"id":1,"id":2}`, `{"a":01}`, `{"a":"\x"}`, `{"a":"\u12"}`,
		`{"result":{"nextCursor":"a","nextCursor":"b"}}`,
		`{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`,
	} {
		if spans, err := mcp.Protected([]byte(msg)); err == nil {
			t.Errorf("%.40s: no error, spans %q", msg, spans)
		}
	}
}

func TestIsResponseTo(t *testing.T) {
	for _, c := range []struct {
		data, id string
		want     bool
	}{
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, `1`, true},
		{` {"result":{"big":[1,2,{"id":2}]},"id":"a"}`, `"a"`, true},
		{`{"id":"\u0061","error":{"code":1,"message":""}}`, `"a"`, true},
		{`{"id":1.0,"result":{}}`, `1`, true},
		{`{"id":10e-1,"result":{}}`, `1`, true},
		{`{"id":"1","result":{}}`, `1`, false},
		{`{"id":2,"result":{}}`, `1`, false},
		{`{"id":null,"error":{}}`, `1`, false},
		{`{"id":null,"error":{}}`, `null`, false},
		{`{"id":1,"method":"elicitation/create","params":{}}`, `1`, false},
		{`{"id":1,"method":"x","result":{}}`, `1`, false},
		{`{"method":"notifications/progress","params":{"id":1,"result":{}}}`, `1`, false},
		{`{"id":1}`, `1`, false},
		{`{"id":1,"result":{}`, `1`, false},
		{`[{"id":1,"result":{}}]`, `1`, false},
		{``, `1`, false},
	} {
		if got := mcp.IsResponseTo([]byte(c.data), json.RawMessage(c.id)); got != c.want {
			t.Errorf("%s to %s: %v", c.data, c.id, got)
		}
	}
}

func TestErrorBodyIsValidWhateverTheID(t *testing.T) {
	for id, want := range map[string]string{
		`1`: `1`, `"a"`: `"a"`, ``: `null`, `null`: `null`, `{"a":1}`: `null`, `"a`: `null`, `1}`: `null`, `"a","x":1`: `null`,
	} {
		var got struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Error   struct {
				Code    int    `json:"code"`
				Message string `json:"message"`
			} `json:"error"`
		}
		body := mcp.ErrorBody(json.RawMessage(id), -32603, "say \"no\"\n</script>")
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v in %s", id, err, body)
		}
		if string(got.ID) != want || got.JSONRPC != "2.0" || got.Error.Code != -32603 || got.Error.Message != "say \"no\"\n</script>" {
			t.Errorf("%s: %s", id, body)
		}
		event, err := mcp.NewEventReader(strings.NewReader(string(mcp.ErrorEvent(json.RawMessage(id), -32603, "say \"no\"\n</script>"))), 1000).Next()
		if err != nil || string(event.Data()) != string(body) {
			t.Errorf("event: %q, %v", event.Raw, err)
		}
	}
}

// FuzzProtected: never a panic; spans are values of the message; what is
// accepted is JSON.
func FuzzProtected(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"c","x":[{"taskId":[1,"\ud800"]}]}}`))
	f.Add([]byte(`{"Id":{"a":1e9},"params":{"requestId":null}}`))
	f.Add([]byte(`{"i\u0064":1,"ıd":2,"result":{"nextCurſor":"c","TOOLS":[{"TaskID":"t"}],"next\u0000Cursor":"d"}}`))
	f.Add([]byte(`{"id":-0,"ID":1e400,"result":{"cacheScope":"public","tools":[{"name":"a","name":"b"}]}}`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		spans, err := mcp.Protected(msg)
		if err != nil {
			return
		}
		var top map[string]json.RawMessage
		if err := json.Unmarshal(msg, &top); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		found := map[string]bool{}
		for _, span := range spans {
			if !json.Valid(span) {
				t.Fatalf("span %q is not a value", span)
			}
			found[string(span)] = true
		}
		for key, value := range top {
			if strings.EqualFold(key, "id") && !found[string(value)] {
				t.Fatalf("%s is missing", value)
			}
		}
	})
}
