package egress

import (
	"context"
	"net/netip"
	"syscall"
)

// dialCheck is the signature of net.Dialer.ControlContext: it runs on the
// resolved address, after the socket is made and before it connects.
type dialCheck func(ctx context.Context, network, address string, _ syscall.RawConn) error

// refusedAddress says which class of address was refused. It names the class
// only: which private address a name resolves to is not the caller's business.
type refusedAddress struct{ class string }

func (e *refusedAddress) Error() string { return "egress: " + ErrAddress.Error() + ": " + e.class }
func (e *refusedAddress) Unwrap() error { return ErrAddress }

// block is a named address range.
type block struct {
	prefix netip.Prefix
	class  string
}

// neverOpen cannot be opened by any Policy: nothing a broker should talk to
// lives there, and much that hands out credentials does.
var neverOpen = []block{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local or metadata"},
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata"},   // Azure wire server
	{netip.MustParsePrefix("100.100.100.200/32"), "metadata"}, // Alibaba, inside CGNAT
	{netip.MustParsePrefix("192.0.0.192/32"), "metadata"},     // Oracle, older
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("::/96"), "unspecified or IPv4-compatible"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated"}, // RFC 2765
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("fe80::/10"), "link-local or metadata"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "metadata"},          // AWS
	{netip.MustParsePrefix("fd20:ce::254/128"), "metadata"},       // Google
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), "metadata"}, // Oracle
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// closed is what is not public (IANA special-purpose registries). A Policy may
// open it. For IPv6 the public space is an allow-list, see check.
var closed = []block{
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "CGNAT"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignment"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmark"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("2001::/23"), "protocol assignment"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
}

// globalV6 is the one range IANA hands out for public IPv6.
var globalV6 = netip.MustParsePrefix("2000::/3")

// check decides about one address. The order is the rule: what can never be
// opened is refused before the opened ranges are looked at.
func (p *Policy) check(a netip.Addr) error {
	if a.Zone() != "" {
		return &refusedAddress{"zone id"}
	}
	a = a.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1 to the kernel
	if !a.IsValid() {
		return &refusedAddress{"not an IP address"}
	}
	if a.IsLoopback() {
		if p.Loopback {
			return nil
		}
		return &refusedAddress{"loopback"}
	}
	if class := find(neverOpen, a); class != "" {
		return &refusedAddress{class}
	}
	for _, open := range p.Networks {
		if open.Contains(a) {
			return nil
		}
	}
	if class := find(closed, a); class != "" {
		return &refusedAddress{class}
	}
	if a.Is6() && !globalV6.Contains(a) {
		return &refusedAddress{"not public IPv6"}
	}
	return nil
}

func find(blocks []block, a netip.Addr) string {
	for _, b := range blocks {
		if b.prefix.Contains(a) {
			return b.class
		}
	}
	return ""
}

func (p *Policy) checkDial(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &refusedAddress{"not an IP address"}
	}
	return p.check(ap.Addr())
}

// checkDialLoopback is the whole dial policy of plain http.
func checkDialLoopback(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !ap.Addr().Unmap().IsLoopback() {
		return &refusedAddress{"plain http beyond loopback"}
	}
	return nil
}
