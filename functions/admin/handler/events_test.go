package handler

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/brokertest/samples"
	"bindery/shared/identity"
	"bindery/shared/lambdahttp"
	"bindery/shared/memory"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/admin"

// TestEvents runs each sample event through the real handler, as Lambda would,
// and holds the answer against its golden file. Receipts are replaced.
func TestEvents(t *testing.T) {
	samples.Run(t, eventFolder, *update, func(t *testing.T, file string) []byte {
		f := newFixture(t)
		f.verifier = published(t)
		at := time.Now() // it stands still: nothing takes time in a golden answer
		f.now = func() time.Time { return at }
		f.seed(t)
		return invoke(t, f, file)
	})
}

// publishing knows people as tokens does, and says of itself what a real
// verifier says.
type publishing struct {
	tokens
	real *identity.Verifier
}

func (p publishing) AdminMetadata() []byte           { return p.real.AdminMetadata() }
func (p publishing) AdminChallenge(err error) string { return p.real.AdminChallenge(err) }

func published(t *testing.T) Verifier {
	t.Helper()
	document, err := identity.Parse([]byte(`{"issuers":[{"name":"corp","issuer":"https://login.example.com","kind":"user","environments":["prod"],`+
		`"algorithms":["RS256"],"scopes":["mcp"]}]}`), false)
	if err != nil {
		t.Fatal(err)
	}
	v, err := identity.New(identity.Config{Document: document, Environment: "prod", PublicURL: "https://mcp.example.com",
		HTTP: http.DefaultClient, KeySets: memory.New(time.Now), Sealer: struct{ broker.Sealer }{}, Now: time.Now}) // it is asked about no token
	if err != nil {
		t.Fatal(err)
	}
	return publishing{real: v}
}

// invoke gives the answer to one event as indented JSON.
func invoke(t *testing.T, f *fixture, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	people := strings.NewReplacer("Bearer TOKEN", "Bearer admin", "Bearer AUDITOR", "Bearer auditor", "Bearer SUPER", "Bearer root", "Bearer NOBODY", "Bearer nobody")
	var event events.APIGatewayProxyRequest
	if err := json.Unmarshal([]byte(people.Replace(string(text))), &event); err != nil {
		t.Fatal(err)
	}
	answer, err := lambdahttp.BufferedHandler(f, slog.New(slog.DiscardHandler))(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(event.Path, "/openapi.json") {
		answer.Body = head(t, answer.Body)
	}
	out, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if receipt := http.Header(answer.MultiValueHeaders).Get("Bindery-Receipt"); receipt != "" {
		out = []byte(strings.ReplaceAll(string(out), receipt, "RECEIPT"))
	}
	out = regexp.MustCompile(`(\\"receipt\\":\\")[0-9A-Z]{26}`).ReplaceAll(out, []byte("${1}RECEIPT")) // of the steps of a document
	today, before := time.Now().UTC().Format(time.DateOnly), time.Now().UTC().Add(-time.Hour).Format(time.DateOnly)
	out = regexp.MustCompile("("+today+"|"+before+")T[0-9:.]+Z").ReplaceAll(out, []byte("NOW"))
	return append(out, '\n')
}

// head leaves of the document what does not change with each operation.
func head(t *testing.T, document string) string {
	t.Helper()
	var d struct {
		OpenAPI string         `json:"openapi"`
		Info    map[string]any `json:"info"`
	}
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
