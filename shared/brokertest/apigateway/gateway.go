// Package apigateway is as much of API Gateway (REST) as a client of Bindery can
// notice: the proxy's routes, authorizer and gateway responses of the expanded
// template, events of version 1, policies remembered by identity source,
// answers that stream, and response headers renamed. Behind it run the
// compiled functions, so that a test sees what a client of a deployment sees.
//
// What it does is read in AWS's documentation and in reports, not recorded from
// AWS: a deployment needs a smoke test of its own. It has no stages, throttles,
// usage plans or access log, leaves out the routes of the admin function, checks no request signature, and is used by tests
// only.
package apigateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"bindery/shared/brokertest/runtimeapi"
)

// MaxBody is the largest request body, in bytes.
const MaxBody = 10 << 20

// Function is a compiled function, as runtimeapi.Function and Sandboxes run it.
type Function interface {
	Invoke(ctx context.Context, event []byte) (*runtimeapi.Response, error)
}

// Gateway is an http.Handler. It is safe for concurrent use.
type Gateway struct {
	*definition
	proxy Function
	asked Function // the authorizer

	mu         sync.Mutex
	remembered map[string]remembered
}

// New reads an expanded template. asked is not invoked where the template has
// no authorizer under the given parameters.
func New(template []byte, parameters map[string]string, proxy, asked Function) (*Gateway, error) {
	d, err := read(template, parameters)
	if err != nil {
		return nil, err
	}
	return &Gateway{definition: d, proxy: proxy, asked: asked, remembered: map[string]remembered{}}, nil
}

// ServeHTTP takes a request through route, authorizer and function.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, parameters, ok := g.find(r.Method, r.URL.EscapedPath())
	if !ok {
		g.say(w, &gatewayError{"MISSING_AUTHENTICATION_TOKEN", http.StatusForbidden, nil})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		g.say(w, &gatewayError{"REQUEST_TOO_LARGE", http.StatusRequestEntityTooLarge, nil})
		return
	}
	e := newEvent(r, to.path, parameters)
	if to.asks {
		allowed, refused := g.authorize(r.Context(), r, e)
		if refused != nil {
			g.say(w, refused)
			return
		}
		e.RequestContext.Authorizer = allowed
	}
	e.take(body)
	text, err := json.Marshal(e)
	if err != nil {
		g.say(w, &gatewayError{"DEFAULT_5XX", http.StatusInternalServerError, nil})
		return
	}
	// A client that leaves is not the function's end, only a passed deadline is.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), g.timeout)
	defer cancel()
	response, err := g.proxy.Invoke(ctx, text)
	if err != nil || response.StatusCode == 0 {
		g.say(w, &gatewayError{"DEFAULT_5XX", http.StatusBadGateway, nil})
		return
	}
	relay(w, response)
}

// renamed are headers of a function's answer that reach the client under
// another name.
func renamed(name string) string {
	switch name {
	case "Authorization", "Connection", "Content-Md5", "Date", "Server", "Www-Authenticate":
		return "X-Amzn-Remapped-" + name
	}
	return name
}

// relay streams an answer as it comes. What breaks off ends the connection.
func relay(w http.ResponseWriter, response *runtimeapi.Response) {
	defer func() { _ = response.Body.Close() }() // the function is not told
	for name, values := range response.Header {
		w.Header()[http.CanonicalHeaderKey(renamed(name))] = values
	}
	w.WriteHeader(response.StatusCode)
	control := http.NewResponseController(w)
	_ = control.Flush() // a write to a client that is gone fails below
	piece := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(piece)
		if _, failed := w.Write(piece[:n]); failed != nil {
			return
		}
		_ = control.Flush()
		if err == io.EOF {
			return
		}
		if err != nil {
			if connection, _, err := control.Hijack(); err == nil {
				_ = connection.Close()
			}
			return
		}
	}
}
