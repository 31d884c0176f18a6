package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
)

// nameserver answers every A question with the next of addrs (the last one
// for ever) and every other question with nothing.
type nameserver struct {
	mu    sync.Mutex
	addrs []string
}

func (n *nameserver) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go n.serve(server)
		return client, nil
	}}
}

// serve speaks DNS over a stream (RFC 1035, 4.2.2), one question.
func (n *nameserver) serve(c net.Conn) {
	defer c.Close()
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	q := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, q); err != nil {
		return
	}
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	question := q[12 : end+5]
	a := []byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}
	a = append(a, question...)
	if binary.BigEndian.Uint16(question[len(question)-4:]) == 1 {
		a[7] = 1
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		a = append(a, netip.MustParseAddr(n.next()).AsSlice()...)
	}
	_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
}

func (n *nameserver) next() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := n.addrs[0]
	if len(n.addrs) > 1 {
		n.addrs = n.addrs[1:]
	}
	return first
}

func TestNameThatResolvesToClosedAddressIsRefused(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"} {
		c := build(Policy{}, (&nameserver{addrs: []string{addr}}).resolver())
		if _, err := get(t, c, "https://upstream.test/"); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v, want ErrAddress", addr, err)
		}
	}
}

// The name is good when it is looked at and metadata when it is used again:
// each connection is checked, so the second answer gains nothing.
func TestRebindingNameIsRefusedOnTheSecondConnection(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
	}))
	defer srv.Close()
	names := &nameserver{addrs: []string{"127.0.0.1", "169.254.169.254"}}
	c := build(Policy{Loopback: true}, names.resolver())
	c.guard.secure.TLSClientConfig.RootCAs = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	target := "https://example.com:" + port // a name the test certificate carries
	if _, err := get(t, c, target); err != nil {
		t.Fatal("first:", err)
	}
	if _, err := get(t, c, target); !errors.Is(err, ErrAddress) {
		t.Errorf("second: %v, want ErrAddress", err)
	}
}

func TestUnknownNameIsUnreachable(t *testing.T) {
	broken := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}
	if _, err := get(t, build(Policy{}, broken), "https://upstream.test/"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("err = %v, want ErrUnreachable", err)
	}
}
