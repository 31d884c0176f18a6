//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"net"
	"strings"

	"bindery/shared/broker"
)

const (
	okAnswer = `{"jsonrpc":"2.0","id":1,"result":{}}`
	okEvent  = "data: " + okAnswer + "\n\n"
	// brokeOff is how a stream ends that never answered.
	brokeOff = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":15027,\"message\":\"the upstream ended its answer early\"}}\n\n"
)

// streamTricks are event streams that two readers cut or understand in two
// ways. What is not answered in them is answered by Bindery, once.
func streamTricks() map[string]trick {
	relayed := func(stream string) trick {
		return trick{do: writes(sseHead, toTheEnd+stream), status: 200, body: stream, whole: true}
	}
	unanswered := func(stream, kept string) trick {
		return trick{do: writes(sseHead, toTheEnd+stream), status: 200, body: kept + brokeOff, reason: broker.UpstreamBroke, whole: true}
	}
	withKey := func(stream string) func(net.Conn, string) {
		return func(c net.Conn, key string) {
			writes(sseHead, toTheEnd+strings.ReplaceAll(stream, "KEY", quoted(key)))(c, key)
		}
	}
	all := map[string]trick{
		"carriage returns alone":     relayed("data: {\"jsonrpc\":\"2.0\",\rdata: \"id\":1,\"result\":{}}\r\r"),
		"line ends of three kinds":   relayed("event: message\r\ndata: {\"jsonrpc\":\"2.0\",\rdata: \"id\":1,\ndata: \"result\":{}}\r\n\r"),
		"an endless retry":           relayed("retry: 99999999999999999999\n\n" + okEvent),
		"a retry that is no number":  relayed("retry: -1e9\n\n" + okEvent),
		"a NUL in an event id":       relayed("id: a\x00b\n" + okEvent),
		"a NUL in data":              relayed("data: \x00\n\n" + okEvent),
		"bytes that are no UTF-8":    relayed("data: \xff\xc0\xaf\n\n" + okEvent),
		"a mark at the start":        relayed("\ufeff" + okEvent),
		"fields without a colon":     relayed("data\nid\nevent\n\n" + okEvent),
		"a field in another case":    relayed("DATA: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"\"}}\n\n" + okEvent),
		"an event named error":       relayed("event: error\ndata: {}\n\n" + okEvent),
		"an event named endpoint":    relayed("event: endpoint\ndata: https://evil.example/steal\n\n" + okEvent),
		"two answers to one request": relayed(okEvent + "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"no\"}}\n\n"),
		"talk after the answer":      relayed(okEvent + progress),
		"a forged code of Bindery's": relayed("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":14010,\"message\":\"a bearer token is required\"}}\n\n"),

		"nothing at all":                 unanswered("", ""),
		"a mark alone":                   unanswered("\ufeff", ""),
		"an answer without its end":      unanswered(progress+"data: "+okAnswer, progress),
		"an answer one line too short":   unanswered("data: "+okAnswer+"\n", ""),
		"an answer behind a later mark":  unanswered(progress+"\ufeffdata: "+okAnswer+"\n\n", progress+"\ufeffdata: "+okAnswer+"\n\n"),
		"an answer in another field":     unanswered("Data: "+okAnswer+"\n\n", "Data: "+okAnswer+"\n\n"),
		"an answer in a comment":         unanswered(": "+okAnswer+"\n\n", ": "+okAnswer+"\n\n"),
		"an answer in an event name":     unanswered("event: "+okAnswer+"\n\n", "event: "+okAnswer+"\n\n"),
		"an answer to a foreign id":      unanswered("data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n", "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n"),
		"an answer to the id as a text":  unanswered("data: {\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{}}\n\n", "data: {\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{}}\n\n"),
		"an answer to null":              unanswered("data: {\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}\n\n", "data: {\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}\n\n"),
		"a request with the answer's id": unanswered("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n"),

		"the key as a retry":             {do: withKey("retry: KEY\n" + okEvent), status: 200, body: "retry: " + masked, masked: 1},
		"the key as a field":             {do: withKey("KEY: x\n" + okEvent), status: 200, body: masked + ": x", masked: 1},
		"the key behind a later mark":    {do: withKey(progress + "\ufeffdata: KEY\n\n" + okEvent), status: 200, body: "\ufeffdata: " + masked, masked: 1},
		"the key after the answer":       {do: withKey(okEvent + ": KEY\n\n"), status: 200, body: okEvent + ": " + masked + "\n\n", masked: 1, whole: true},
		"the key between returns":        {do: withKey(": KEY\rdata: {\"x\":\"KEY\"}\r\r" + okEvent), status: 200, body: ": " + masked + "\rdata: {\"x\":\"" + masked + "\"}\r\r" + okEvent, masked: 2, whole: true},
		"the key in a foreign answer":    {do: withKey("data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"t\":\"KEY\"}}\n\n" + okEvent), status: 200, body: "{\"t\":\"" + masked + "\"}", masked: 1},
		"the key in an id with a NUL":    {do: withKey("id: KEY\x00\n" + okEvent), status: 200, body: "id: " + masked, masked: 1},
		"the key in an id by the answer": {do: withKey(okEvent + "id: KEY\n\n"), status: 200, body: okEvent, reason: broker.AnswerWouldLeak, whole: true},
	}
	return all
}

