package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
)

const environment = "conformance"

// world is everything that runs: the everything-server in both its forms, and
// Bindery before both, behind a shim that logs the suite in.
type world struct {
	direct, through map[string]string // addresses for the suite, by revision
	canaries        []string          // what must not be found in anything written
	deployment      *stack.Deployment
	stops           []func()
}

func (w *world) stop() {
	for i := len(w.stops) - 1; i >= 0; i-- {
		w.stops[i]()
	}
}

// start brings everything up. What it started before an error is ended by stop.
func (w *world) start(ctx context.Context, folder string, progress parts.Progress) error {
	moto, err := parts.Moto(ctx, progress)
	if err != nil {
		return err
	}
	w.stops = append(w.stops, moto.Stop)
	progress("starting the official MCP everything-server, stateless and with sessions")
	w.direct = map[string]string{}
	for _, r := range revisions() {
		everything, err := parts.EverythingServer(ctx, progress, r.stateful)
		if err != nil {
			return err
		}
		w.stops = append(w.stops, everything.Stop)
		w.direct[r.name] = everything.URL
	}
	progress("starting Bindery before both")
	front, err := w.listen()
	if err != nil {
		return err
	}
	issuerURL, token, err := w.serveIssuer()
	if err != nil {
		return err
	}
	// What a caller sees as Bindery's address is the shim's.
	public := "http://" + front.Addr().String()
	document, err := stack.DemoIssuers(issuerURL, environment)
	if err != nil {
		return err
	}
	if w.deployment, err = stack.Provision(ctx, stack.AWS(moto.URL), environment, public, document); err != nil {
		return err
	}
	if err := w.seed(ctx); err != nil {
		return err
	}
	bindery, err := w.serveBindery(filepath.Join(folder, "bindery.log"))
	if err != nil {
		return err
	}
	w.canaries = append(w.canaries, token)
	w.stops = append(w.stops, stack.Serve(front, shim(bindery, token)).Stop)
	w.through = map[string]string{}
	for _, r := range revisions() {
		w.through[r.name] = public + "/mcp/" + environment + "/" + server(r)
	}
	return nil
}

// server is the name under which a revision's everything-server is registered.
func server(r revision) string { return "everything-" + r.name }

func (w *world) listen() (net.Listener, error) {
	listener, err := stack.Listen(0)
	if err == nil {
		w.stops = append(w.stops, func() { _ = listener.Close() })
	}
	return listener, err
}

// serveIssuer starts the identity provider and gives a token for one person.
func (w *world) serveIssuer() (address, token string, err error) {
	listener, err := w.listen()
	if err != nil {
		return "", "", err
	}
	address = "http://" + listener.Addr().String()
	issuer, err := idp.New(address, "Log in", "bindery", stack.DemoAccounts(), 12*time.Hour)
	if err != nil {
		return "", "", err
	}
	w.stops = append(w.stops, stack.Serve(listener, issuer.Handler()).Stop)
	token, err = issuer.Token(stack.Alice)
	return address, token, err
}

// seed registers both servers, with one credential and a binding for everybody.
func (w *world) seed(ctx context.Context) error {
	d := w.deployment
	canary := stack.RandomSecret("canary-")
	w.canaries = append(w.canaries, canary)
	text, err := json.Marshal(map[string]string{"token": canary})
	if err != nil {
		return err
	}
	if err := d.PutSecret(ctx, environment+"/everything", string(text)); err != nil {
		return err
	}
	store := broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}, State: broker.Active}
	if err := d.Registry.PutStore(ctx, store); err != nil {
		return err
	}
	agent := broker.Agent{Environment: environment, ID: stack.DemoIssuerName + ":shell", State: broker.Active, Team: "platform", Ceiling: broker.Critical}
	if err := d.DB.PutAgent(ctx, agent); err != nil {
		return fmt.Errorf("register the agent: %w", err)
	}
	reference, err := broker.ParseReference("aws-sm:" + environment + "/everything#token")
	if err != nil {
		return err
	}
	for _, r := range revisions() {
		if err := d.Registry.PutServer(ctx, broker.Server{Environment: environment, Name: server(r), State: broker.Active, Owner: "platform",
			URL:    w.direct[r.name],
			Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}); err != nil {
			return fmt.Errorf("register %s: %w", server(r), err)
		}
		if err := d.Registry.Bind(ctx, broker.Binding{Environment: environment, Server: server(r), Name: "everybody", State: broker.Active, Owner: "platform",
			Actor: broker.Actor{Anyone: true}, Mode: broker.ServiceAccount, Source: broker.Static,
			Allow:  broker.Allow{Tools: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}},
			Fields: []broker.Field{{Name: "token", Reference: reference}}}); err != nil {
			return fmt.Errorf("bind %s: %w", server(r), err)
		}
	}
	return nil
}

// serveBindery starts the very handler that Lambda runs, with its log in a file.
func (w *world) serveBindery(path string) (*url.URL, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open Bindery's log: %w", err)
	}
	w.stops = append(w.stops, func() { _ = log.Close() })
	handler, err := w.deployment.Handler(slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		return nil, err
	}
	listener, err := w.listen()
	if err != nil {
		return nil, err
	}
	served := stack.Serve(listener, handler)
	w.stops = append(w.stops, served.Stop)
	return url.Parse(served.URL)
}

// shim adds the token that the suite cannot send, and nothing else: the Host
// header stays the suite's. A body is read before it is sent on, because a
// transport that still reads it when the answer starts closes the connection.
func shim(to *url.URL, token string) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the suite reports what it gets
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the body ended early", http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if len(body) == 0 {
			r.Body = http.NoBody
		}
		proxy.ServeHTTP(w, r)
	})
}
