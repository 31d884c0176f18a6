//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"strings"
)

// inChunks sends the body in two chunks of the right form.
func inChunks(w *wire) {
	half := len(w.body) / 2
	asChunks(fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, w.body[:half], len(w.body)-half, w.body[half:]))(w)
}

// asChunks sends what is said to be chunks.
func asChunks(text string) func(*wire) {
	return func(w *wire) {
		w.unsized, w.body = true, text
		w.add("Transfer-Encoding: chunked")
	}
}

// chunkOf makes a body that begins with the whole valid call as one chunk,
// with something between its size and its line end.
func chunkOf(size string, end string) func(*wire) {
	return func(w *wire) {
		if size == "" {
			size = fmt.Sprintf("%x", len(w.body))
		}
		asChunks(size + "\r\n" + w.body + end)(w)
		w.cut = true
	}
}

// sized says a length that may be wrong.
func sized(lines ...string) func(*wire) {
	return func(w *wire) { w.unsized = true; w.add(lines...) }
}

// hostileFraming are requests that two HTTP parsers cut in two ways. What
// breaks in the head never gets to the handler; what breaks in the body does.
func hostileFraming() map[string]attack {
	all := map[string]attack{}
	http := func(name string, status int, spoil func(*wire)) { all[name] = attack{spoil: spoil, status: status} }
	body := func(name string, spoil func(*wire)) { all[name] = attack{spoil: spoil, status: 400, code: 14000} }
	length := func(more int) func(*wire) {
		return func(w *wire) { w.cut = true; sized(fmt.Sprintf("Content-Length: %d", len(w.body)+more))(w) }
	}
	body("a body shorter than its length", length(1))
	body("a body much shorter than its length", length(4<<20))
	all["a body longer than its length"] = attack{spoil: length(-1), status: 400, code: -32700}
	all["a body that turns hostile at its last byte"] = attack{spoil: func(w *wire) { w.body, w.slow = w.body[:len(w.body)-1]+"]", true }, status: 400, code: -32700}
	all["no length and no chunks"] = attack{spoil: sized(), status: 400, code: -32700}
	http("a negative length", 400, sized("Content-Length: -1"))
	http("a length with a sign", 400, sized("Content-Length: +10"))
	http("a length in hexadecimal", 400, sized("Content-Length: 0x10"))
	http("a length that overflows", 400, sized("Content-Length: 18446744073709551617"))
	http("two lengths", 400, sized("Content-Length: 10", "Content-Length: 11"))
	http("two lengths in one", 400, sized("Content-Length: 10, 11"))
	http("an empty length", 400, sized("Content-Length: "))

	body("a chunk size that is no number", chunkOf("zz", "\r\n0\r\n\r\n"))
	body("a negative chunk size", chunkOf("-1", "\r\n0\r\n\r\n"))
	body("a chunk size of 17 digits", chunkOf("10000000000000000", "\r\n0\r\n\r\n"))
	body("a chunk size in C", chunkOf("0x10", "\r\n0\r\n\r\n"))
	body("an empty chunk size", chunkOf(";", "\r\n0\r\n\r\n"))
	body("a chunk shorter than its size", chunkOf("fff", "\r\n0\r\n\r\n"))
	body("a chunk longer than its size", chunkOf("5", "\r\n0\r\n\r\n"))
	body("no last chunk", chunkOf("", "\r\n"))
	body("no end of a chunk", chunkOf("", "0\r\n\r\n"))
	body("a trailer that is none", chunkOf("", "\r\n0\r\nsmuggled\r\n\r\n"))
	body("a trailer without end", chunkOf("", "\r\n0\r\nX: smuggled"))
	body("a chunk extension without end", chunkOf("5;"+strings.Repeat("x", 5000), "\r\n0\r\n\r\n"))
	for name, coding := range map[string]string{"twice chunked": "chunked, chunked", "gzip and chunked": "gzip, chunked", "identity": "identity", "xchunked": "xchunked",
		"chunked and identity": "chunked, identity", "chunked in quotes": `"chunked"`, "chunked behind a vertical tab": "\x0bchunked"} {
		status := 501
		if strings.HasPrefix(coding, "\x0b") {
			status = 400
		}
		http("transfer coding "+name, status, also("Transfer-Encoding: "+coding))
	}
	http("two transfer codings", 501, also("Transfer-Encoding: chunked", "Transfer-Encoding: identity"))

	http("a space behind a header's name", 400, also("Mcp-Method : tools/list"))
	http("a space in a header's name", 400, also("Mcp Method: tools/list"))
	http("a header without a name", 400, also(": smuggled"))
	http("a header without a colon", 400, also("smuggled"))
	http("a header's name not ASCII", 400, also("Mcp-M\u00e9thod: tools/list"))
	http("a NUL in a header's name", 400, also("Mcp-Method\x00: tools/list"))
	http("a NUL in a value", 400, also("X-Smuggled: a\x00b"))
	http("a carriage return in a value", 400, also("X-Smuggled: a\rMcp-Method: tools/list"))
	http("a vertical tab in a media type", 400, with("Content-Type", "application/json\x0b"))
	http("a continuation before any header", 400, func(w *wire) { w.line += "\r\n X: smuggled" })
	http("two megabytes of headers", 431, func(w *wire) {
		for i := range 256 {
			w.add(fmt.Sprintf("X-Filler-%d: %s", i, strings.Repeat("x", 8<<10)))
		}
	})
	http("no host", 400, without("Host"))
	http("two hosts", 400, also("Host: smuggled.example"))
	http("a host with a path", 400, with("Host", "bindery.example/smuggled"))
	http("HTTP 3", 505, func(w *wire) { w.line = "POST " + w.path + " HTTP/3.0" })
	http("HTTP 0.9", 400, func(w *wire) { w.line = "POST " + w.path })
	http("a version that is none", 400, func(w *wire) { w.line = "POST " + w.path + " HTTP/1.x" })
	http("a target with a space", 400, func(w *wire) { w.line = "POST " + w.path + " smuggled HTTP/1.1" })
	http("a target with a NUL", 400, func(w *wire) { w.line = "POST " + w.path + "\x00 HTTP/1.1" })
	http("a target with a broken escape", 400, func(w *wire) { w.line = "POST " + w.path + "%zz HTTP/1.1" })
	http("a method that is none", 400, func(w *wire) { w.line = "PO(ST " + w.path + " HTTP/1.1" })
	return all
}

