package wire

import (
	"errors"
	"net/netip"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/config"
)

func TestServersThatCannotBeRegistered(t *testing.T) {
	bearer := []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}
	private := []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}
	for url, opened := range map[string][]netip.Prefix{
		"http://api.example.com/mcp": nil, "https://169.254.169.254/latest": nil, "http://127.0.0.1:8080/mcp": nil, "https://10.20.0.1/mcp": nil,
		"https://10.21.0.1/mcp": private, "https://user:made-up@api.example.com/mcp": nil, "https://[::1]/mcp": private,
	} {
		s := broker.Server{URL: url, Attach: bearer, Networks: opened}
		if err := CheckServer(config.Config{})(s); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for url, opened := range map[string][]netip.Prefix{"https://api.example.com/mcp": nil, "https://10.20.0.1/mcp": private} {
		if err := CheckServer(config.Config{})(broker.Server{URL: url, Attach: bearer, Networks: opened}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := CheckServer(config.Config{Local: true})(broker.Server{URL: "http://127.0.0.1:8080/mcp", Attach: bearer}); err != nil {
		t.Error(err)
	}
}
