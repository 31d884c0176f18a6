package wire

import (
	"errors"
	"net/netip"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/config"
)

func TestStoresThatCannotBeRegistered(t *testing.T) {
	listed := broker.Store{Kind: "env", Paths: broker.Scope{"BINDERY_SECRET_A"}}
	at := func(address string, networks ...netip.Prefix) broker.Store {
		return broker.Store{Kind: "vault", Paths: broker.Scope{"*"}, Address: address, Networks: networks,
			Auth: broker.StoreAuth{Method: broker.AuthAWSIAM, Mount: "aws", Role: "bindery", ServerID: "vault.example.com"}}
	}
	private := netip.MustParsePrefix("10.20.0.0/16")
	for name, s := range map[string]broker.Store{
		"plain http": at("http://vault.example.com"), "loopback": at("https://127.0.0.1:8200"), "metadata": at("https://169.254.169.254", private),
		"a closed network": at("https://10.20.0.1:8200"), "another network": at("https://10.21.0.1:8200", private),
		"a query": at("https://vault.example.com/?x=1"), "no address": at(""), "an unknown kind": {Kind: "vaults", Paths: broker.Scope{"*"}},
		"any variable": {Kind: "env", Paths: broker.Scope{"*"}}, "a variable of the role": {Kind: "env", Paths: broker.Scope{"AWS_SESSION_TOKEN"}},
		"an address for the environment": {Kind: "env", Paths: listed.Paths, Address: "https://vault.example.com"},
	} {
		if err := CheckStore(config.Config{})(s); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []broker.Store{listed, at("https://vault.example.com:8200"), at("https://10.20.0.1:8200", private), {Kind: "aws-sm"}, {Kind: "sealed"}} {
		if err := CheckStore(config.Config{})(s); err != nil {
			t.Errorf("%s: %v", s.Kind, err)
		}
	}
	if err := CheckStore(config.Config{Local: true})(at("http://127.0.0.1:8200")); err != nil {
		t.Error(err)
	}
}
