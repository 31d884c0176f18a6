package checks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func callChecks() []Check {
	return []Check{
		{"challenge-scope", "a token whose scopes are too few gets 403 with the challenge under its own name",
			"Look at the gateway response ACCESS_DENIED: its header comes from context.authorizer.challenge.", scopes},
		{"authorizer-path", "what API Gateway remembers about a token at one server is not used at another",
			"The authorizer's identity sources must be the Authorization header and context.path.", otherPath},
		{"call", "a call goes through to the server and carries a receipt, and its intent and outcome are recorded",
			"Look the receipt up in the admin API; docs/errors.md says what Bindery-Error means. Without an outcome: was the function ended early?", callThrough},
		{"body-bytes", "API Gateway hands the bytes of a body over as they were sent",
			"BinaryMediaTypes must be */* and deployed: text mode repairs bytes before the strict parser sees them.", bodyBytes},
		{"body-size", "a body over 4 MiB, over what Lambda takes, and over what API Gateway takes is answered 413",
			"Tell what size is answered otherwise: the gateway response REQUEST_TOO_LARGE may not cover it.", bodySize},
		{"stream", "the first bytes of a lasting stream arrive while it goes on",
			"responseTransferMode of the deployed method must be STREAM, and its URI end with /response-streaming-invocations.", stream},
	}
}

const (
	modern = "2026-07-28"
	legacy = "2025-11-25"
	list   = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientCapabilities":{}}}}`
)

// token gives the operator's token, or why there is none.
func (s *Subject) token() (string, error) {
	if s.Token == nil || s.Server == "" {
		return "", leftOut("needs SERVER, a registered server, and TOKEN_COMMAND, which prints a token for it")
	}
	return s.Token()
}

func (s *Subject) list(token, server string, body []byte) request {
	return request{method: http.MethodPost, url: s.address(server), token: token, body: body,
		header: []string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/list"}}
}

func scopes(ctx context.Context, s *Subject) (string, error) {
	if err := s.authorized(); err != nil {
		return "", err
	}
	if s.NarrowToken == nil || s.Server == "" {
		return "", leftOut("needs SERVER and NARROW_TOKEN_COMMAND, which prints a token for it whose scopes are too few")
	}
	token, err := s.NarrowToken()
	if err != nil {
		return "", err
	}
	a, err := s.send(ctx, s.list(token, s.Server, []byte(list)))
	if err != nil {
		return "", err
	}
	if err := errors.Join(a.is(http.StatusForbidden, 14031), a.challenges()); err != nil {
		return "", err
	}
	if given := a.header.Get("WWW-Authenticate"); !strings.Contains(given, "insufficient_scope") || !strings.Contains(given, "resource_metadata=") {
		return "", errors.New("the challenge names no scopes, or no metadata")
	}
	return "403 with the whole challenge", nil
}

// otherPath shows a token at a server that it is not for, after it was accepted
// at its own. The authorizer or the proxy refuses it; a remembered answer would
// be API Gateway's, with the code for scopes.
func otherPath(ctx context.Context, s *Subject) (string, error) {
	if err := s.authorized(); err != nil {
		return "", err
	}
	token, err := s.token()
	if err != nil {
		return "", err
	}
	if a, err := s.send(ctx, s.list(token, s.Server, []byte(list))); err != nil || a.status == http.StatusUnauthorized {
		return "", errors.Join(err, errors.New("the token is not accepted at its own server"))
	}
	const other = "smoke-is-no-server"
	a, err := s.send(ctx, s.list(token, other, []byte(list)))
	if err != nil {
		return "", err
	}
	if a.is(http.StatusUnauthorized, 14010) != nil && a.is(http.StatusUnauthorized, 14011) != nil && a.is(http.StatusForbidden, 14030) != nil {
		return "", fmt.Errorf("HTTP %d with code %d: the answer for another path was used, or the token is good for everything", a.status, a.code)
	}
	return fmt.Sprintf("%d at another server", a.status), nil
}

const (
	recordAttempts = 20
	recordPause    = 500 * time.Millisecond
)

func callThrough(ctx context.Context, s *Subject) (string, error) {
	token, err := s.token()
	if err != nil {
		return "", err
	}
	a, err := s.send(ctx, s.list(token, s.Server, []byte(list)))
	if err != nil {
		return "", err
	}
	receipt, fault := a.header.Get("Bindery-Receipt"), a.header.Get("Bindery-Error")
	switch {
	case fault != "":
		return "", fmt.Errorf("HTTP %d, Bindery-Error %q, receipt %q", a.status, fault, receipt)
	case receipt == "":
		return "", fmt.Errorf("HTTP %d without a receipt", a.status)
	}
	if err := s.recorded(ctx, receipt); err != nil {
		return "", fmt.Errorf("HTTP %d, receipt %s: %w", a.status, receipt, err)
	}
	return fmt.Sprintf("HTTP %d after %d ms, receipt %s, intent and outcome recorded", a.status, a.took.Milliseconds(), receipt), nil
}

// recorded waits for intent and outcome: the answer may arrive before the latter.
func (s *Subject) recorded(ctx context.Context, receipt string) error {
	for range recordAttempts {
		out, err := s.Tables.Query(ctx, &dynamodb.QueryInput{TableName: aws.String(s.table("audit")), ConsistentRead: aws.Bool(true),
			KeyConditionExpression: aws.String("pk = :receipt"), ProjectionExpression: aws.String("sk"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":receipt": &types.AttributeValueMemberS{Value: receipt}}})
		if err != nil {
			return asked("read the audit table", err)
		}
		phases := map[string]bool{}
		for _, item := range out.Items {
			if phase, ok := item["sk"].(*types.AttributeValueMemberS); ok {
				phases[phase.Value] = true
			}
		}
		if phases["intent"] && phases["outcome"] {
			return nil
		}
		if err := s.pause(ctx, recordPause); err != nil {
			return err
		}
	}
	return errors.New("intent or outcome is missing in the audit table")
}

func bodyBytes(ctx context.Context, s *Subject) (string, error) {
	token, err := s.token()
	if err != nil {
		return "", err
	}
	broken := strings.Replace(list, `"id":1`, "\"id\":\"\xff\"", 1)
	a, err := s.send(ctx, s.list(token, s.Server, []byte(broken)))
	if err != nil {
		return "", err
	}
	if err := a.is(http.StatusBadRequest, -32700); err != nil {
		return "", fmt.Errorf("a body that is not UTF-8: %w", err)
	}
	return "a byte that is not UTF-8 reaches the parser", nil
}

func bodySize(ctx context.Context, s *Subject) (string, error) {
	token, err := s.token()
	if err != nil {
		return "", err
	}
	var wrong []string
	for _, size := range []int{4<<20 + 1, 5 << 20, 10<<20 + 1} {
		a, err := s.send(ctx, s.list(token, s.Server, bytes.Repeat([]byte(" "), size)))
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%d bytes: %v", size, err))
		} else if err := a.is(http.StatusRequestEntityTooLarge, 14130); err != nil {
			wrong = append(wrong, fmt.Sprintf("%d bytes: %v", size, err))
		}
	}
	return "413 at every size", together(wrong)
}

