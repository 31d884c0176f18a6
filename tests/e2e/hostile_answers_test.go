//go:build e2e && !nonode

package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"bindery/shared/broker"
)

// echoTricks give the credential away in what a caller may read.
func echoTricks() map[string]trick {
	escaped := func(s string) string { return strings.Trim(fmt.Sprintf("%+q", s), `"`) }
	unicode := func(s string) (all string) {
		for _, b := range []byte(s) {
			all += fmt.Sprintf(`\u%04X`, b)
		}
		return all
	}
	return map[string]trick{
		"raw in JSON":        {do: echoes(jsonHead+toTheEnd, quoted), status: 200, body: "before " + masked + " after", masked: 1},
		"in escapes":         {do: echoes(jsonHead+toTheEnd, unicode), status: 200, body: "before " + masked + " after", masked: 1},
		"escaped by another": {do: echoes(jsonHead+toTheEnd, escaped), status: 200, body: "before " + masked + " after", masked: 1},
		"in base64":          {do: echoes(jsonHead+toTheEnd, func(s string) string { return base64.StdEncoding.EncodeToString([]byte("u:" + s)) }), status: 200, body: masked, masked: 1},
		"in base64url":       {do: echoes(jsonHead+toTheEnd, func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("ab" + s + "z")) }), status: 200, body: masked, masked: 1},
		"in hex":             {do: echoes(jsonHead+toTheEnd, func(s string) string { return hex.EncodeToString([]byte(s)) }), status: 200, body: masked, masked: 1},
		"percent-encoded":    {do: echoes(jsonHead+toTheEnd, url.QueryEscape), status: 200, body: masked, masked: 1},
		"in a plain error":   {do: echoes("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"+toTheEnd, func(s string) string { return s }), status: 400, body: masked, masked: 1},
		"in an event's name": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, sseHead+toTheEnd+"event: "+key+"\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		}, status: 200, body: "event: " + masked + "\ndata: {", masked: 1},
		"in an event's id": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, sseHead+toTheEnd+"id: "+key+"\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		}, status: 200, body: `"code":15028`, reason: broker.AnswerWouldLeak},
		"byte by byte": {do: dribbles(jsonHead, func(key string) string { return `{"jsonrpc":"2.0","id":1,"result":{"t":"` + quoted(key) + `"}}` }), status: 200, body: `{"t":"` + masked + `"}`, masked: 1},
		"in events byte by byte": {do: dribbles(sseHead, func(key string) string {
			return ": " + key + "\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"t\":\"" + quoted(key) + "\"}}\n\n"
		}), status: 200, body: ": " + masked + "\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"t\":\"" + masked + "\"}}\n\n", masked: 2},
		"over lines of an event": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, sseHead+toTheEnd+"data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"t\":\"x\"},\ndata: \"x\":\""+quoted(key)+"\"}\n\n")
		}, status: 200, body: masked, masked: 1},
		"in a header": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, jsonHead+"Allow: "+key+"\r\nX-Debug: "+key+"\r\nSet-Cookie: k="+key+"\r\n"+toTheEnd+`{"jsonrpc":"2.0","id":1,"result":{}}`)
		}, status: 200, body: `"result":{}`, masked: 1},
		"in the session id": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, jsonHead+"Mcp-Session-Id: s"+key+"\r\n"+toTheEnd+`{"jsonrpc":"2.0","id":1,"result":{}}`)
		}, status: 502, body: `"code":15028`, reason: broker.AnswerWouldLeak},
		"in the message's id": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, jsonHead+toTheEnd+`{"jsonrpc":"2.0","id":"`+quoted(key)+`","result":{}}`)
		}, status: 502, body: `"code":15028`, reason: broker.AnswerWouldLeak},
		"in the status line": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, "HTTP/1.1 2x0 "+key+"\r\n"+toTheEnd)
		}, status: 502, body: unreachable, reason: broker.UpstreamUnreached},
		"in a trailer": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, jsonHead+"Trailer: X-Key\r\n"+chunked+"24\r\n"+`{"jsonrpc":"2.0","id":1,"result":{}}`+"\r\n0\r\nX-Key: "+key+"\r\n\r\n")
		}, status: 200, body: `"result":{}`},
		"in a broken trailer": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, jsonHead+chunked+"24\r\n"+`{"jsonrpc":"2.0","id":1,"result":{}}`+"\r\n0\r\n"+key+"\r\n\r\n")
		}, status: 502, body: `"code":15027`, reason: broker.UpstreamBroke},
		"in early hints": {do: func(c net.Conn, key string) {
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: <"+key+">\r\n\r\n"+jsonHead+toTheEnd+`{"jsonrpc":"2.0","id":1,"result":{}}`)
		}, status: 200, body: `"result":{}`},
	}
}

