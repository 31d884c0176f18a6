package handler

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/brokertest/samples"
	"bindery/shared/lambdahttp"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/proxy"

// TestEvents runs each sample event through the real handler, as Lambda would,
// and holds the answer against its golden file. Receipts are replaced.
func TestEvents(t *testing.T) {
	samples.Run(t, eventFolder, *update, func(t *testing.T, file string) []byte {
		f := eventFixture(t)
		f.govern(t, noUrgentIssues+`@id("four-eyes") @demand("approval") forbid (principal, action == Action::"call_tool", resource)
			when { context.tool == "merge" };`)
		return invoke(t, f, file)
	})
}

// eventFixture has a server with a shared credential, and one with everybody's
// own, to which nobody has consented.
func eventFixture(t *testing.T) *fixture {
	c := newConsenting(t, echoMethod())
	c.verifier = c.issued
	return c.fixture
}

// invoke gives the answer to one event as indented JSON.
func invoke(t *testing.T, f *fixture, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var event events.APIGatewayProxyRequest
	tokens := strings.NewReplacer("Bearer TOKEN", "Bearer "+f.token(t), "Bearer FILES-TOKEN", "Bearer "+f.tokenFor(t, filesRoute))
	if err := json.Unmarshal([]byte(tokens.Replace(string(text))), &event); err != nil {
		t.Fatal(err)
	}
	answer, err := lambdahttp.BufferedHandler(f, slog.New(slog.DiscardHandler))(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if receipt := http.Header(answer.MultiValueHeaders).Get("Bindery-Receipt"); receipt != "" {
		out = []byte(strings.ReplaceAll(string(out), receipt, "RECEIPT"))
	}
	if session := http.Header(answer.MultiValueHeaders).Get("Mcp-Session-Id"); session != "" {
		out = []byte(strings.ReplaceAll(string(out), session, "SESSION"))
	}
	for pattern, stands := range map[string]string{linkPattern.String(): publicURL + "/connect/TICKET", `brk1\.[A-Za-z0-9_-]{40,}`: "brk1.STATE"} {
		out = regexp.MustCompile(pattern).ReplaceAll(out, []byte(stands))
	}
	return append([]byte(strings.ReplaceAll(string(out), f.issuer.Issuer(), "https://login.example.com")), '\n')
}

// echoMethod is an upstream that answers requests with a result, and
// notifications with 202.
func echoMethod() transport {
	return func(r *http.Request) (*http.Response, error) {
		switch r.Method {
		case http.MethodGet:
			return respond(http.StatusOK, "text/event-stream", "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")(r)
		case http.MethodDelete:
			return respond(http.StatusNoContent, "", "")(r)
		}
		body, _ := io.ReadAll(r.Body)
		var message struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if err := json.Unmarshal(body, &message); err != nil {
			return nil, err
		}
		if message.ID == nil {
			return respond(http.StatusAccepted, "", "")(r)
		}
		return respond(http.StatusOK, "application/json",
			`{"jsonrpc":"2.0","id":`+string(message.ID)+`,"result":{"method":"`+message.Method+`","token":"`+r.Header.Get("Authorization")+`"}}`)(r)
	}
}
