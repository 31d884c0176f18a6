//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"strings"
)

// with sets one header.
func with(name, value string) func(*wire) { return func(w *wire) { w.set(name, value) } }

// also adds a header beside those that are there.
func also(lines ...string) func(*wire) { return func(w *wire) { w.add(lines...) } }

// without drops a header.
func without(name string) func(*wire) { return func(w *wire) { w.drop(name) } }

// hostileHeaders announce another body than the one that comes.
func hostileHeaders() map[string]attack {
	all := map[string]attack{}
	for _, media := range []string{"text/plain", "text/html", "text/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
		"application/json; charset=utf-16", "application/json; charset=utf-7", "application/json; charset=iso-8859-1", "application/json;charset=\"utf-8\";charset=utf-16",
		"application/jsonl", "application/json-seq", "application/x-ndjson", "application/jsonp", "application/json5", "application/json-patch+json",
		"application/problem+json", "application/jsonrequest", "application/json, text/plain", "text/event-stream", "*/*", "json", "",
		"application/json; x=" + strings.Repeat("x", 300)} {
		all[fmt.Sprintf("media type %.40q", media)] = attack{spoil: with("Content-Type", media), status: 415, code: -32600}
	}
	all["no media type"] = attack{spoil: without("Content-Type"), status: 415, code: -32600}
	all["two media types"] = attack{spoil: also("Content-Type: text/plain"), status: 415, code: -32600}
	all["one media type twice"] = attack{spoil: also("Content-Type: application/json"), status: 415, code: -32600}
	all["one media type twice in another case"] = attack{spoil: also("content-type: application/json"), status: 415, code: -32600}

	version := func(name, value string, code int) {
		all["version "+name] = attack{spoil: with("MCP-Protocol-Version", value), status: 400, code: code}
	}
	version("of the transport that is not served", "2024-11-05", -32022)
	version("of the future", "2099-01-01", -32022)
	version("unknown between the eras", "2026-01-01", -32022)
	version("empty", "", -32022)
	version("a word", "latest", -32022)
	version("two in one", legacy+", "+modern, -32022)
	version("not ASCII", "2026\u201107\u201128", -32020)
	all["version twice"] = attack{spoil: also("MCP-Protocol-Version: " + legacy), status: 400, code: -32020}
	all["version twice in another case"] = attack{spoil: also("mcp-protocol-version: " + modern), status: 400, code: -32020}
	all["version modern and a legacy body"] = attack{with("MCP-Protocol-Version", modern), 400, -32602, 0, legacy, ""}
	all["version legacy and a modern body"] = attack{with("MCP-Protocol-Version", legacy), 400, -32020, 0, modern, ""}
	all["version missing and a modern body"] = attack{without("MCP-Protocol-Version"), 400, -32020, 0, modern, ""}
	all["version in the body only of the past"] = attack{swap(modern, legacy), 400, -32020, 0, modern, ""}
	all["version in the body a number"] = attack{swap(`"`+modern+`"`, "20260728"), 400, -32602, 0, modern, ""}
	all["version in the body missing"] = attack{swap(`"io.modelcontextprotocol/protocolVersion":"2026-07-28",`, ""), 400, -32602, 0, modern, ""}
	all["capabilities missing"] = attack{swap(`,"io.modelcontextprotocol/clientCapabilities":{}`, ""), 400, -32602, 0, modern, ""}
	all["capabilities in a list"] = attack{swap(`"io.modelcontextprotocol/clientCapabilities":{}`, `"io.modelcontextprotocol/clientCapabilities":[]`), 400, -32602, 0, modern, ""}
	return all
}

