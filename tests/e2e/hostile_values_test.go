//go:build e2e && !nonode

package e2e

import (
	"strings"

	"bindery/shared/mcp"
)

// hostileValues are JSON objects that are not one JSON-RPC message, or one
// whose parameters cannot be judged.
func hostileValues() map[string]attack {
	all := map[string]attack{}
	invalid := func(name string, spoil func(*wire)) { all[name] = attack{spoil: spoil, status: 400, code: -32600} }
	for name, id := range map[string]string{"null": `null`, "true": `true`, "an object": `{}`, "a list": `[1]`, "a fraction": `1.0`, "an exponent": `1e0`,
		"a huge exponent": `1e400`, "minus zero": `-0`, "of twenty digits": `18446744073709551616`, "of 300 digits": strings.Repeat("9", 300),
		"of 300 bytes": `"` + strings.Repeat("x", 300) + `"`, "of a megabyte": `"` + strings.Repeat("x", 1<<20) + `"`, "half a surrogate": `"\ud800"`} {
		invalid("an id: "+name, swap(`"id":1`, `"id":`+id))
	}
	invalid("an empty object", sends("{}"))
	invalid("an empty batch", sends("[]"))
	invalid("a batch of one", wraps("[", "]"))
	invalid("a batch of one behind white space", wraps(" \n[", "]"))
	invalid("a batch of two", func(w *wire) { w.body = "[" + w.body + "," + w.body + "]" })
	invalid("a batch of nothing useful", sends("[1,2"))
	invalid("JSON-RPC 1.0", swap(`"jsonrpc":"2.0"`, `"jsonrpc":"1.0"`))
	invalid("JSON-RPC as a number", swap(`"jsonrpc":"2.0"`, `"jsonrpc":2.0`))
	invalid("JSON-RPC in escapes", swap(`"jsonrpc":"2.0"`, `"jsonrpc":"\u0032.0"`))
	invalid("no jsonrpc", swap(`"jsonrpc":"2.0",`, ``))
	invalid("a method and a result", swap(`"id":1`, `"id":1,"result":{}`))
	invalid("a method and an error", swap(`"id":1`, `"id":1,"error":{"code":1,"message":""}`))
	invalid("a result and an error", sends(`{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}`))
	invalid("a result without an id", sends(`{"jsonrpc":"2.0","result":{}}`))
	invalid("a result in a list", sends(`{"jsonrpc":"2.0","id":1,"result":[]}`))
	invalid("an id and nothing else", sends(`{"jsonrpc":"2.0","id":1}`))
	invalid("a method that is a list", swap(`"method":"tools/call"`, `"method":["tools/call"]`))
	invalid("a method that is null", swap(`"method":"tools/call"`, `"method":null`))
	invalid("a method of half a surrogate", swap(`tools/call`, `tools/call\ud800`))
	invalid("params in a list", sends(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["whoami"]}`))
	invalid("params as a string", sends(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"whoami"}`))
	invalid("params null", sends(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}`))
	invalid("a call without an id", swap(`"id":1,`, ``))
	invalid("a notification with an id", calls("notifications/cancelled", "", `{"jsonrpc":"2.0","id":1,"method":"notifications/cancelled","params":{META}}`))
	all["a response to nobody"] = attack{sends(`{"jsonrpc":"2.0","id":1,"result":{}}`), 400, -32600, 0, modern, ""}

	unjudged := func(name string, spoil func(*wire)) {
		all[name] = attack{spoil: spoil, status: 400, code: -32602, legacy: 200}
	}
	for name, value := range map[string]string{"null": `null`, "a number": `1`, "empty": `""`, "a list": `["whoami"]`, "with a NUL": `"whoami\u0000smuggled"`,
		"with a line feed": `"whoami\nsmuggled"`, "with a DEL": `"whoami\u007f"`, "half a surrogate": `"whoami\ud800"`, "of 4097 bytes": `"` + strings.Repeat("x", 4097) + `"`} {
		unjudged("a tool's name: "+name, swap(`"name":"whoami"`, `"name":`+value))
	}
	unjudged("a tool without a name", swap(`"name":"whoami",`, ``))
	unjudged("a resource without a URI", calls("resources/read", "whoami", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{META}}`))
	unjudged("a prompt without a name", calls("prompts/get", "whoami", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{META}}`))
	unjudged("a reference of two kinds", calls("completion/complete", "whoami", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","uri":"smuggled:x"},META}}`))
	for _, method := range []string{"tools/Call", "tools//call", "rpc.discover", "sampling/createMessage", "elicitation/create", "roots/list", ""} {
		all["an unknown method "+method] = attack{calls(method, "whoami", `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{META}}`), 404, -32601, 200, "", ""}
	}
	for _, method := range []string{"initialize", "ping", "logging/setLevel", "resources/subscribe", "tasks/list"} {
		all["a removed method "+method] = attack{calls(method, "whoami", `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{META}}`), 404, -32601, 0, modern, ""}
	}
	return all
}

// hostileSizes are messages that cost more than they may.
func hostileSizes() map[string]attack {
	all := map[string]attack{}
	for name, value := range map[string]string{
		"nested too deep":                 strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"nested too deep in objects":      strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
		"nested a million deep":           strings.Repeat("[", 1<<20),
		"nested half a million keys deep": strings.Repeat(`{"":`, 1<<19),
		"a number of a megabyte":          strings.Repeat("9", 1<<20),
		"a fraction of a megabyte":        "0." + strings.Repeat("1", 1<<20),
		"a hundred thousand members":      "{" + members(100_000) + "}",
		"a hundred thousand empty names":  "{" + strings.TrimSuffix(strings.Repeat(`"":0,`, 100_000), ",") + "}",
	} {
		all[name] = attack{spoil: arguments(value), status: 400, code: -32600}
	}
	tooLarge := func(name string, spoil func(*wire)) { all[name] = attack{spoil: spoil, status: 413, code: 14130} }
	whole := func(w *wire) { w.body += strings.Repeat(" ", mcp.MaxRequest+1-len(w.body)) }
	tooLarge("one byte more than 4 MiB", whole)
	tooLarge("one byte more than 4 MiB in chunks", together(whole, inChunks))
	tooLarge("one byte more than 4 MiB in a string", func(w *wire) {
		swap(`"arguments":{}`, `"arguments":"`+strings.Repeat("x", mcp.MaxRequest-len(w.body)+1)+`"`)(w)
	})
	tooLarge("a length of a terabyte", together(whole, func(w *wire) { w.unsized = true; w.add("Content-Length: 1099511627776") }))
	return all
}
