package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/infra/local/upstream"
)

// world is everything that runs, and how to end it.
type world struct {
	deployment *stack.Deployment
	made       stack.DemoCredentials
	issuer     *idp.Issuer
	drive      *idp.Issuer // the provider of the server "drive"
	notes      *upstream.Server
	notesURL   string
	url        string // of Bindery
	name       string // of the environment
	issuerURL  string
	stops      []func()
}

func (w *world) stop() {
	for i := len(w.stops) - 1; i >= 0; i-- {
		w.stops[i]()
	}
}

// start brings everything up, the slow parts first, and seeds the catalogue.
// What it started before an error is ended by stop.
func (w *world) start(ctx context.Context, port int, progress parts.Progress) error {
	bindery, issuer, err := w.listen(port)
	if err != nil {
		return err
	}
	// An endpoint of the user's own keeps what is put there, so each start
	// there is an environment of its own.
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	w.name = "local-" + strings.ToLower(rand.Text()[:6])
	if endpoint != "" {
		progress("using AWS_ENDPOINT_URL=%s, with an environment of its own: %s", endpoint, w.name)
	} else {
		w.name = "local"
		moto, err := parts.Moto(ctx, progress)
		if err != nil {
			return err
		}
		w.stops = append(w.stops, moto.Stop)
		endpoint = moto.URL
	}
	progress("starting the official MCP everything-server")
	everything, err := parts.EverythingServer(ctx, progress, true)
	if err != nil {
		return err
	}
	w.stops = append(w.stops, everything.Stop)
	progress("starting the identity provider and an upstream that shows what it gets")
	if err := w.serveIssuer(issuer); err != nil {
		return err
	}
	if err := w.serveNotes(); err != nil {
		return err
	}
	progress("creating tables, key, secrets, servers and bindings")
	drive, provider, err := w.serveDrive()
	if err != nil {
		return err
	}
	document, err := stack.DemoIssuers(w.issuerURL, w.name)
	if err != nil {
		return err
	}
	w.deployment, err = stack.Provision(ctx, stack.AWS(endpoint), w.name, w.url, document)
	if err != nil {
		return fmt.Errorf("at %s: %w", endpoint, err)
	}
	if w.made, err = w.deployment.Seed(ctx, w.notesURL, everything.URL, w.issuerURL); err != nil {
		return err
	}
	if err := w.deployment.SeedDrive(ctx, drive, provider); err != nil {
		return err
	}
	return w.serveBindery(bindery, progress)
}

// listen takes both ports before anything slow is started.
func (w *world) listen(port int) (bindery, issuer net.Listener, err error) {
	take := func(port int) (net.Listener, error) {
		listener, err := stack.Listen(port)
		if err == nil {
			w.stops = append(w.stops, func() { _ = listener.Close() })
		}
		return listener, err
	}
	if bindery, err = take(port); err != nil {
		return nil, nil, err
	}
	next := port
	if port != 0 {
		next++
	}
	if issuer, err = take(next); err != nil {
		return nil, nil, err
	}
	w.url, w.issuerURL = "http://"+bindery.Addr().String(), "http://"+issuer.Addr().String()
	return bindery, issuer, nil
}

func (w *world) serveIssuer(listener net.Listener) error {
	issuer, err := idp.New(w.issuerURL, "Log in at the company", "bindery", stack.DemoAccounts(), 12*time.Hour)
	if err != nil {
		return err
	}
	issuer.Client(stack.ConnectClient, w.url+"/connect/login")
	w.issuer = issuer
	w.stops = append(w.stops, stack.Serve(listener, issuer.Handler()).Stop)
	return nil
}

func (w *world) serveNotes() error {
	listener, err := stack.Listen(0)
	if err != nil {
		return err
	}
	w.notes = upstream.New()
	served := stack.Serve(listener, w.notes.Handler)
	w.stops, w.notesURL = append(w.stops, served.Stop), served.URL
	return nil
}

// serveDrive starts a server that takes the tokens of a provider of its own and
// nothing else, so that everybody is themselves there, and that provider.
func (w *world) serveDrive() (server, provider string, err error) {
	var at [2]net.Listener
	for i := range at {
		if at[i], err = stack.Listen(0); err != nil {
			return "", "", err
		}
	}
	server, provider = "http://"+at[0].Addr().String(), "http://"+at[1].Addr().String()
	if w.drive, err = idp.New(provider, "Your account at drive", server, stack.DriveAccounts(), 5*time.Minute); err != nil {
		return "", "", err
	}
	w.drive.Client(stack.ConnectClient, w.url+"/connect/callback/drive")
	guarded := upstream.Personal(func(token string) (string, bool) { return w.drive.Account(token, server) })
	w.stops = append(w.stops, stack.Serve(at[0], guarded).Stop, stack.Serve(at[1], w.drive.Handler()).Stop)
	return server, provider, nil
}

// serveBindery starts the very handlers that Lambda runs. Their log goes to a
// file, so that the account of the call stays readable.
func (w *world) serveBindery(listener net.Listener, progress parts.Progress) error {
	var sink io.Writer = io.Discard
	path := filepath.Join(".local", "log", "bindery.log")
	if file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		sink = file
		w.stops = append(w.stops, func() { _ = file.Close() })
	}
	handler, err := w.deployment.Front(slog.New(slog.NewJSONHandler(sink, nil)))
	if err != nil {
		return err
	}
	w.stops = append(w.stops, stack.Serve(listener, handler).Stop)
	follow, stop := context.WithCancel(context.Background())
	var followed sync.WaitGroup
	for _, streams := range []func(context.Context, *slog.Logger){w.deployment.FollowAudit, w.deployment.FollowRevocations, w.deployment.FollowRotations} {
		followed.Go(func() { streams(follow, slog.New(slog.NewJSONHandler(sink, nil))) })
	}
	w.stops = append(w.stops, func() { stop(); followed.Wait() })
	progress("Bindery serves at %s (log: %s)", w.url, path)
	return nil
}

// endpoint is the URL of one server at Bindery.
func (w *world) endpoint(server string) string { return w.url + "/mcp/" + w.name + "/" + server }

// printCommands says how a newcomer calls the running stack.
func (w *world) printCommands(out io.Writer) {
	fmt.Fprintf(out, `
Bindery keeps serving. In another terminal:

  TOKEN=$(curl -s %[2]s/token -d account=alice)

  npx -y @modelcontextprotocol/inspector@2.12.0 --cli %[1]s/mcp/%[3]s/notes --transport http \
    --header "Authorization: Bearer $TOKEN" --method tools/call --tool-name whoami

  curl -s %[1]s/mcp/%[3]s/notes -H "Authorization: Bearer $TOKEN" \
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
    -H 'MCP-Protocol-Version: 2025-11-25' \
    -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'

  accounts: alice, bob, alice-reporter and bob-reporter (through the agent), reporter (the agent alone),
            alice-own and bob-own (for %[1]s/connections)
  admin:    %[1]s/admin/v1/servers (accounts admin, auditor, root, owner), described by %[1]s/admin/v1/openapi.json
  servers:  %[1]s/mcp/%[3]s/notes, %[1]s/mcp/%[3]s/everything and %[1]s/mcp/%[3]s/drive
  tables:   ENDPOINT=%[4]s (AWS-compatible, any credentials), such as bindery-%[3]s-audit

Ctrl-C stops everything.
`, w.url, w.issuerURL, w.name, *w.deployment.AWS.BaseEndpoint)
}