// hostileMirrors tell whoever reads headers something else than the body tells
// the upstream.
func hostileMirrors() map[string]attack {
	all := map[string]attack{}
	row := func(name string, spoil func(*wire)) { all[name] = attack{spoil, 400, -32020, 0, modern, ""} }
	both := func(name string, spoil func(*wire)) { all[name] = attack{spoil, 400, -32020, 0, "", ""} }

	row("method of another", with("Mcp-Method", "tools/list"))
	row("method in another case", with("Mcp-Method", "Tools/Call"))
	row("method percent-encoded", with("Mcp-Method", "tools%2Fcall"))
	row("method in base64", with("Mcp-Method", "=?base64?dG9vbHMvY2FsbA==?="))
	row("method empty", with("Mcp-Method", ""))
	row("method missing", without("Mcp-Method"))
	row("method with an underscore only", together(without("Mcp-Method"), also("Mcp_Method: tools/call")))
	row("method over two lines", with("Mcp-Method", "tools/\r\n call"))
	row("two methods in one", with("Mcp-Method", "tools/call, tools/list"))
	both("method twice", also("Mcp-Method: tools/list", "Mcp-Method: tools/call"))
	both("method twice alike", together(without("Mcp-Method"), also("Mcp-Method: tools/call", "Mcp-Method: tools/call")))
	both("method twice in another case", together(without("Mcp-Method"), also("Mcp-Method: tools/call", "mcp-METHOD: tools/list")))
	row("method behind a bare line feed", with("Mcp-Name", "whoami\nMcp-Method: tools/list"))
	row("name of another", with("Mcp-Name", "smuggled"))
	row("name in another case", with("Mcp-Name", "WhoAmI"))
	row("name percent-encoded", with("Mcp-Name", "who%61mi"))
	row("name in quotes", with("Mcp-Name", `"whoami"`))
	row("name over two lines", with("Mcp-Name", "who\r\n ami"))
	row("name empty", with("Mcp-Name", ""))
	row("name missing", without("Mcp-Name"))
	row("name with an underscore only", together(without("Mcp-Name"), also("Mcp_Name: whoami")))
	both("name twice", also("Mcp-Name: smuggled", "Mcp-Name: whoami"))
	both("name behind a bare line feed", with("Mcp-Param-A", "a\nMcp-Name: smuggled\nMcp-Name: whoami"))
	both("name not ASCII", with("Mcp-Name", "whoam\u0131"))
	for name, value := range map[string]string{"of another": "c211Z2dsZWQ=", "with padding too much": "d2hvYW1p==", "without an end": "d2hvYW1p?", "empty": "",
		"with white space": "d2hv YW1p", "of nothing valid": "***", "of the base64 form itself": "PT9iYXNlNjQ/ZDJodllXMXA/PQ=="} {
		row("name in base64 "+name, with("Mcp-Name", "=?base64?"+value+"?="))
	}
	row("name in base64 announced in another case", with("Mcp-Name", "=?BASE64?d2hvYW1p?="))
	row("name in base64 left open", with("Mcp-Name", "=?base64?d2hvYW1p"))
	named := func(form string) func(*wire) {
		return together(swap(`"name":"whoami"`, `"name":"echo?>"`), with("Mcp-Name", form))
	}
	row("name in base64 without its padding", together(swap("whoami", "echo"), with("Mcp-Name", "=?base64?ZWNobw?=")))
	row("name in base64 with stray bits", together(swap("whoami", "echo"), with("Mcp-Name", "=?base64?ZWNobx==?=")))
	row("name in the base64 of URLs", named("=?base64?ZWNobz8-?="))
	row("the base64 form as the name", together(swap("whoami", "=?base64?d2hvYW1p?="), with("Mcp-Name", "=?base64?d2hvYW1p?=")))

	both("method named in Connection", also("Connection: Mcp-Method"))
	both("name named in Connection beside close", also("Connection: close, mcp-name"))
	both("version named in a second Connection", also("Connection: close", "Connection: MCP-Protocol-Version"))
	both("a parameter twice", also("Mcp-Param-Region: eu", "Mcp-Param-Region: smuggled"))
	both("a parameter not ASCII", also("Mcp-Param-Region: \u00fc"))
	both("a parameter of 9000 bytes", also("Mcp-Param-Region: "+strings.Repeat("x", 9000)))
	both("parameters without end", func(w *wire) {
		for i := range 65 {
			w.add(fmt.Sprintf("Mcp-Param-%d: v", i))
		}
	})
	both("an unknown Mcp header twice", also("Mcp-Smuggled: 1", "Mcp-Smuggled: 2"))
	both("the session twice", also("Mcp-Session-Id: one", "Mcp-Session-Id: smuggled"))
	return all
}

// hostileTokens come without a token where one may be, or with more than one.
func hostileTokens() map[string]attack {
	all := map[string]attack{}
	none := func(name string, spoil func(*wire)) { all[name] = attack{spoil: spoil, status: 401, code: noTokenCode} }
	bad := func(name string, spoil func(*wire)) {
		all[name] = attack{spoil: spoil, status: 401, code: badTokenCode}
	}
	elsewhere := func(header func(token string) string) func(*wire) {
		return func(w *wire) { w.drop("Authorization"); w.add(header(w.token)) }
	}
	query := func(name string, drop bool) func(*wire) {
		return func(w *wire) {
			w.line = "POST " + w.path + "?" + name + "=" + w.token + " HTTP/1.1"
			if drop {
				w.drop("Authorization")
			}
		}
	}
	none("no token", without("Authorization"))
	none("in a cookie", elsewhere(func(token string) string { return "Cookie: access_token=" + token + "; Authorization=Bearer " + token }))
	none("for a proxy", elsewhere(func(token string) string { return "Proxy-Authorization: Bearer " + token }))
	none("with an underscore", elsewhere(func(token string) string { return "Authorization_: Bearer " + token }))
	none("in a header of its own", elsewhere(func(token string) string { return "X-Amzn-Remapped-Authorization: Bearer " + token }))
	none("in the body", func(w *wire) { w.drop("Authorization"); w.body = "access_token=" + w.token })
	none("by another scheme", elsewhere(func(token string) string { return "Authorization: Basic " + token }))
	none("without a scheme", elsewhere(func(token string) string { return "Authorization: " + token }))
	bad("in the query", query("access_token", true))
	bad("in the query beside the header", query("access_token", false))
	bad("in the query in another case", query("Access_Token", false))
	bad("in a query that does not parse", query("%zz", false))
	bad("twice", also("Authorization: Bearer smuggled"))
	bad("twice alike", func(w *wire) { w.add("Authorization: Bearer " + w.token) })
	bad("twice in another case", func(w *wire) { w.add("authorization: Bearer " + w.token) })
	bad("two in one header", elsewhere(func(token string) string { return "Authorization: Bearer " + token + ", Bearer " + token }))
	bad("behind another scheme", elsewhere(func(token string) string { return "Authorization: Basic eDp5, Bearer " + token }))
	bad("behind two spaces", elsewhere(func(token string) string { return "Authorization: Bearer  " + token }))
	bad("over two lines", elsewhere(func(token string) string { return "Authorization: Bearer " + token[:40] + "\r\n " + token[40:] }))
	bad("with padding", elsewhere(func(token string) string { return "Authorization: Bearer " + token + "=" }))
	bad("cut short", elsewhere(func(token string) string { return "Authorization: Bearer " + token[:len(token)-4] }))
	bad("of 17 KiB", elsewhere(func(token string) string { return "Authorization: Bearer " + token + strings.Repeat("x", 17<<10) }))
	return all
}