// lasting is how long a stream must go on after its first bytes. Through an
// integration that is buffered, they arrive when it has ended.
const (
	lasting    = 2 * time.Second
	streamTime = 60 * time.Second
)

func stream(ctx context.Context, s *Subject) (string, error) {
	token, err := s.token()
	if err != nil {
		return "", err
	}
	session, end := s.session(ctx, token)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	defer cancel()
	begun := time.Now()
	response, err := s.open(ctx, request{method: http.MethodGet, url: s.address(s.Server), token: token,
		header: append([]string{"Accept", "text/event-stream", "MCP-Protocol-Version", legacy}, session...)})
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return "", leftOut(fmt.Sprintf("SERVER keeps no stream for a GET (HTTP %d): name one that does", response.StatusCode))
	}
	piece := make([]byte, 4096)
	if n, _ := response.Body.Read(piece); n == 0 { // an end that comes with the last bytes is met below
		return "", errors.New("the stream ended without a byte")
	}
	first := time.Since(begun)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, response.Body) // until it ends, or is closed below
		close(ended)
	}()
	select {
	case <-ended:
		return "", fmt.Errorf("everything arrived at once, after %d ms: the answer is buffered, or the stream is a short one", first.Milliseconds())
	case <-time.After(lasting):
		return fmt.Sprintf("first bytes after %d ms, and the stream goes on", first.Milliseconds()), nil
	}
}

// session begins one for a server that wants it, and gives the header that names
// it and what ends it.
func (s *Subject) session(ctx context.Context, token string) (header []string, end func()) {
	a, err := s.send(ctx, request{method: http.MethodPost, url: s.address(s.Server), token: token, header: []string{"MCP-Protocol-Version", legacy},
		body: []byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacy + `","capabilities":{},"clientInfo":{"name":"smoke","version":"1"}}}`)})
	if err != nil || a.header.Get("Mcp-Session-Id") == "" {
		return nil, func() {}
	}
	header = []string{"Mcp-Session-Id", a.header.Get("Mcp-Session-Id")}
	return header, func() {
		_, _ = s.send(context.WithoutCancel(ctx), request{method: http.MethodDelete, url: s.address(s.Server), token: token,
			header: append([]string{"MCP-Protocol-Version", legacy}, header...)}) // it ends by itself otherwise
	}
}