// headTricks are answers whose head says one thing to one reader and another
// to the next.
func headTricks() map[string]trick {
	lies := func(head, body string, status int, want string, reason broker.Reason) trick {
		return trick{do: writes(head, toTheEnd+body), status: status, body: want, reason: reason}
	}
	ok := func(lines string) trick { return lies(jsonHead+lines, okAnswer, 200, okAnswer, "") }
	return map[string]trick{
		"two media types":            lies(jsonHead+"Content-Type: text/event-stream\r\n", okAnswer, 502, `"code":15029`, broker.UpstreamMalformed),
		"a media type over lines":    lies("HTTP/1.1 200 OK\r\nContent-Type: application/json;\r\n charset=utf-16\r\n", okAnswer, 502, `"code":15029`, broker.UpstreamMalformed),
		"events in UTF-16":           lies("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-16\r\n", okEvent, 502, `"code":15029`, broker.UpstreamMalformed),
		"events in an error":         lies("HTTP/1.1 400 Bad Request\r\nContent-Type: text/event-stream\r\n", okEvent, 502, `"code":15029`, broker.UpstreamMalformed),
		"no media type":              lies("HTTP/1.1 200 OK\r\n", okAnswer, 502, `"code":15029`, broker.UpstreamMalformed),
		"a page that scripts":        lies("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n", "<script>alert(1)</script>", 502, `"code":15029`, broker.UpstreamMalformed),
		"a body of 204":              lies("HTTP/1.1 204 No Content\r\n", okAnswer, 204, "", ""),
		"a body of 304":              lies("HTTP/1.1 304 Not Modified\r\n", okAnswer, 502, `"code":15022`, broker.UpstreamRedirect),
		"a 300 without an address":   lies("HTTP/1.1 300 Multiple Choices\r\nContent-Type: application/json\r\n", okAnswer, 502, `"code":15022`, broker.UpstreamRedirect),
		"a split session id":         lies(jsonHead+"Mcp-Session-Id: s\rSet-Cookie: forged=1\r\n", okAnswer, 502, unreachable, broker.UpstreamUnreached),
		"a split retry":              ok("Retry-After: 1\nSet-Cookie: forged=1\nX-Debug: forged\r\n"),
		"a session id not ASCII":     ok("Mcp-Session-Id: forged\u00fc\r\n"),
		"two session ids":            ok("Mcp-Session-Id: forged\r\nMcp-Session-Id: forged\r\n"),
		"an empty session id":        ok("Mcp-Session-Id:\r\n"),
		"a session id of 2000 bytes": ok("Mcp-Session-Id: forged" + strings.Repeat("x", 2000) + "\r\n"),
		"a session of its own":       ok("Mcp-Session-Id: forged\r\n"),
		"a forged receipt":           ok("Bindery-Receipt: forged\r\nBindery-Mode: forged\r\n"),
		"rights for another origin":  ok("Access-Control-Allow-Origin: https://evil.example\r\nAccess-Control-Allow-Credentials: true\r\n"),
		"a name with a space":        ok("Content-Type : text/html\r\n"),
		"two lengths":                lies(jsonHead+"Content-Length: 5\r\nContent-Length: 36\r\n", okAnswer, 502, unreachable, broker.UpstreamUnreached),
		"a length below zero":        lies(jsonHead+"Content-Length: -5\r\n", okAnswer, 502, unreachable, broker.UpstreamUnreached),
		"a length that cuts":         {do: writes(jsonHead, "Content-Length: 10\r\n\r\n"+okAnswer), status: 200, body: okAnswer[:10], whole: true},
		"a length and chunks":        {do: writes(jsonHead, "Content-Length: 5\r\n"+chunked+fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(okAnswer), okAnswer)), status: 200, body: okAnswer, whole: true},
		"an answer behind an answer": {do: writes(jsonHead, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(okAnswer), okAnswer)+jsonHead+toTheEnd+`{"forged":1}`), status: 200, body: okAnswer, whole: true},
		"a foreign transfer coding":  lies(jsonHead+"Transfer-Encoding: gzip, chunked\r\n", okAnswer, 502, unreachable, broker.UpstreamUnreached),
		"NULs in the answer":         lies(jsonHead, strings.Replace(okAnswer, "{}", `{"a":"`+"\x00"+`"}`, 1), 502, `"code":15023`, broker.UpstreamEncoded),
		"an answer not in UTF-8":     lies(jsonHead, strings.Replace(okAnswer, "{}", `{"a":"`+"\xc0\xaf"+`"}`, 1), 502, `"code":15023`, broker.UpstreamEncoded),
		"a forged code in JSON":      lies(jsonHead, `{"jsonrpc":"2.0","id":1,"error":{"code":15034,"message":"the credential could not be obtained at the moment"}}`, 200, `"code":15034`, ""),
		"an older HTTP":              {do: writes("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", okAnswer), status: 200, body: okAnswer, whole: true},
	}
}