// hostileRoutes ask for something that is no address, or by no method.
func hostileRoutes() map[string]attack {
	all := map[string]attack{}
	path := func(name string, change func(path string) string) {
		all["path "+name] = attack{status: 404, code: notFoundCode, spoil: func(w *wire) { w.line = "POST " + change(w.path) + " HTTP/1.1" }}
	}
	swapped := func(old, with string) func(string) string {
		return func(path string) string { return strings.Replace(path, old, with, 1) }
	}
	behind := func(more string) func(string) string { return func(path string) string { return path + more } }
	path("with two slashes inside", swapped("/notes", "//notes"))
	path("with two slashes in front", swapped("/mcp/", "//mcp/"))
	path("with two slashes behind mcp", swapped("/mcp/", "/mcp//"))
	path("with a slash behind", behind("/"))
	path("with more behind", behind("/smuggled"))
	path("with an encoded slash behind", behind("%2f"))
	path("with an encoded letter", swapped("/notes", "/no%74es"))
	path("with an encoded slash inside", swapped("/notes", "%2Fnotes"))
	path("with a dot behind", behind("/."))
	path("with a step up", swapped("/notes", "/../notes"))
	path("with an encoded step up", swapped("/notes", "/%2e%2e/notes"))
	path("with a step to where it is", swapped("/notes", "/./notes"))
	path("with a step up at the end", behind("/../notes"))
	path("with a backslash", swapped("/notes", `\notes`))
	path("in upper case", swapped("/notes", "/NOTES"))
	path("in upper case at the front", swapped("/mcp/", "/MCP/"))
	path("of the environment in upper case", strings.ToUpper)
	path("of another environment", swapped("/mcp/", "/mcp/other-"))
	path("without an environment", func(string) string { return "/mcp/notes" })
	path("without a server", func(path string) string { return strings.TrimSuffix(path, "notes") })
	path("with a parameter", behind(";smuggled=1"))
	path("with an encoded NUL", behind("%00"))
	path("with an encoded question mark", behind("%3fsmuggled"))
	path("with a fragment", behind("#smuggled"))
	path("with an encoded space", behind("%20"))
	path("encoded twice", swapped("/notes", "%252fnotes"))
	path("with an overlong slash", swapped("/notes", "%c0%afnotes"))
	path("with a letter of another script", swapped("notes", "n%D0%BEtes"))
	path("of nothing", func(string) string { return "/" })
	for _, method := range []string{"PUT", "PATCH", "TRACE", "PROPFIND", "QUERY", "post", "POST2", strings.Repeat("X", 300)} {
		all["method "+method[:min(len(method), 10)]] = attack{status: 405, code: 14050, spoil: bodiless(method)}
	}
	return all
}

// bodiless asks by another method, with nothing behind the head.
func bodiless(method string) func(*wire) {
	return func(w *wire) { w.line, w.body, w.unsized = method+" "+w.path+" HTTP/1.1", "", true }
}
