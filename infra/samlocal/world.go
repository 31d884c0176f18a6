package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/infra/local/upstream"
	"bindery/shared/broker"
)

// world is everything that runs, and how to end it.
type world struct {
	options options
	say     func(string, ...any)

	root, work string // of the repository; for files of this program
	engine     *engine
	base       base
	image      string // that SAM runs the functions in
	bridge     *bridge
	endpoint   *endpoint
	moto       string // the AWS-compatible endpoint, on loopback
	aws        string // the endpoint as containers see it

	deployment *stack.Deployment
	issuer     *idp.Issuer
	issuerURL  string
	notes      *upstream.Server
	secret     string // the credential of the call
	api        *process

	stops []func()
}

func (w *world) stop() {
	for i := len(w.stops) - 1; i >= 0; i-- {
		w.stops[i]()
	}
	w.stops = nil
}

func (w *world) later(stop func()) { w.stops = append(w.stops, stop) }

// start brings everything up, what may be missing first.
func (w *world) start(ctx context.Context) (err error) {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("this machine is %s, and samconfig.toml has x86-64 for local", runtime.GOARCH)
	}
	if w.root, err = os.Getwd(); err != nil {
		return err
	}
	w.work = filepath.Join(w.root, ".local", "sam")
	if err := os.MkdirAll(w.work, 0o755); err != nil {
		return err
	}
	if err := w.startEngine(ctx); err != nil {
		return err
	}
	if err := w.portIsFree(); err != nil {
		return err
	}
	trust := filepath.Join(w.work, "trust")
	if err := os.MkdirAll(trust, 0o755); err != nil {
		return err
	}
	if w.bridge, err = newBridge(w.engine.bridge, filepath.Join(trust, "certificate.pem")); err != nil {
		return err
	}
	w.later(w.bridge.close)
	// This process is one of those that trust it; what the machine trusts stays.
	if err := os.Setenv("SSL_CERT_DIR", strings.Join([]string{trust, "/etc/ssl/certs", "/etc/pki/tls/certs"}, ":")); err != nil {
		return err
	}
	if w.base, err = chooseBase(ctx, dockerImages(w.work), w.say); err != nil {
		return err
	}
	if w.image, err = trusting(ctx, w.base.name, w.bridge.file); err != nil {
		return fmt.Errorf("prepare the functions' image: %w", err)
	}
	w.later(func() { forget(w.image) })
	if err := w.startEndpoint(ctx); err != nil {
		return err
	}
	w.say("sam build (template.yaml, nine functions for %s)", architecture)
	if err := w.build(ctx); err != nil {
		return err
	}
	if err := w.tell(ctx); err != nil {
		return err
	}
	return w.startAPI(ctx)
}

func (w *world) startEngine(ctx context.Context) (err error) {
	if w.engine, err = findEngine(ctx, thisMachine(w.work), w.options.docker, w.say); err != nil {
		return fmt.Errorf("%w: %w", errNotRun, err)
	}
	w.later(w.engine.daemon.stop)
	w.say("Docker engine: %s", w.engine.how)
	return w.engine.findBridge(ctx)
}

// portIsFree is known before anything slow begins.
func (w *world) portIsFree() error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", w.options.port))
	if err != nil {
		return fmt.Errorf("port %d is taken: stop what listens there, or choose another with PORT=N", w.options.port)
	}
	return listener.Close()
}

// startEndpoint starts AWS as the functions will see it.
func (w *world) startEndpoint(ctx context.Context) error {
	moto, err := parts.Moto(ctx, func(format string, args ...any) { w.say(format, args...) })
	if err != nil {
		return err
	}
	w.later(moto.Stop)
	w.moto = moto.URL
	if w.endpoint, err = newEndpoint(moto.URL); err != nil {
		return err
	}
	listener, err := w.bridge.listen()
	if err != nil {
		return err
	}
	w.aws = w.bridge.plain(listener, w.endpoint)
	return makeKey(ctx, stack.AWS(moto.URL))
}

const (
	environment = "dev" // as samconfig.toml has it
	callCard    = "alice-notes"
	callAccount = "alice-reporter" // alice, through the agent "reporter"
)

