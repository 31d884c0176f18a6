package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
)

// told keeps what a person is told.
type told []string

func (t *told) say(format string, _ ...any) { *t = append(*t, format) }

// without is a machine where no engine answers until something has made it.
type without struct {
	machine
	did []string
}

func newWithout(root bool, programs ...string) *without {
	w := &without{}
	up := false
	w.machine = machine{root: root,
		answers: func(context.Context) error {
			if up {
				return nil
			}
			return errors.New("nobody listens")
		},
		has:     func(program string) bool { return slices.Contains(programs, program) },
		install: func(context.Context) error { w.did = append(w.did, "install"); return nil },
		start: func(context.Context) (*process, error) {
			w.did = append(w.did, "start")
			up = true
			return &process{}, nil
		},
	}
	return w
}

func TestAnEngineThatRunsIsUsedAndNotEnded(t *testing.T) {
	m := newWithout(true, "dockerd")
	m.answers = func(context.Context) error { return nil }
	e, err := findEngine(t.Context(), m.machine, "install", (&told{}).say)
	if err != nil || e.how != "found" || e.daemon != nil || len(m.did) > 0 {
		t.Errorf("%+v, %v, it did %v", e, err, m.did)
	}
}

func TestNothingIsInstalledUnasked(t *testing.T) {
	m := newWithout(true, "apt-get")
	_, err := findEngine(t.Context(), m.machine, "", (&told{}).say)
	if !errors.Is(err, errNoEngine) || !strings.Contains(err.Error(), "make sam-local DOCKER=install") || len(m.did) > 0 {
		t.Errorf("%v, it did %v", err, m.did)
	}
}

func TestWhereNothingCanBeInstalledItSaysWhy(t *testing.T) {
	for name, m := range map[string]*without{"needs root": newWithout(false, "apt-get"), "apt-get was not found": newWithout(true)} {
		_, err := findEngine(t.Context(), m.machine, "install", (&told{}).say)
		if !errors.Is(err, errNoEngine) || !strings.Contains(err.Error(), name) || len(m.did) > 0 {
			t.Errorf("%s: %v, it did %v", name, err, m.did)
		}
	}
}

func TestAnEngineIsInstalledAndStartedOnlyAsFarAsItIsMissing(t *testing.T) {
	for want, m := range map[string]*without{"install start": newWithout(true, "apt-get"), "start": newWithout(true, "docker", "dockerd")} {
		e, err := findEngine(t.Context(), m.machine, "install", (&told{}).say)
		if err != nil || e.how != "installed" || e.daemon == nil || strings.Join(m.did, " ") != want {
			t.Errorf("%+v, %v, it did %v, want %s", e, err, m.did, want)
		}
	}
}

func TestAPackageThatStartsItsEngineIsLeftToIt(t *testing.T) {
	m := newWithout(true, "apt-get")
	up := false
	m.answers = func(context.Context) error {
		if up {
			return nil
		}
		return errors.New("nobody listens")
	}
	m.install = func(context.Context) error { up = true; return nil }
	e, err := findEngine(t.Context(), m.machine, "install", (&told{}).say)
	if err != nil || e.daemon != nil || len(m.did) > 0 {
		t.Errorf("%+v, %v, it did %v", e, err, m.did)
	}
}

func TestTheBaseImageIsAWSsWhereverItCanBeHad(t *testing.T) {
	fails := errors.New("no such host")
	for name, c := range map[string]struct {
		has             bool
		reachable, pull error
		want            string
	}{
		"it is here":              {true, fails, fails, "real"},
		"it can be pulled":        {false, nil, nil, "real"},
		"its registry is away":    {false, fails, nil, "stand-in"},
		"the pull breaks off":     {false, nil, fails, "stand-in"},
		"nothing works but this ": {false, fails, fails, "stand-in"},
	} {
		built, loud := false, &told{}
		got, err := chooseBase(t.Context(), images{
			has:       func(context.Context, string) bool { return c.has },
			reachable: func(context.Context) error { return c.reachable },
			pull:      func(context.Context, string) error { return c.pull },
			build:     func(context.Context) error { built = true; return nil },
		}, loud.say)
		if err != nil || got.kind != c.want || built != (c.want == "stand-in") {
			t.Errorf("%s: %+v, %v, built: %t", name, got, err, built)
		}
		if built && (got.name == realImage() || !strings.Contains(strings.Join(*loud, "\n"), "NOT AWS's base image")) {
			t.Errorf("%s: the stand-in is called %s, and it says %q", name, got.name, *loud)
		}
	}
}

func TestAStandInThatCannotBeBuiltEndsTheRun(t *testing.T) {
	fails := errors.New("no")
	_, err := chooseBase(t.Context(), images{has: func(context.Context, string) bool { return false },
		reachable: func(context.Context) error { return fails }, build: func(context.Context) error { return fails }}, (&told{}).say)
	if !errors.Is(err, fails) {
		t.Error(err)
	}
}

func TestAPortThatIsTakenIsSaidBeforeAnythingSlow(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w := &world{options: options{port: taken.Addr().(*net.TCPAddr).Port}}
	if err := w.portIsFree(); err == nil || !strings.Contains(err.Error(), "PORT=N") {
		t.Error(err)
	}
	_ = taken.Close()
	if err := w.portIsFree(); err != nil {
		t.Error(err)
	}
}

func TestWordsThatAreNotKnownAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-docker", "yes"}, {"-events", "few"}, {"-port", "0"}, {"-port", "http"}, {"-port", "65536"}} {
		if o, err := parse(args); err == nil {
			t.Errorf("%v: %+v", args, o)
		}
	}
	o, err := parse([]string{"-once", "-docker", "install", "-events", "all", "-port", "3001"})
	if want := (options{once: true, docker: "install", events: "all", port: 3001}); err != nil || o != want {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestOnlyAPrivateBridgeIsListenedOn(t *testing.T) {
	for _, address := range []string{"", "0.0.0.0", "203.0.113.7", "bridge", "::"} {
		if _, err := newBridge(address, t.TempDir()+"/certificate.pem"); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	b, err := newBridge("172.17.0.1", t.TempDir()+"/certificate.pem")
	if err != nil || len(b.networks()) != 1 || b.networks()[0].String() != "172.17.0.1/32" {
		t.Errorf("%v, %v", b, err)
	}
}
