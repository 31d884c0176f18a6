// Package handler is the authorizer function: API Gateway shows it the header
// and the path of a request, and it says by the proxy's own rules whether the
// token is good there. It exists because API Gateway renames WWW-Authenticate
// in the answers of functions: a challenge that clients see must be API
// Gateway's own answer, and this function makes it give one.
//
// It protects nothing by itself. The proxy judges every token again, so an
// answer that API Gateway remembers outlives neither token nor revocation. It
// reads no catalogue, hands no claim on, and writes no part of a token anywhere.
package handler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/identity"
)

// What API Gateway is told instead of a policy. It remembers neither.
var (
	// errUnauthorized: API Gateway compares this very text, and answers 401.
	errUnauthorized = errors.New("Unauthorized")
	// errUndecided: any other error. API Gateway answers AUTHORIZER_FAILURE,
	// which the template makes a 503, so that nobody throws a good token away.
	errUndecided = errors.New("tokens cannot be checked at the moment")
)

// Verifier turns a request's token into a principal, or fails with one of
// identity's errors.
type Verifier interface {
	Verify(ctx context.Context, r *http.Request, route broker.Route) (broker.Principal, error)
	Challenge(route broker.Route, err error) string
}

// Handler answers API Gateway. It is safe for concurrent use.
type Handler struct {
	verifier Verifier
	log      *slog.Logger
}

type (
	request  = events.APIGatewayCustomAuthorizerRequestTypeRequest
	response = events.APIGatewayCustomAuthorizerResponse
)

// Authorize judges one token: a policy that allows it on its path, a policy
// that denies and carries the challenge where only its scopes are too few, or
// an error.
func (h *Handler) Authorize(ctx context.Context, e request) (answer response, err error) {
	defer func() {
		if v := recover(); v != nil { // the runtime would print the value, which may hold anything
			h.log.Error("handler panicked", "type", fmt.Sprintf("%T", v))
			answer, err = response{}, errUndecided
		}
	}()
	route, ok := routeOf(e.Path)
	if !ok { // no token is good for what is no server's address
		return response{}, errUnauthorized
	}
	principal, err := h.verifier.Verify(ctx, requestOf(e), route)
	if err == nil {
		return policy("Allow", principal.ID, e.MethodArn, route, nil)
	}
	h.log.Info("not authorized", "server", route.Server, "cause", identity.ReasonOf(err))
	switch {
	case errors.Is(err, identity.ErrInsufficientScope):
		return policy("Deny", "none", e.MethodArn, route, map[string]any{"challenge": h.verifier.Challenge(route, err)})
	case errors.Is(err, identity.ErrMissingToken), errors.Is(err, identity.ErrInvalidToken):
		return response{}, errUnauthorized
	}
	return response{}, errUndecided
}

// routeOf parses /mcp/{environment}/{server}, without any percent-encoding: no
// name needs one. Whether the environment is the deployed one is the
// verifier's to judge.
func routeOf(path string) (broker.Route, bool) {
	rest, ok := strings.CutPrefix(path, "/mcp/")
	environment, server, _ := strings.Cut(rest, "/")
	route, err := broker.ParseRoute(environment, server)
	return route, ok && err == nil
}

// requestOf is what the verifier looks at: every Authorization header, and the
// query, where a token must not be.
func requestOf(e request) *http.Request {
	header, query := http.Header{}, url.Values{}
	for name, values := range e.MultiValueHeaders {
		if strings.EqualFold(name, "Authorization") {
			header["Authorization"] = append(header["Authorization"], values...)
		}
	}
	for name, values := range e.MultiValueQueryStringParameters {
		query[name] = values
	}
	return &http.Request{Header: header, URL: &url.URL{RawQuery: query.Encode()}}
}

// policy is about every method of one route and nothing else, because API
// Gateway remembers it for header and path. Nothing of the client's spelling is
// in it: a * there would stand for other paths.
func policy(effect, principal, methodARN string, route broker.Route, extra map[string]any) (response, error) {
	// arn:aws:execute-api:region:account:api/stage/METHOD/path
	api, rest, _ := strings.Cut(methodARN, "/")
	stage, _, ok := strings.Cut(rest, "/")
	if !ok || !strings.HasPrefix(api, "arn:") || strings.ContainsAny(api+stage, "*?") {
		return response{}, errUndecided
	}
	statement := events.IAMPolicyStatement{Effect: effect, Action: []string{"execute-api:Invoke"}}
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPost} {
		statement.Resource = append(statement.Resource, api+"/"+stage+"/"+method+"/mcp/"+route.String())
	}
	return response{
		PrincipalID:    principal,
		PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{Version: "2012-10-17", Statement: []events.IAMPolicyStatement{statement}},
		Context:        extra,
	}, nil
}
