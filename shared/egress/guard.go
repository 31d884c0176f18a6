package egress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// guard is the http.RoundTripper in front of the transports: it refuses a
// request whose URL is not allowed and translates every failure. Plain http
// has a transport of its own whose dialer knows nothing but loopback, so the
// scheme decides at dial time too.
type guard struct {
	policy Policy
	secure *http.Transport
	plain  *http.Transport // nil unless the Policy allows loopback
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.policy.checkURL(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // the contract of RoundTripper; nothing was read
		}
		return nil, err
	}
	t := g.secure
	if r.URL.Scheme == "http" {
		t = g.plain
	}
	if isOnce(r.Context()) {
		t = alone(t)
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		return nil, translate(r.Context(), err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The connection is ours now and ends with no context.
		_ = resp.Body.Close()
		return nil, fmt.Errorf("egress: %w: it switched protocols", ErrBroken)
	}
	resp.Body = &body{ReadCloser: resp.Body, request: r}
	return resp, nil
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (g *guard) CloseIdleConnections() {
	g.secure.CloseIdleConnections()
	if g.plain != nil {
		g.plain.CloseIdleConnections()
	}
}

// body translates read errors: net/http quotes a malformed trailer line, which
// the other side wrote.
type body struct {
	io.ReadCloser
	request *http.Request
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = translate(b.request.Context(), err)
	}
	return n, err
}
