package handler

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"bindery/shared/config"
	"bindery/shared/wire"
)

// TestAStreamWhoseConnectionBreaksReachesTheUpstreamOnce: the upstream receives the
// request on a connection that was used before, and resets it.
func TestAStreamWhoseConnectionBreaksReachesTheUpstreamOnce(t *testing.T) {
	var received atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":7,"result":{}}`))
			return
		}
		received.Add(1)
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = connection.Close()
	}))
	defer upstream.Close()
	f := newFixture(t, nil, true)
	f.upstreams, f.streamTimeout = wire.NewUpstreams(config.Config{Local: true}, 1), f.timeout
	f.pointTo(t, upstream.URL+"/mcp")
	token := f.token(t)
	warm := httptest.NewRecorder()
	f.ServeHTTP(warm, f.request(token, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"create_issue","arguments":{}}}`))
	listen := f.request(token, "")
	listen.Method = http.MethodGet
	listen.Header.Set("Accept", "text/event-stream")
	listen.Header.Del("Content-Type")
	broken := httptest.NewRecorder()
	f.ServeHTTP(broken, listen)
	if warm.Code != http.StatusOK || broken.Code != http.StatusBadGateway || received.Load() != 1 {
		t.Errorf("answered %d, then %d %s; received %d times", warm.Code, broken.Code, broken.Body, received.Load())
	}
}
