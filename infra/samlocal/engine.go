package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// engine is the Docker engine that is used, and how it came to be.
type engine struct {
	how    string // found or installed
	daemon *process
	bridge string // the address at which containers see this machine
}

// machine is what engines depend on, apart from this program so that its
// decisions can be tested.
type machine struct {
	answers func(context.Context) error // whether an engine does
	root    bool
	has     func(program string) bool
	install func(context.Context) error
	start   func(context.Context) (*process, error)
}

// errNotRun means that nothing was tried, since no engine can be had.
var errNotRun = errors.New("NOT RUN")

// errNoEngine says what is missing and how to ask for it.
var errNoEngine = errors.New("no Docker engine answers")

// findEngine gives the engine that runs; without one, and where it was asked to,
// it installs and starts one.
func findEngine(ctx context.Context, m machine, docker string, say func(string, ...any)) (*engine, error) {
	err := m.answers(ctx)
	if err == nil {
		return &engine{how: "found"}, nil
	}
	switch {
	case docker != "install":
		return nil, fmt.Errorf("%w (%w)\n  start one, or, on Debian or Ubuntu as root, let this do it: make sam-local DOCKER=install", errNoEngine, err)
	case !m.root:
		return nil, fmt.Errorf("%w, and DOCKER=install needs root: run it as root, or start an engine that your user may use", errNoEngine)
	case !m.has("dockerd") && !m.has("apt-get"):
		return nil, fmt.Errorf("%w, and DOCKER=install knows Debian's packages only: apt-get was not found", errNoEngine)
	}
	if !m.has("dockerd") || !m.has("docker") {
		say("installing a Docker engine from Debian's packages (docker.io), as DOCKER=install asks")
		if err := m.install(ctx); err != nil {
			return nil, fmt.Errorf("install docker.io: %w", err)
		}
	}
	if m.answers(ctx) == nil { // the package's own service
		return &engine{how: "installed"}, nil
	}
	say("starting the Docker engine")
	daemon, err := m.start(ctx)
	if err != nil {
		return nil, err
	}
	return &engine{how: "installed", daemon: daemon}, nil
}

// thisMachine is the one that this program runs on.
func thisMachine(logs string) machine {
	return machine{
		answers: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if _, err := exec.LookPath("docker"); err != nil {
				return errors.New("the program docker is not on PATH")
			}
			_, err := docker(ctx, "version", "--format", "{{.Server.Version}}")
			return err
		},
		root: os.Geteuid() == 0,
		has:  func(program string) bool { _, err := exec.LookPath(program); return err == nil },
		install: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
			defer cancel()
			env := append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			if _, err := output(ctx, env, "apt-get", "update", "--quiet"); err != nil {
				return err
			}
			_, err := output(ctx, env, "apt-get", "install", "--quiet", "--yes", "docker.io", "iptables")
			return err
		},
		start: func(ctx context.Context) (*process, error) { return startDaemon(ctx, logs) },
	}
}

// startDaemon starts an engine, with the plainest storage driver where the
// engine's own choice does not work, as inside of many containers.
func startDaemon(ctx context.Context, logs string) (*process, error) {
	var failed error
	for _, driver := range []string{"", "vfs"} {
		argv := []string{"dockerd"}
		if driver != "" {
			argv = append(argv, "--storage-driver="+driver)
		}
		daemon, err := background("dockerd", filepath.Join(logs, "dockerd.log"), os.Environ(), argv...)
		if err != nil {
			return nil, err
		}
		err = daemon.await(ctx, time.Minute, func() bool {
			_, err := docker(ctx, "version", "--format", "{{.Server.Version}}")
			return err == nil
		})
		if err == nil {
			return daemon, nil
		}
		daemon.stop()
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// docker runs the client and gives what it printed, trimmed.
func docker(ctx context.Context, args ...string) (string, error) {
	out, err := output(ctx, os.Environ(), append([]string{"docker"}, args...)...)
	return strings.TrimSpace(out), err
}

// findBridge asks for the address of this machine on the network that containers
// are on. Some engines name no gateway, but all name the interface.
func (e *engine) findBridge(ctx context.Context) error {
	name, err := docker(ctx, "network", "inspect", "bridge", "--format", `{{index .Options "com.docker.network.bridge.name"}}`)
	if err != nil {
		return err
	}
	e.bridge, err = addressOf(name)
	return err
}

// addressOf is the first IPv4 address of an interface.
func addressOf(name string) (string, error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return "", fmt.Errorf("the engine's bridge %q is no interface of this machine (this works on Linux, with an engine that runs there itself): %w", name, err)
	}
	addresses, err := device.Addrs()
	if err != nil {
		return "", err
	}
	for _, a := range addresses {
		if at, ok := a.(*net.IPNet); ok && at.IP.To4() != nil {
			return at.IP.String(), nil
		}
	}
	return "", fmt.Errorf("the engine's bridge %s has no address", name)
}
