package handler

import (
	"encoding/json"
	"flag"
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

const eventFolder = "../../../events/callback"

// TestEvents runs each sample event through the real handler, as Lambda would,
// and holds the answer against its golden file. What differs from run to run is
// replaced.
func TestEvents(t *testing.T) {
	samples.Run(t, eventFolder, *update, invoke)
}

// invoke gives the answer to one event as indented JSON. Alice is logged in and
// has a link; the event's words stand for what is hers.
func invoke(t *testing.T, file string) []byte {
	t.Helper()
	f := newFixture(t)
	b := f.browser()
	link, keyed := f.link("acme", "alice"), f.link("keyed", "alice")
	b.logIn(link, "alice")
	ticket := link[strings.LastIndex(link, "/")+1:]
	f.browser().consent("other", "alice")
	text, err := os.ReadFile(file)
	f.must(err)
	words := strings.NewReplacer("TICKET", ticket, "KEYED", keyed[strings.LastIndex(keyed, "/")+1:], "SESSION", sessionCookie+"="+b.cookies[sessionCookie],
		"CSRF", b.get(link).yes().Get("csrf"), "TOKEN", f.token("alice", ownAudience))
	var event events.APIGatewayProxyRequest
	f.must(json.Unmarshal([]byte(words.Replace(string(text))), &event))
	answer, err := lambdahttp.BufferedHandler(f, slog.New(slog.DiscardHandler))(t.Context(), event)
	f.must(err)
	out, err := json.MarshalIndent(answer, "", "  ")
	f.must(err)
	return append([]byte(plain(f, string(out), http.Header(answer.MultiValueHeaders).Get("Bindery-Receipt"))), '\n')
}

// plain replaces what differs from run to run.
func plain(f *fixture, text, receipt string) string {
	if receipt != "" {
		text = strings.ReplaceAll(text, receipt, "RECEIPT")
	}
	text = strings.NewReplacer(f.corp.URL(), "ISSUER", strings.TrimPrefix(f.corp.URL(), "http://"), "ISSUER-HOST", f.acme.URL(), "PROVIDER",
		strings.TrimPrefix(f.acme.URL(), "http://"), "PROVIDER-HOST").Replace(text)
	for pattern, word := range map[string]string{
		`(state|code_challenge|nonce)=[A-Za-z0-9_-]{20,}`: "$1=$1", `(__Host-bindery[a-z-]*)=[A-Z2-7.]{50,}`: "$1=COOKIE",
		`(name=\\\\?"csrf\\\\?" value=\\\\?")[A-Za-z0-9_.-]{43,}`: "${1}CSRF", `consented\\":\\"[^"\\]+`: `consented\":\"WHEN`,
		`(csrf\\" value=\\")[A-Za-z0-9_.-]{43,}`: "${1}CSRF", `(?s)\\u003cstyle\\u003e.*?\\u003c/style\\u003e`: "STYLE", `sha256-[A-Za-z0-9+/=]+`: "sha256-STYLE",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, word)
	}
	return text
}
