//go:build e2e && !nojava

package cost

import (
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/infra/cost"
	"bindery/shared/broker"
)

// way is how one mode is measured. What can be done once (a token is new only
// once) is prepared anew for each call; all else is called until it is warm.
type way struct {
	mode    cost.Mode
	once    bool
	prepare func(s *scene, server string)
	request func(s *scene, server string) *events.APIGatewayProxyRequest // nil: a tool call
	status  int                                                          // 0: 200
	reason  broker.Reason                                                // of the outcome

	prepared int // servers
}

// next is the server for the next call.
func (w *way) next(s *scene, name string) string {
	if w.once {
		name += "-" + string(rune('a'+w.prepared))
	}
	if w.once || w.prepared == 0 {
		w.prepare(s, name)
		w.prepared++
	}
	return name
}

// ways are in this order because limits of the agent and markers stay.
func ways() []way {
	static := func(s *scene, server string) { s.static(server, s.secret(server), 0) }
	sealed := func(s *scene, server string, keep time.Duration) {
		s.seal(server, s.upstream)
		s.static(server, s.reference("sealed:"+server), keep)
	}
	return []way{
		{mode: cost.Static, prepare: static},
		{mode: cost.StaticKept, prepare: func(s *scene, server string) { s.static(server, s.secret(server), 5*time.Minute) }},
		{mode: cost.Sealed, prepare: func(s *scene, server string) { sealed(s, server, 0) }},
		{mode: cost.SealedKept, prepare: func(s *scene, server string) { sealed(s, server, 5*time.Minute) }},
		{mode: cost.Vault, prepare: func(s *scene, server string) { s.static(server, s.reference("vault:kv/mcp/notes#token"), 0) }},
		{mode: cost.Env, prepare: func(s *scene, server string) { s.static(server, s.reference("env:"+variable), 0) }},
		{mode: cost.Grant, prepare: func(s *scene, server string) { s.own(server, time.Hour) }},
		{mode: cost.GrantRefreshed, once: true, prepare: func(s *scene, server string) { s.own(server, -time.Minute) }},
		{mode: cost.Client, prepare: func(s *scene, server string) {
			s.issued(server, broker.ServiceAccount, broker.ClientCredentials, "acme")
		}},
		{mode: cost.ClientNew, once: true, prepare: func(s *scene, server string) {
			s.issued(server, broker.ServiceAccount, broker.ClientCredentials, "acme")
		}},
		{mode: cost.Exchange, prepare: func(s *scene, server string) {
			s.issued(server, broker.UserDelegated, broker.TokenExchange, "signed")
		}},
		{mode: cost.ExchangeNew, once: true, prepare: func(s *scene, server string) {
			s.issued(server, broker.UserDelegated, broker.TokenExchange, "signed")
		}},
		{mode: cost.Question, prepare: func(s *scene, server string) {
			s.issued(server, broker.UserDelegated, broker.AuthorizationCode, "acme")
		}, reason: broker.ConsentRequired},
		{mode: cost.Refused, prepare: func(s *scene, server string) { s.server(server, broker.Limits{}) }, status: http.StatusForbidden},
		{mode: cost.Unauthenticated, prepare: static, request: func(s *scene, server string) *events.APIGatewayProxyRequest {
			r := toolCall(s, server)
			r.MultiValueHeaders["Authorization"] = []string{"Bearer made-up"}
			return r
		}, status: http.StatusUnauthorized},
		{mode: cost.List, prepare: static, request: func(s *scene, server string) *events.APIGatewayProxyRequest {
			return s.request(server, http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		}},
		{mode: cost.Session, prepare: static, request: inSession},
		{mode: cost.Stream, prepare: static, request: func(s *scene, server string) *events.APIGatewayProxyRequest {
			return s.request(server, http.MethodGet, "")
		}, reason: broker.CallerGone},
		{mode: cost.Limited, prepare: func(s *scene, server string) {
			static(s, server)
			limits := broker.Limits{CallsPerMinute: 1000}
			must(s.t, s.Registry.PutServer(s.t.Context(), serverWith(s, server, limits)))
			must(s.t, s.DB.PutAgent(s.t.Context(), broker.Agent{Environment: environment, ID: agent, Version: 1, State: broker.Active, Team: "platform",
				Ceiling: broker.Critical, Limits: limits}))
		}},
		{mode: cost.Markers100, prepare: func(s *scene, server string) { s.unlimited(); static(s, server); s.markers(0, 100) }},
		{mode: cost.Markers1000, prepare: func(s *scene, server string) { static(s, server); s.markers(100, 1000) }},
	}
}

// unlimited takes the agent's limits back.
func (s *scene) unlimited() {
	must(s.t, s.DB.PutAgent(s.t.Context(), broker.Agent{Environment: environment, ID: agent, Version: 2, State: broker.Active, Team: "platform", Ceiling: broker.Critical}))
}

// serverWith is a server as it is stored, with limits.
func serverWith(s *scene, name string, limits broker.Limits) broker.Server {
	v, err := s.DB.Server(s.t.Context(), broker.Route{Environment: environment, Server: name})
	must(s.t, err)
	v.Limits = limits
	return v
}

// inSession is a call in a session that was just opened.
func inSession(s *scene, server string) *events.APIGatewayProxyRequest {
	opening := s.request(server, http.MethodPost,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
	r := toolCall(s, server)
	r.MultiValueHeaders["Mcp-Session-Id"] = []string{s.send(opening, http.StatusOK).session}
	return r
}