// tell fills the tables for the call: one server, one card, one secret.
func (w *world) tell(ctx context.Context) error {
	at, err := w.bridge.listen()
	if err != nil {
		return err
	}
	w.issuerURL = "https://" + at.Addr().String()
	if w.issuer, err = idp.New(w.issuerURL, "Log in at the company", "bindery", stack.DemoAccounts(), time.Hour); err != nil {
		return err
	}
	w.bridge.secure(at, w.issuer.Handler())
	if at, err = w.bridge.listen(); err != nil {
		return err
	}
	w.notes = upstream.New()
	notes := w.bridge.secure(at, w.notes.Handler)
	document, err := stack.DemoIssuers(w.issuerURL, environment)
	if err != nil {
		return err
	}
	if w.deployment, err = deploy(ctx, stack.AWS(w.moto), environment, w.url(), document, w.bridge.networks()); err != nil {
		return err
	}
	w.secret = stack.RandomSecret("key-" + callCard + "-")
	if err := w.seed(ctx, notes); err != nil {
		return err
	}
	return w.writeSettings(map[string]string{"BINDERY_ISSUERS": string(document), "BINDERY_PUBLIC_URL": w.url()}, nil)
}

func (w *world) seed(ctx context.Context, notes string) error {
	d := w.deployment
	reference, err := broker.ParseReference("aws-sm:" + environment + "/" + callCard + "#token")
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]string{"token": w.secret})
	if err != nil {
		return err
	}
	return fill(
		func() error { return d.PutSecret(ctx, environment+"/"+callCard, string(text)) },
		func() error {
			return d.Registry.PutStore(ctx, broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}, State: broker.Active})
		},
		func() error {
			return d.Registry.PutServer(ctx, broker.Server{Environment: environment, Name: "notes", State: broker.Active, Owner: "platform", URL: notes,
				Networks: w.bridge.networks(), Attach: bearer(), Propagate: []broker.Propagation{{Attribute: "email", Header: "X-User-Email"}}})
		},
		func() error {
			return d.DB.PutAgent(ctx, broker.Agent{Environment: environment, ID: stack.DemoIssuerName + ":" + stack.Agent, State: broker.Active, Team: "platform", Ceiling: broker.Medium})
		},
		func() error {
			return d.DB.PutTool(ctx, broker.Tool{Environment: environment, Server: "notes", Name: "whoami", State: broker.Active, Owner: "platform", Risk: broker.Low, Teams: []string{"platform"}})
		},
		func() error {
			return d.Registry.Bind(ctx, broker.Binding{Environment: environment, Server: "notes", Name: callCard, State: broker.Active, Owner: "platform",
				Actor: broker.Actor{Principal: broker.PrincipalID(w.issuerURL, "user-"+stack.Alice)}, Allow: everything(), Mode: broker.ServiceAccount, Source: broker.Static,
				Fields: []broker.Field{{Name: "token", Reference: reference}}})
		},
	)
}

func (w *world) url() string { return fmt.Sprintf("http://127.0.0.1:%d", w.options.port) }

// startAPI starts the gateway as samconfig.toml says, and waits until it answers.
func (w *world) startAPI(ctx context.Context) (err error) {
	w.say("sam local start-api")
	argv := w.sam("local", "start-api", "--host", "127.0.0.1", "--port", fmt.Sprint(w.options.port))
	if w.api, err = background("sam local start-api", filepath.Join(w.work, "start-api.log"), w.env(), argv...); err != nil {
		return err
	}
	w.later(w.api.stop)
	if err = w.api.await(ctx, 2*time.Minute, func() bool { return listens(w.options.port) }); err != nil {
		return err
	}
	w.quote(w.api.said(), "Mounting")
	return nil
}

func listens(port int) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

func (w *world) printCommands(out io.Writer) {
	token, err := w.issuer.Token(callAccount)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(out, `
The functions keep being served at %[1]s. In another terminal:

  TOKEN=%[2]s
  curl -s %[1]s/mcp/%[3]s/notes -H "Authorization: Bearer $TOKEN" \
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2025-11-25' \
    -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'

  one event:  infra/tools/sam/sam local invoke OutboxFunction --config-file $PWD/samconfig.toml --config-env local -t %[4]s -e events/outbox/records.json \
                --env-vars %[5]s --invoke-image %[6]s

Ctrl-C stops everything.
`, w.url(), token, environment, w.template(), settingsFile, w.image)
}

// reply is what the gateway said.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// get asks the gateway.
func (w *world) get(ctx context.Context, path, token string) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url()+path, nil)
	if err != nil {
		return reply{}, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Timeout: time.Minute}).Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, body}, err
}
