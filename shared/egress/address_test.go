package egress

import (
	"errors"
	"net/netip"
	"testing"
)

// hostile is every address an attacker may point a name or a literal at, named
// after what it would reach.
var hostile = []struct{ attack, addr string }{
	{"runtime API of the sandbox on loopback", "127.0.0.1"},
	{"any other loopback", "127.8.4.1"},
	{"IPv6 loopback", "::1"},
	{"unspecified, which Linux connects to itself", "0.0.0.0"},
	{"this network", "0.1.2.3"},
	{"IPv6 unspecified", "::"},
	{"instance metadata", "169.254.169.254"},
	{"container credentials", "169.254.170.2"},
	{"IPv6 instance metadata", "fd00:ec2::254"},
	{"pod identity", "fd00:ec2::23"},
	{"Azure wire server", "168.63.129.16"},
	{"Alibaba metadata in CGNAT", "100.100.100.200"},
	{"Google metadata", "fd20:ce::254"},
	{"Oracle metadata", "fd00:c1::a9fe:a9fe"},
	{"link-local", "fe80::1"},
	{"link-local with zone", "fe80::1%eth0"},
	{"public address with zone", "2606:4700::1111%lo"},
	{"RFC 1918 ten", "10.0.0.1"},
	{"RFC 1918 middle, first", "172.16.0.0"},
	{"RFC 1918 middle, last", "172.31.255.255"},
	{"RFC 1918 home", "192.168.1.1"},
	{"CGNAT first", "100.64.0.0"},
	{"CGNAT last", "100.127.255.255"},
	{"protocol assignments", "192.0.0.8"},
	{"Oracle metadata, older", "192.0.0.192"},
	{"documentation one", "192.0.2.1"},
	{"documentation two", "198.51.100.1"},
	{"documentation three", "203.0.113.1"},
	{"benchmark first", "198.18.0.1"},
	{"benchmark last", "198.19.255.255"},
	{"6to4 relay anycast", "192.88.99.1"},
	{"multicast", "224.0.0.1"},
	{"multicast last", "239.255.255.255"},
	{"reserved", "240.0.0.1"},
	{"broadcast", "255.255.255.255"},
	{"mapped loopback", "::ffff:127.0.0.1"},
	{"mapped metadata", "::ffff:169.254.169.254"},
	{"mapped private", "::ffff:10.0.0.1"},
	{"compatible loopback", "::127.0.0.1"},
	{"compatible metadata", "::a9fe:a9fe"},
	{"translated loopback", "::ffff:0:127.0.0.1"},
	{"NAT64 to metadata", "64:ff9b::169.254.169.254"},
	{"NAT64 to public", "64:ff9b::1.1.1.1"},
	{"local NAT64 to private", "64:ff9b:1::10.0.0.1"},
	{"6to4 of loopback", "2002:7f00:1::1"},
	{"6to4 of metadata", "2002:a9fe:a9fe::1"},
	{"Teredo", "2001:0:4136:e378:8000:63bf:3fff:fdd2"},
	{"ULA", "fd12:3456:789a::1"},
	{"ULA, lower half", "fc00::1"},
	{"site-local", "fec0::1"},
	{"IPv6 multicast", "ff02::1"},
	{"IPv6 documentation", "2001:db8::1"},
	{"IPv6 documentation, newer", "3fff::1"},
	{"IPv6 benchmark", "2001:2::1"},
	{"ORCHID", "2001:20::1"},
	{"discard-only", "100::1"},
	{"segment routing", "5f00::1"},
	{"unassigned IPv6", "4000::1"},
}

func TestHostileAddressIsRefused(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.attack, func(t *testing.T) {
			p := Policy{}
			if err := p.check(netip.MustParseAddr(c.addr)); !errors.Is(err, ErrAddress) {
				t.Errorf("check(%s) = %v, want ErrAddress", c.addr, err)
			}
		})
	}
}

func TestPublicAddressIsAllowed(t *testing.T) {
	for _, addr := range []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
		"192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2001:4860:4860::8888",
	} {
		p := Policy{}
		if err := p.check(netip.MustParseAddr(addr)); err != nil {
			t.Errorf("check(%s) = %v, want nil", addr, err)
		}
	}
}

// Everything there is, opened: what can never be opened stays closed.
func TestOpenedRangeNeverOpensMetadataLinkLocalMulticastBroadcastOrTranslated(t *testing.T) {
	p := Policy{Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	for _, addr := range []string{
		"127.0.0.1", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.170.2", "fd00:ec2::254", "168.63.129.16",
		"100.100.100.200", "192.0.0.192", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fe80::1", "fe80::1%eth0", "224.0.0.1",
		"255.255.255.255", "ff02::1", "::ffff:169.254.169.254", "::a9fe:a9fe", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001::1", "fec0::1", "::ffff:0:7f00:1",
	} {
		if err := p.check(netip.MustParseAddr(addr)); !errors.Is(err, ErrAddress) {
			t.Errorf("check(%s) = %v, want ErrAddress", addr, err)
		}
	}
}

func TestOpenedRangeOpensItselfAndNothingBeside(t *testing.T) {
	p := Policy{Networks: []netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12:3456::/32"), netip.MustParsePrefix("100.64.0.0/10"),
	}}
	for addr, want := range map[string]bool{
		"10.1.255.255": true, "::ffff:10.1.0.1": true, "fd12:3456::1": true, "100.64.0.1": true,
		"10.0.255.255": false, "10.2.0.0": false, "fd12:3457::1": false, "192.168.0.1": false, "100.100.100.200": false,
	} {
		if err := p.check(netip.MustParseAddr(addr)); (err == nil) != want {
			t.Errorf("check(%s) = %v, want allowed = %v", addr, err, want)
		}
	}
}

func TestLoopbackIsOpenedByItsSwitchOnly(t *testing.T) {
	p := Policy{Loopback: true}
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.1.2.3": true, "::1": true, "0.0.0.0": false, "10.0.0.1": false, "169.254.169.254": false,
	} {
		if err := p.check(netip.MustParseAddr(addr)); (err == nil) != want {
			t.Errorf("check(%s) = %v, want allowed = %v", addr, err, want)
		}
	}
	for _, address := range []string{"1.1.1.1:80", "10.0.0.1:80", "localhost:80", ""} {
		if err := checkDialLoopback(t.Context(), "tcp", address, nil); !errors.Is(err, ErrAddress) {
			t.Errorf("plain http to %q = %v, want ErrAddress", address, err)
		}
	}
}

// The refusal names the class, not the address a name resolved to.
func TestRefusalDoesNotTellTheAddress(t *testing.T) {
	p := Policy{}
	err := p.checkDial(t.Context(), "tcp4", "10.11.12.13:443", nil)
	if err == nil || err.Error() != "egress: address refused: private" {
		t.Errorf("err = %v", err)
	}
}

// Whatever 16 or 4 bytes are asked, an allowed address is global unicast and
// its mapped form is decided alike.
func FuzzAllowedAddressIsGlobalUnicast(f *testing.F) {
	for _, c := range hostile {
		if a := netip.MustParseAddr(c.addr); a.Zone() == "" {
			f.Add(a.AsSlice())
		}
	}
	f.Add([]byte{1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		p := Policy{}
		err := p.check(a)
		u := a.Unmap()
		if err == nil && (!u.IsGlobalUnicast() || u.IsPrivate()) {
			t.Errorf("%s allowed", a)
		}
		if u.Is4() {
			if mapped := p.check(netip.AddrFrom16(u.As16())); (mapped == nil) != (err == nil) {
				t.Errorf("%s and its mapped form are decided differently", u)
			}
		}
	})
}
