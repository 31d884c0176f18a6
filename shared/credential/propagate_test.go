package credential

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
)

func everyone() []broker.Propagation {
	return []broker.Propagation{
		{Attribute: "email", Header: "X-Forwarded-Email"}, {Attribute: "subject", Header: "x-user"}, {Attribute: "groups", Header: "X-Groups"},
		{Attribute: "principal", Header: "X-Principal"}, {Attribute: "agent", Header: "X-Agent"},
	}
}

func alice() *broker.Principal {
	return &broker.Principal{ID: "p-abc", Subject: "00u1", Email: "alice@corp.example", Groups: []string{"dev", "ops"}, Agent: "okta:ide"}
}

func TestUpstreamLearnsWhoCallsFromVerifiedAttributesOnly(t *testing.T) {
	h := http.Header{
		"X-Forwarded-Email": {"mallory@corp.example", "bob@corp.example"}, "x-user": {"root"}, "X-USER": {"root"}, "X-Groups": {"admin"},
		"Bindery-Receipt": {"forged"}, "bindery-mode": {"forged"}, "BINDERY-Anything": {"forged"}, "Binderyx": {"kept"},
	}
	if err := Propagate(h, &broker.Server{Propagate: everyone()}, alice(), "01RECEIPT", broker.ServiceAccount); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"X-Forwarded-Email": {"alice@corp.example"}, "X-User": {"00u1"}, "X-Groups": {"dev,ops"}, "X-Principal": {"p-abc"}, "X-Agent": {"okta:ide"},
		"Bindery-Receipt": {"01RECEIPT"}, "Bindery-Mode": {"service_account"}, "Binderyx": {"kept"},
	}
	if !maps.EqualFunc(h, want, slices.Equal) {
		t.Errorf("the upstream sees %q, want %q", h, want)
	}
}

// A client must not be able to fill the place of an attribute its token lacks.
func TestMissingAttributeLeavesNoHeader(t *testing.T) {
	h := http.Header{"X-Forwarded-Email": {"mallory@corp.example"}, "X-Groups": {"admin"}, "X-Agent": {"x"}, "X-User": {"root"}, "X-Principal": {"p"}}
	if err := Propagate(h, &broker.Server{Propagate: everyone()}, &broker.Principal{}, "01RECEIPT", broker.AgentScoped); err != nil {
		t.Fatal(err)
	}
	if len(h) != 2 || h.Get("Bindery-Mode") != "agent_scoped" {
		t.Errorf("the upstream sees %q, want receipt and mode alone", h)
	}
}

func TestAttributesCannotInjectAndDecodeExactly(t *testing.T) {
	for _, subject := range []string{
		"a\r\nX-Admin: yes", "a\x00b", " lead", "trail ", "tab\t", "caf\u00e9", "\u4e16\u754c", "100%", "%41", "\x7f", "a,b", "\xff", "<a@b>; c=\"d\"",
	} {
		p := &broker.Principal{Subject: subject, Groups: []string{subject, "x,y", "plain"}}
		h := http.Header{}
		if err := Propagate(h, &broker.Server{Propagate: everyone()}, p, "r", broker.ServiceAccount); err != nil {
			t.Fatal(err)
		}
		for name, values := range h {
			for i := range len(values[0]) {
				if c := values[0][i]; c <= ' ' || c > '~' || len(values) != 1 {
					t.Errorf("%q: %s holds byte %#x", subject, name, c)
				}
			}
		}
		if got, err := url.PathUnescape(h.Get("X-User")); err != nil || got != subject {
			t.Errorf("%q is read as %q (%v)", subject, got, err)
		}
		groups := strings.Split(h.Get("X-Groups"), ",")
		for i := range groups {
			groups[i], _ = url.PathUnescape(groups[i])
		}
		if !slices.Equal(groups, p.Groups) {
			t.Errorf("groups %q are read as %q", p.Groups, groups)
		}
	}
	if encode("alice+x@corp.example", "") != "alice+x@corp.example" {
		t.Error("a plain e-mail was changed")
	}
}

func TestTooLongIdentityIsRefusedNotCut(t *testing.T) {
	p := &broker.Principal{Groups: slices.Repeat([]string{"group-with-a-long-name"}, 400)}
	if err := Propagate(http.Header{}, &broker.Server{Propagate: everyone()}, p, "r", broker.ServiceAccount); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
}

func TestPropagationThatCannotBeHonouredIsRefused(t *testing.T) {
	for _, p := range []broker.Propagation{
		{Attribute: "password", Header: "X-User"}, {Attribute: "", Header: "X-User"}, {Attribute: "email"}, {Attribute: "email", Header: "X User"},
		{Attribute: "email", Header: "Authorization"}, {Attribute: "email", Header: "cookie"}, {Attribute: "email", Header: "Host"},
		{Attribute: "email", Header: "content-length"}, {Attribute: "email", Header: "Mcp-Session-Id"}, {Attribute: "email", Header: "Bindery-User"},
	} {
		if err := CheckServer(broker.Server{Propagate: []broker.Propagation{p}}); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%+v: the check says %v, want ErrInvalid", p, err)
		}
		err := Propagate(http.Header{}, &broker.Server{Propagate: []broker.Propagation{p}}, alice(), "r", broker.ServiceAccount)
		if !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", p, err)
		}
	}
}

// One header cannot say two things.
func TestServerThatFillsAHeaderTwiceIsRefused(t *testing.T) {
	token, email := inHeader("X-Api-Key", "{token}"), broker.Propagation{Attribute: "email", Header: "X-Email"}
	for what, s := range map[string]broker.Server{
		"credential over identity":       {Attach: []broker.Attachment{token}, Propagate: []broker.Propagation{{Attribute: "email", Header: "x-api-KEY"}}},
		"two attributes in one":          {Propagate: []broker.Propagation{email, {Attribute: "subject", Header: "x-email"}}},
		"attachment that cannot be made": {Attach: []broker.Attachment{inHeader("Host", "{token}")}, Propagate: everyone()},
	} {
		if err := CheckServer(s); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	good := broker.Server{Attach: []broker.Attachment{token, basic("bot:{token}"), inQuery("x-email", "{token}")}, Propagate: everyone()}
	if err := CheckServer(good); err != nil {
		t.Error(err)
	}
}

func BenchmarkPropagate(b *testing.B) {
	server, p, h := &broker.Server{Propagate: everyone()}, alice(), http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		if err := Propagate(h, server, p, "01RECEIPT", broker.ServiceAccount); err != nil {
			b.Fatal(err)
		}
	}
}
