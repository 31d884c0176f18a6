package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"bindery/infra/local/idp"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
)

// The sample events are for a deployment that is called prod and known to clients
// by this address. Its issuer is known to the golden answers by another one.
const (
	sampleEnvironment = "prod"
	sampleURL         = "https://mcp.example.com"
	sampleIssuer      = "https://login.example.com"
)

// stage is the deployment of the sample events. Each function's events find it
// as the golden answers of that function presume.
type stage struct {
	*stack.Deployment
	w        *world
	issuer   *idp.Issuer
	login    string // the issuer's real address
	provider string // of an upstream's provider
	upstream string // of an upstream that answers everything alike
	words    func(event string) string
	given    map[string]string // by words of the events, beside tokens
}

// scene is what one function's events presume.
type scene struct {
	folder, function string
	form             form
	issuer           map[string]any // members of the issuer beside the common ones
	roles            map[string][]string
	seed             func(context.Context, *stage) error
	words            map[string]string // an account by the word that stands for its token
	changes          bool              // events change what the next one finds
	settings         map[string]string // of the function, beside the common ones
	names            []string          // what golden files call something by, in pairs
	apart            map[string]apart  // which are compared by their kind alone
}

// apart is why an answer cannot be the golden one, and of what kind it is instead
// where it is not even of the same.
type apart struct{ why, want string }

func (s scene) rename(text string) string { return strings.NewReplacer(s.names...).Replace(text) }

func (w *world) newStage(ctx context.Context) (*stage, error) {
	s := &stage{w: w}
	at, err := w.bridge.listen()
	if err != nil {
		return nil, err
	}
	s.login = "https://" + at.Addr().String()
	if s.issuer, err = idp.New(s.login, "Log in", "", sampleAccounts(), time.Hour); err != nil {
		return nil, err
	}
	w.bridge.secure(at, s.issuer.Handler())
	if at, err = w.bridge.listen(); err != nil {
		return nil, err
	}
	s.provider = "https://" + at.Addr().String()
	drive, err := idp.New(s.provider, "Your account", "", map[string]map[string]any{}, time.Hour)
	if err != nil {
		return nil, err
	}
	w.bridge.secure(at, drive.Handler())
	if at, err = w.bridge.listen(); err != nil {
		return nil, err
	}
	s.upstream = w.bridge.secure(at, http.HandlerFunc(echo))
	s.Deployment, err = deploy(ctx, stack.AWS(w.moto), sampleEnvironment, sampleURL, nil, w.bridge.networks())
	return s, err
}

// tell writes the settings of all scenes, so that one `sam local start-lambda`
// serves them.
func (s *stage) tell(scenes []scene) error {
	each := map[string]map[string]string{}
	for _, of := range scenes {
		document, err := of.document(s.login)
		if err != nil {
			return err
		}
		each[of.function] = map[string]string{"BINDERY_ISSUERS": string(document)}
		maps.Copy(each[of.function], of.settings)
	}
	return s.w.writeSettings(map[string]string{"BINDERY_ENVIRONMENT": sampleEnvironment, "BINDERY_PUBLIC_URL": sampleURL,
		"BINDERY_PRODUCTION": "true", "BINDERY_ORIGINS": "https://app.example.com"}, each)
}

// fill empties the tables, fills them, and makes the tokens anew.
func (s *stage) fill(ctx context.Context, of scene) error {
	var err error
	if s.Config.Issuers, err = of.document(s.login); err != nil {
		return err
	}
	if err := renew(ctx, s.Deployment); err != nil {
		return err
	}
	if err := forgetSecrets(ctx, s.Deployment); err != nil {
		return err
	}
	s.given = map[string]string{}
	if of.seed != nil {
		if err := of.seed(ctx, s); err != nil {
			return err
		}
	}
	pairs := []string{}
	for word, value := range s.given {
		pairs = append(pairs, word, value)
	}
	for word, account := range of.words {
		token, err := s.issuer.Token(account)
		if err != nil {
			return err
		}
		pairs = append(pairs, "Bearer "+word+`"`, "Bearer "+token+`"`)
	}
	s.words = strings.NewReplacer(pairs...).Replace
	return nil
}

// plain replaces what differs from run to run by what golden files have.
func (s *stage) plain(text, receipt string) string {
	if receipt != "" {
		text = strings.ReplaceAll(text, receipt, "RECEIPT")
	}
	for account := range sampleAccounts() {
		name, _, _ := strings.Cut(account, " ")
		text = strings.ReplaceAll(text, broker.PrincipalID(s.login, name), "p-"+name)
	}
	text = strings.NewReplacer(s.login, sampleIssuer, s.upstream, "https://upstream.example.com", s.provider, "https://acme.example.com:1",
		strings.TrimPrefix(s.provider, "https://"), "acme.example.com:1").Replace(text)
	for _, r := range []struct{ pattern, stands string }{
		{`https://mcp\.example\.com/connect/[A-Z2-7]{26}`, sampleURL + "/connect/TICKET"},
		{`brk1\.[A-Za-z0-9_-]{40,}`, "brk1.STATE"},
		{`(\\"receipt\\":\\")[0-9A-Z]{26}`, "${1}RECEIPT"},
		{`2026-03-01T[0-9:.]+Z`, "NOW"}, // as the tests of the handlers have it
		{"(" + today(0) + "|" + today(-time.Hour) + ")T[0-9:.]+Z", "NOW"},
		{`(state|code_challenge|nonce)=[A-Za-z0-9_-]{20,}`, "$1=$1"},
		{`(__Host-bindery[a-z-]*)=[A-Z2-7.]{50,}`, "$1=COOKIE"},
		{`(csrf\\" value=\\")[A-Za-z0-9_.-]{43,}`, "${1}CSRF"},
		{`consented\\":\\"[^"\\]+`, `consented\":\"WHEN`},
		{`(?s)\\u003cstyle\\u003e.*?\\u003c/style\\u003e`, "STYLE"},
		{`sha256-[A-Za-z0-9+/=]+`, "sha256-STYLE"},
		{`("(?:Mcp-Session-Id|mcp-session-id)": \[\s+)"[^"]+"`, `${1}"SESSION"`},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.stands)
	}
	return text
}

func today(later time.Duration) string { return time.Now().UTC().Add(later).Format(time.DateOnly) }

// echo is an upstream that answers requests with their method and the credential
// it got, and notifications with 202.
func echo(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")
		return
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	message := regexp.MustCompile(`"id":\s*([0-9]+|"[^"]*").*?"method":\s*"([^"]+)"`).FindSubmatch(body)
	if err != nil || message == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"method":"%s","token":"%s"}}`, message[1], message[2], r.Header.Get("Authorization"))
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
