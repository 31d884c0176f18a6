package identity

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/brokertest/idp"
)

// pipes is a network in memory, whose waiting costs a test no time.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.dialled <- there
	return here, nil
}

// drip sends a byte now and then, for ever.
func drip(gone chan<- struct{}) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		for {
			select {
			case <-r.Context().Done():
				close(gone)
				return
			case <-time.After(50 * time.Millisecond):
				_, _ = rw.Write([]byte(" "))
				_ = http.NewResponseController(rw).Flush()
			}
		}
	}
}

func TestSlowIssuer(t *testing.T) {
	w := newWorld(t, nil)
	w.doc = document(t, entry(w.idp, map[string]any{"jwks_uri": w.idp.Issuer() + idp.JWKSPath}))
	token := w.token(nil)
	synctest.Test(t, func(t *testing.T) {
		gone, network := make(chan struct{}), pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: drip(gone)}
		go func() { _ = server.Serve(network) }()
		defer func() { _ = server.Close() }()
		v := w.process(func(c *Config) { c.HTTP = &http.Client{Transport: &http.Transport{DialContext: network.dial}} })
		start := time.Now()
		w.unavailable(v, token)
		if took := time.Since(start); took < fetchTimeout || took > fetchTimeout+time.Second {
			t.Errorf("it took %s, want the fetch timeout", took)
		}
		<-gone
	})
}
