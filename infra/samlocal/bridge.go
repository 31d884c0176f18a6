package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// bridge is the address at which containers find what they talk to. Nothing of it
// listens anywhere else.
type bridge struct {
	address     netip.Addr
	certificate tls.Certificate
	file        string // the certificate, for the functions' image
	servers     []*http.Server
}

// newBridge makes a certificate for the address, whose key never leaves this
// process, and leaves the certificate in a file.
func newBridge(address, file string) (*bridge, error) {
	at, err := netip.ParseAddr(address)
	if err != nil || !at.IsPrivate() {
		return nil, fmt.Errorf("the engine's bridge is at %q, which is no private address", address)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "bindery sam-local"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{at.AsSlice()},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	made, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made})
	if err := os.WriteFile(file, text, 0o644); err != nil { // it is public, and everybody in a container reads it
		return nil, err
	}
	return &bridge{address: at, file: file, certificate: tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}}, nil
}

// networks is what has to be opened for the functions: this one address.
func (b *bridge) networks() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(b.address, b.address.BitLen())}
}

// listen takes a free port at the bridge.
func (b *bridge) listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", netip.AddrPortFrom(b.address, 0).String())
	if err != nil {
		return nil, fmt.Errorf("listen at the engine's bridge (it must be this machine's own, as on Linux): %w", err)
	}
	return listener, nil
}

// secure serves https at the listener, and plain http.
func (b *bridge) secure(listener net.Listener, h http.Handler) string {
	b.serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{b.certificate}, MinVersion: tls.VersionTLS12}), h)
	return "https://" + listener.Addr().String()
}

func (b *bridge) plain(listener net.Listener, h http.Handler) string {
	b.serve(listener, h)
	return "http://" + listener.Addr().String()
}

func (b *bridge) serve(listener net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	b.servers = append(b.servers, server)
	go func() { _ = server.Serve(listener) }()
}

func (b *bridge) close() {
	for _, server := range b.servers {
		_ = server.Close()
	}
}

// endpoint is AWS as the functions see it: the AWS-compatible endpoint, which
// itself listens on loopback alone, and for Lambda SAM's.
type endpoint struct {
	aws http.Handler

	mu     sync.Mutex
	lambda http.Handler // nil while nothing serves it
}

func newEndpoint(aws string) (*endpoint, error) {
	to, err := url.Parse(aws)
	if err != nil {
		return nil, err
	}
	return &endpoint{aws: forwarding(to)}, nil
}

func forwarding(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		// The Host header is signed, so it stays as it was.
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

// invokeAt has Lambda's requests answered at an address from now on.
func (e *endpoint) invokeAt(address string) error {
	to, err := url.Parse(address)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lambda = forwarding(to)
	return nil
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	to := e.lambda
	e.mu.Unlock()
	switch {
	case !strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/"):
		to = e.aws
	case to == nil:
		http.Error(w, "no function is served", http.StatusServiceUnavailable)
		return
	}
	to.ServeHTTP(w, r)
}
