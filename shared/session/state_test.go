package session

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func questioned(d *deployment) State {
	return State{Call: "digest-of-call", Need: "digest-of-need", Refused: "3.7", Link: "https://mcp.example.com/connect/MADEUP", Expires: d.now().Add(10 * time.Minute).Truncate(time.Second)}
}

func TestAStateOpensForItsOwnerUntilItsEnd(t *testing.T) {
	d := newDeployment()
	asked := questioned(d)
	text, err := d.process().SealState(t.Context(), alice, asked)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.process().OpenState(t.Context(), alice, text); err != nil || !cmp.Equal(got, asked) {
		t.Errorf("opened %+v, %v", got, err)
	}
	unknown := func(what string, o Owner, text string) {
		t.Helper()
		if got, err := d.process().OpenState(t.Context(), o, text); err != ErrUnknown || got != (State{}) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for what, change := range map[string]func(o *Owner){
		"Bob":                func(o *Owner) { o.Principal = "p-bob" },
		"another server":     func(o *Owner) { o.Server = "jira" },
		"the origin changed": func(o *Owner) { o.Origin = "digest-of-another" },
		"another agent":      func(o *Owner) { o.Agent = "a-crawler" },
	} {
		o := alice
		change(&o)
		unknown(what, o, text)
	}
	for what, other := range map[string]string{
		"nothing": "", "cut short": text[:len(text)-1], "longer": text + "A", "a line break": text + "\n", "one bit": flip(text),
		"endless": strings.Repeat("A", maxState+1), "not base64": "%" + text[1:], "a day and nothing": text[:6],
	} {
		unknown(what, alice, other)
	}
	d.pass(10 * time.Minute)
	unknown("expired", alice, text)
}

// flip changes one letter in the middle.
func flip(text string) string {
	b := []byte(text)
	if b[len(b)/2] == 'A' {
		b[len(b)/2] = 'B'
	} else {
		b[len(b)/2] = 'A'
	}
	return string(b)
}

// TestAStateIsNoSessionAndASessionNoState: both are sealed under one key.
func TestAStateIsNoSessionAndASessionNoState(t *testing.T) {
	d := newDeployment()
	s := d.process()
	text, err := s.SealState(t.Context(), alice, questioned(d))
	if err != nil {
		t.Fatal(err)
	}
	mustBeUnknown(t, "a state as a session", s, alice, prefix+text)
	id := wrap(t, s, alice, begun)
	if _, err := s.OpenState(t.Context(), alice, strings.TrimPrefix(id, prefix)); err != ErrUnknown {
		t.Errorf("a session as a state: %v", err)
	}
}

func TestWhatAStateCannotCarryIsRefused(t *testing.T) {
	d := newDeployment()
	for what, change := range map[string]func(*State, *Owner){
		"an endless link": func(v *State, _ *Owner) { v.Link = strings.Repeat("x", maxStateText+1) },
		"no end":          func(v *State, _ *Owner) { v.Expires = time.Time{} },
		"no owner":        func(_ *State, o *Owner) { o.Principal = "" },
	} {
		v, o := questioned(d), alice
		change(&v, &o)
		if text, err := d.process().SealState(t.Context(), o, v); !errors.Is(err, broker.ErrInvalid) || text != "" {
			t.Errorf("%s: %q, %v", what, text, err)
		}
	}
	d.breakWith(broker.ErrUnavailable)
	if _, err := d.process().SealState(t.Context(), alice, questioned(d)); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("without its key: %v", err)
	}
}