// brokenTricks are answers that are none, or too much, or never end.
func brokenTricks() map[string]trick {
	late := func(do func(net.Conn, string), status int, body string) trick {
		return trick{do: do, status: status, body: body, reason: broker.UpstreamTimeout, quick: true}
	}
	whole := `{"jsonrpc":"2.0","id":1,"result":{}}`
	return map[string]trick{
		"hangs before headers":    late(hangs(""), 504, `"code":15040`),
		"hangs in its headers":    late(hangs("HTTP/1.1 200 OK\r\nContent-"), 504, `"code":15040`),
		"hangs in its body":       late(hangs(jsonHead+"Content-Length: 500\r\n\r\n{\"jsonrpc\""), 504, `"code":15040`),
		"hangs in its stream":     late(hangs(sseHead+toTheEnd+progress), 200, progress+"event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":15040"),
		"hangs after the answer":  {do: hangs(sseHead + toTheEnd + "data: " + whole + "\n\n"), status: 200, body: "data: " + whole + "\n\n", reason: broker.UpstreamTimeout, quick: true, whole: true},
		"breaks after the answer": {do: writes(sseHead, chunked+"2c\r\ndata: "+whole+"\n\n\r\nzz\r\n"), status: 200, body: "data: " + whole + "\n\n", reason: broker.UpstreamBroke, whole: true},
		"drips its headers":       late(drips("HTTP/1.1 200 OK\r\nX-Slow: "), 504, `"code":15040`),
		"drips its body":          late(drips(jsonHead+toTheEnd), 504, `"code":15040`),
		"drips its stream":        late(drips(sseHead+toTheEnd+progress+"data: "), 200, progress+"event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":15040"),
		"sends 50 MB":             {do: floods(jsonHead+toTheEnd, "x"), status: 502, body: `"code":15024`, reason: broker.UpstreamTooLarge},
		"sends an event of 50 MB": {do: floods(sseHead+toTheEnd+progress+"data: ", "x"), status: 200, body: progress + "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":15024", reason: broker.UpstreamTooLarge},
		"sends 50 MB of headers":  {do: floods("HTTP/1.1 200 OK\r\n", "X-Filler: xxxxxxxxxxxxxxx\r\n"), status: 502, body: unreachable, reason: broker.UpstreamUnreached},
		"sends hints without end": {do: floods("", "HTTP/1.1 103 Early Hints\r\n\r\n"), status: 502, body: unreachable, reason: broker.UpstreamUnreached},
		"closes at once":          {do: writes("", ""), status: 502, body: unreachable, reason: broker.UpstreamUnreached},
		"closes in its body":      {do: writes(jsonHead, "Content-Length: 500\r\n\r\n{\"jsonrpc\""), status: 502, body: `"code":15027`, reason: broker.UpstreamBroke},
		"closes in its stream":    {do: writes(sseHead, toTheEnd+progress+"data: {\"half"), status: 200, body: progress + "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":15027", reason: broker.UpstreamBroke},
		"breaks its chunks":       {do: writes(jsonHead, chunked+"5\r\n{\"a\":\r\nzz\r\nmore"), status: 502, body: `"code":15027`, reason: broker.UpstreamBroke},
		"breaks a stream's chunk": {do: writes(sseHead, chunked+"ffffffffffffffffff\r\n"), status: 200, body: `"code":15027`, reason: broker.UpstreamBroke},
		"speaks no HTTP":          {do: writes("SSH-2.0-OpenSSH_9.9\r\n", ""), status: 502, body: unreachable, reason: broker.UpstreamUnreached},
		"answers 401":             {do: writes("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=theirs\r\n", "Content-Length: 2\r\n\r\n{}"), status: 502, body: `"code":15025`, reason: broker.UpstreamAuth},
		"answers 403 in HTML":     {do: writes("HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n", "Content-Length: 2\r\n\r\nno"), status: 403, body: `"code":15030`, reason: broker.UpstreamDenied},
		"answers 500 in HTML":     {do: writes("HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\n", "Content-Length: 5\r\n\r\nstack"), status: 502, body: `"code":15026`, reason: broker.UpstreamFailed},
		"switches protocols":      {do: writes("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", whole), status: 502, body: unreachable, reason: broker.UpstreamUnreached},
		"answers 042":             {do: writes("HTTP/1.1 042 Nothing\r\nContent-Type: application/json\r\n", toTheEnd+whole), status: 502, body: `"code":15026`, reason: broker.UpstreamMalformed},
		"answers 999":             {do: writes("HTTP/1.1 999 Nothing\r\nContent-Type: application/json\r\n", toTheEnd+whole), status: 502, body: `"code":15026`, reason: broker.UpstreamMalformed},
		"sends gzip":              {do: writes(jsonHead+"Content-Encoding: gzip\r\n", toTheEnd+"\x1f\x8b\x08"), status: 502, body: `"code":15023`, reason: broker.UpstreamEncoded},
		"sends brotli in events":  {do: writes(sseHead+"Content-Encoding: identity, br\r\n", toTheEnd+"data: "), status: 502, body: `"code":15023`, reason: broker.UpstreamEncoded},
	}
}
