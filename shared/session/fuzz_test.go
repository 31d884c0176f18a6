package session

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// No text but the very id that was made is anything but unknown.
func FuzzUnwrap(f *testing.F) {
	d := newDeployment()
	s := d.process()
	id := wrap(f, s, alice, begun)
	f.Add(id)
	f.Add(id[:len(id)-1])
	f.Add(id + "\n")
	f.Add(forged(dayOf(d.now())))
	f.Add(prefix)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := s.Unwrap(t.Context(), alice, text)
		switch {
		case text == id && (err != nil || v.Upstream != begun.Upstream):
			t.Errorf("the id itself: %v", err)
		case text != id && (err != ErrUnknown || v.Upstream != "" || v.Binding != ""):
			t.Errorf("%q: %+v, %v", text, v, err)
		}
	})
}

// Whatever an upstream and a client call themselves, an id is refused or comes
// back the same, at its owner only.
func FuzzRoundTrip(f *testing.F) {
	d := newDeployment()
	s := d.process()
	f.Add("up", "binding", "2025-11-25", "roots elicitation.url", "server", "origin", "principal", "agent")
	f.Add("", "b", "v", "", "s", "o", "p", "")
	f.Add("a b", "B", "", " ", "", "", "", "")
	f.Fuzz(func(t *testing.T, upstream, binding, version, capabilities, server, origin, principal, agent string) {
		v := Session{Upstream: upstream, Binding: binding, Version: version}
		if capabilities != "" {
			v.Capabilities = strings.Split(capabilities, " ")
		}
		o := Owner{server, origin, principal, agent}
		id, err := s.Wrap(t.Context(), o, v)
		if err != nil {
			if !errors.Is(err, broker.ErrInvalid) || id != "" {
				t.Errorf("%q, %v", id, err)
			}
			return
		}
		if !visible(id, minLength, MaxLength) {
			t.Errorf("the id is not fit for a header: %q", id)
		}
		v.Expires = d.now().Add(Life)
		got, err := s.Unwrap(t.Context(), o, id)
		if diff := cmp.Diff(v, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if shifted := (Owner{agent, server, origin, principal}); shifted != o {
			mustBeUnknown(t, "shifted by one part", s, shifted, id)
		}
		o.Principal += "x"
		mustBeUnknown(t, "another principal", s, o, id)
	})
}

// What is read from a box is just what would be written into it: no text reads
// as a session that has another spelling.
func FuzzPlain(f *testing.F) {
	v := begun
	v.Expires = time.Unix(1_800_000_000, 0)
	plain := string(appendPlain(nil, v))
	f.Add(plain)
	f.Add(plain + "x")
	f.Add(plain[:len(plain)-1])
	f.Add(string(appendPlain(nil, Session{})))
	f.Add(strings.Repeat("\xff", 40))
	f.Fuzz(func(t *testing.T, text string) {
		v, ok := readPlain(text)
		if ok && (!slices.Equal(appendPlain(nil, v), []byte(text)) || plainSize(v) != len(text)) {
			t.Errorf("%q reads as %+v, which is written otherwise", text, v)
		}
	})
}
