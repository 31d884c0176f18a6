// Package egress is the only HTTP client of the product. Every address an
// admin, a document or an upstream can name is treated as hostile: the URL is
// checked when it is parsed, the scheme again at each request, and the address
// once more at dial time, on the very IP the socket will use, so that a name
// that resolves to something else the second time gains nothing.
//
// A Client never follows a redirect, never uses a proxy, never decompresses,
// keeps no cookies, and puts no text that the other side chose into an error.
// It sets no total time limit: the caller's context is the limit, for the
// headers and for the body. It does not retry beyond what net/http does: on a
// connection on which nothing was written, and a GET whose connection broke;
// what must arrive at most once is sent as Once gives it.
//
// net/http prints bytes that arrive on an idle connection through the standard
// logger. A process that uses this package must not send the standard logger
// (package log) to a place where an upstream's bytes may not be read.
package egress

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Defaults for the fields of Policy that are zero, and limits nobody can widen.
const (
	DefaultConnectTimeout = 3 * time.Second
	DefaultTLSTimeout     = 5 * time.Second
	DefaultHeaderTimeout  = 60 * time.Second

	// MaxHeaderBytes bounds the status line and headers of one answer.
	MaxHeaderBytes = 64 << 10

	// A Lambda process serves one call at a time: a few connections per
	// upstream are enough. A frozen sandbox does not notice that the other side
	// hung up, so idle connections are dropped early.
	maxIdle        = 32
	maxIdlePerHost = 4
	idleTimeout    = 30 * time.Second
	pingAfter      = 15 * time.Second
	pingTimeout    = 5 * time.Second
)

// Policy says where a Client may connect. The zero Policy reaches public
// addresses over https and nothing else.
type Policy struct {
	// Networks are ranges opened on top of the public ones (RFC 1918, ULA,
	// CGNAT). Loopback, link-local, cloud metadata, unspecified, multicast,
	// broadcast and translated forms (NAT64, 6to4, Teredo) stay closed even
	// inside an opened range.
	Networks []netip.Prefix

	// Loopback allows loopback addresses, and plain http to them. Set it only
	// outside Lambda.
	Loopback bool

	// ConnectTimeout bounds one TCP connect, TLSTimeout the handshake,
	// HeaderTimeout the wait from the written request to the complete answer
	// headers. Zero means the default above.
	ConnectTimeout, TLSTimeout, HeaderTimeout time.Duration
}

// Client sends requests under one Policy. It is safe for concurrent use and
// cheap to make; it opens nothing until the first request. Connections are not
// shared between Clients: one opened under a wider Policy must not serve a
// request under a narrower one.
type Client struct {
	guard *guard
	http  *http.Client
}

// New returns a Client for p.
func New(p Policy) *Client { return build(p, net.DefaultResolver) }

func build(p Policy, names *net.Resolver) *Client {
	p.ConnectTimeout = orDefault(p.ConnectTimeout, DefaultConnectTimeout)
	p.TLSTimeout = orDefault(p.TLSTimeout, DefaultTLSTimeout)
	p.HeaderTimeout = orDefault(p.HeaderTimeout, DefaultHeaderTimeout)
	g := &guard{policy: p, secure: newTransport(p, names, p.checkDial)}
	if p.Loopback {
		g.plain = newTransport(p, names, checkDialLoopback)
	}
	return &Client{guard: g, http: &http.Client{Transport: g, CheckRedirect: keepRedirect}}
}

// HTTP returns the client for libraries that want an *http.Client (oauth2).
// The guard and every limit apply, but http.Client itself wraps failures in a
// *url.Error that prints the whole URL, query included. Its Unwrap is clean;
// its text is not. Prefer Do.
func (c *Client) HTTP() *http.Client { return c.http }

// Doer sends requests as a Client does. Whoever takes one can be tested without a
// network.
type Doer interface {
	Do(r *http.Request) (*http.Response, error)
}

// Do sends one request. A redirect comes back as the answer it is. Errors are
// one of the sentinels of this package or the context's, and name no more of
// the request than its host.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, withoutURL(r, err)
	}
	return resp, nil
}

// CloseIdleConnections closes what is idle; requests under way are not touched.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

func newTransport(p Policy, names *net.Resolver, check dialCheck) *http.Transport {
	d := &net.Dialer{Timeout: p.ConnectTimeout, KeepAlive: pingAfter, Resolver: names, ControlContext: check}
	return &http.Transport{
		Proxy:                  nil, // never from the environment: a proxy would be dialed in place of the checked address
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    p.TLSTimeout,
		ResponseHeaderTimeout:  p.HeaderTimeout,
		MaxResponseHeaderBytes: MaxHeaderBytes,
		DisableCompression:     true, // the relay is byte-preserving, and a decompressor is a bomb
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
	}
}

func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
