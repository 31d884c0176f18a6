//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"strings"
)

// swap replaces a part of the valid call. A part that is not there leaves a
// valid call, which no row survives.
func swap(old, with string) func(*wire) {
	return func(w *wire) { w.body = strings.Replace(w.body, old, with, 1) }
}

// sends replaces the whole body.
func sends(body string) func(*wire) { return func(w *wire) { w.body = body } }

// wraps puts bytes around the valid call.
func wraps(before, after string) func(*wire) {
	return func(w *wire) { w.body = before + w.body + after }
}

// calls sends another message, announced as it should be in either era. META
// stands for what the era wants to stand in params.
func calls(method, name, body string) func(*wire) {
	return func(w *wire) {
		meta := `"_meta":{}`
		if w.era == modern {
			meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
			w.set("Mcp-Method", method)
			w.set("Mcp-Name", name)
		}
		w.body = strings.Replace(body, "META", meta, 1)
	}
}

// together applies several changes.
func together(changes ...func(*wire)) func(*wire) {
	return func(w *wire) {
		for _, change := range changes {
			change(w)
		}
	}
}

// arguments puts a value where nothing but the upstream reads it.
func arguments(value string) func(*wire) { return swap(`"arguments":{}`, `"arguments":`+value) }

// hostileKeys are messages that two readers take for two different calls.
func hostileKeys() map[string]attack {
	all := map[string]attack{}
	row := func(name string, spoil func(*wire)) { all[name] = attack{spoil: spoil, status: 400, code: -32600} }

	row("method and Method", swap(`"method":"tools/call"`, `"method":"tools/list","Method":"tools/call"`))
	row("Method before method", swap(`"method":`, `"Method":"tools/list","method":`))
	row("METHOD alone", swap(`"method":`, `"METHOD":`))
	row("Method in escapes", swap(`"method":`, `"\u004dethod":"tools/list","method":`))
	row("Params", swap(`"params":`, `"Params":{"name":"smuggled"},"params":`))
	row("params with a long s", swap(`"params":`, `"paramſ":{"name":"smuggled"},"params":`))
	row("ID", swap(`"id":1`, `"id":1,"ID":2`))
	row("id with a dotless i", swap(`"id":1`, `"id":1,"ıd":2`))
	row("id with a dotted I", swap(`"id":1`, `"id":1,"İd":2`))
	row("JsonRpc", swap(`"jsonrpc":"2.0"`, `"jsonrpc":"2.0","JsonRpc":"1.0"`))
	row("Result", swap(`"id":1`, `"id":1,"Result":{}`))
	row("Error", swap(`"id":1`, `"id":1,"Error":{}`))
	row("Name", swap(`"name":`, `"Name":"smuggled","name":`))
	row("NAME alone", swap(`"name":`, `"NAME":`))
	row("name with a NUL", swap(`"name":`, `"name\u0000":"smuggled","name":`))
	row("URI", swap(`"name":`, `"URI":"file:///smuggled","name":`))
	row("Arguments", swap(`"arguments":`, `"Arguments":{"smuggled":1},"arguments":`))
	row("arguments with a long s", swap(`"arguments":`, `"argumentſ":{"smuggled":1},"arguments":`))
	row("_META", swap(`"name":`, `"_META":{},"name":`))
	row("taskId with a Kelvin sign", swap(`"name":`, "\"tas\u212aId\":\"smuggled\",\"name\":"))
	row("Ref of a completion", calls("completion/complete", "", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"Ref":{"type":"ref/prompt","name":"p"}}}`))
	row("Name in a reference", calls("completion/complete", "", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","Name":"smuggled"}}}`))
	row("TaskIds in a subscription", calls("subscriptions/listen", "", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"TaskIds":["smuggled"]}}}`))
	row("a key of half a surrogate", swap(`"name":`, `"\ud83d":1,"name":`))
	row("a key of half a surrogate deep down", arguments(`{"a":[{"\udc00":1}]}`))

	row("method twice", swap(`"method":"tools/call"`, `"method":"tools/list","method":"tools/call"`))
	row("method twice by escape", swap(`"method":`, `"\u006dethod":"tools/list","method":`))
	row("method twice alike", swap(`"method":"tools/call"`, `"method":"tools/call","method":"tools/call"`))
	row("id twice", swap(`"id":1`, `"id":1,"id":2`))
	row("jsonrpc twice", swap(`"jsonrpc":"2.0"`, `"jsonrpc":"2.0","jsonrpc":"2.0"`))
	row("params twice", swap(`"params":`, `"params":{"name":"smuggled"},"params":`))
	row("name twice", swap(`"name":`, `"name":"smuggled","name":`))
	row("name twice by escape", swap(`"name":`, `"n\u0061me":"smuggled","name":`))
	row("arguments twice", swap(`"arguments":`, `"arguments":{"smuggled":1},"arguments":`))
	row("an argument twice", arguments(`{"path":"/ok","path":"/smuggled"}`))
	row("an argument twice deep down", arguments(`{"a":[[{"b":{"path":"/ok","p\u0061th":"/smuggled"}}]]}`))
	row("an unknown member twice", swap(`"id":1`, `"id":1,"x":1,"x":2`))
	row("_meta twice", swap(`"name":`, `"_meta":{},"_meta":{},"name":`))
	row("a progress token twice", swap(`"name":`, `"_meta":{"progressToken":1,"progressToken":2},"name":`))
	row("a reference's name twice", calls("completion/complete", "", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","name":"smuggled"}}}`))
	row("resource subscriptions twice", calls("subscriptions/listen", "", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[],"resourceSubscriptions":["smuggled"]}}}`))
	row("one key twice among thousands", arguments(`{`+members(5000)+`,"m77":"smuggled"}`))

	version := `"io.modelcontextprotocol/protocolVersion":`
	all["the version in another case"] = attack{swap(version, `"io.modelcontextprotocol/ProtocolVersion":"2025-11-25",`+version), 400, -32600, 0, modern, ""}
	all["the version twice"] = attack{swap(version, version+`"2025-11-25",`+version), 400, -32600, 0, modern, ""}
	return all
}

// members is a list of different members.
func members(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, `"m%d":0,`, i)
	}
	return strings.TrimSuffix(all.String(), ",")
}

// hostileText is what is not one JSON document in UTF-8.
func hostileText() map[string]attack {
	all := map[string]attack{}
	row := func(name string, spoil func(*wire)) { all[name] = attack{spoil: spoil, status: 400, code: -32700} }
	inside := func(bytes string) func(*wire) { return arguments(`{"a":"` + bytes + `"}`) }

	row("nothing", sends(""))
	row("white space", sends(" \r\n\t"))
	row("null", sends("null"))
	row("a string", sends(`"tools/call"`))
	row("a number", sends("1"))
	row("a byte order mark", wraps("\ufeff", ""))
	row("a byte order mark of UTF-16", wraps("\xff\xfe", ""))
	row("UTF-16", func(w *wire) { w.body = "{\x00" + strings.Join(strings.Split(w.body[1:], ""), "\x00") + "\x00" })
	row("an overlong slash", inside("..\xc0\xaf"))
	row("an overlong NUL", inside("\xc0\x80"))
	row("an overlong quote", inside("\xe0\x80\xa2"))
	row("a surrogate in UTF-8", inside("\xed\xa0\x80"))
	row("beyond Unicode", inside("\xf4\x90\x80\x80"))
	row("a truncated sequence", inside("\xe2\x82"))
	row("a stray continuation", inside("\x80"))
	row("Latin-1", inside("caf\xe9"))
	row("bytes behind the object in no UTF-8", wraps("", "\xff"))
	row("a NUL in a string", inside("a\x00b"))
	row("a NUL behind the object", wraps("", "\x00"))
	row("a NUL before the object", wraps("\x00", ""))
	row("a line feed in a string", inside("a\nb"))
	row("a tab in a string", inside("a\tb"))
	row("a letter behind the object", wraps("", "x"))
	row("a brace behind the object", wraps("", "}"))
	row("a comma behind the object", wraps("", ","))
	row("two objects", func(w *wire) { w.body += w.body })
	row("two objects on two lines", func(w *wire) { w.body += "\n" + w.body })
	row("an object and a batch", func(w *wire) { w.body += "[" + w.body + "]" })
	row("a record separator", wraps("\x1e", "\n"))
	row("an event", wraps("data: ", "\n\n"))
	row("a script guard", wraps(")]}',\n", ""))
	row("a form feed as white space", wraps("\f", ""))
	row("a no-break space", wraps("\u00a0", ""))
	row("a line comment", wraps("// smuggled\n", ""))
	row("a comment inside", swap(`"id":1`, `/* "smuggled":1, */"id":1`))
	row("a hash comment", wraps("", "# smuggled"))
	row("single quotes", func(w *wire) { w.body = strings.ReplaceAll(w.body, `"`, `'`) })
	row("a key without quotes", swap(`"method":`, `method:`))
	row("a trailing comma", swap(`"arguments":{}`, `"arguments":{},`))
	row("a leading comma", swap(`{"jsonrpc"`, `{,"jsonrpc"`))
	row("an equals sign", swap(`"id":1`, `"id"=1`))
	row("NaN", arguments(`{"a":NaN}`))
	row("Infinity", arguments(`{"a":-Infinity}`))
	row("undefined", arguments(`undefined`))
	row("True", arguments(`{"a":True}`))
	row("hexadecimal", arguments(`{"a":0x10}`))
	row("a leading zero", arguments(`{"a":010}`))
	row("a leading plus", arguments(`{"a":+1}`))
	row("a bare point", arguments(`{"a":1.}`))
	row("an empty exponent", arguments(`{"a":1e}`))
	row("an escape of two digits", inside(`\x41`))
	row("an escape that is too short", inside(`\u00e`))
	row("an unknown escape", inside(`\q`))
	row("a string without end", arguments(`"`))
	row("cut in the middle", func(w *wire) { w.body = w.body[:len(w.body)/2] })
	row("cut before the last brace", func(w *wire) { w.body = w.body[:len(w.body)-1] })
	row("compressed", together(sends("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), func(w *wire) { w.set("Content-Encoding", "gzip") }))
	row("a form", sends("jsonrpc=2.0&method=tools/call&smuggled=1"))
	return all
}
