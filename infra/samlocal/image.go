package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// base is the image that stands for the Lambda runtime.
type base struct {
	name string
	kind string // real or stand-in
}

const (
	registry = "public.ecr.aws"
	standIn  = "bindery-sam-local-stand-in:latest"
)

// architecture of machine, build and image, as samconfig.toml has it for local.
const architecture = "x86_64"

func realImage() string { return registry + "/lambda/provided:al2023-" + architecture }

// images is what the choice of a base image depends on.
type images struct {
	has       func(ctx context.Context, name string) bool
	reachable func(context.Context) error
	pull      func(ctx context.Context, name string) error
	build     func(context.Context) error // the stand-in
}

// chooseBase takes AWS's image, and only where it cannot be had a stand-in. It
// never gives the stand-in the name of the real one.
func chooseBase(ctx context.Context, i images, say func(string, ...any)) (base, error) {
	name := realImage()
	if i.has(ctx, name) {
		return base{name, "real"}, nil
	}
	err := i.reachable(ctx)
	if err == nil {
		say("pulling AWS's base image %s (once)", name)
		if err = i.pull(ctx, name); err == nil {
			return base{name, "real"}, nil
		}
	}
	say("NOT AWS's base image: %s cannot be had here (%s)", name, firstLine(err))
	say("  building a stand-in: a static busybox from Debian's packages; the functions and SAM's own Lambda runtime emulator run in it")
	if err := i.build(ctx); err != nil {
		return base{}, fmt.Errorf("build a stand-in for the base image: %w", err)
	}
	return base{standIn, "stand-in"}, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func dockerImages(work string) images {
	return images{
		has: func(ctx context.Context, name string) bool {
			_, err := docker(ctx, "image", "inspect", "--format", "{{.Id}}", name)
			return err == nil
		},
		reachable: func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+registry+"/v2/", nil)
			if err != nil {
				return err
			}
			response, err := (&http.Client{Timeout: 5 * time.Second}).Do(r)
			if err != nil {
				return fmt.Errorf("%s does not answer", registry)
			}
			return response.Body.Close()
		},
		pull: func(ctx context.Context, name string) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
			defer cancel()
			_, err := docker(ctx, "pull", "--quiet", name)
			return err
		},
		build: func(ctx context.Context) error { return buildStandIn(ctx, work) },
	}
}

// buildStandIn makes an image of a static busybox: SAM's emulator wants a shell
// to be installed by, and the functions are static programs that want nothing.
func buildStandIn(ctx context.Context, work string) error {
	root := filepath.Join(work, "stand-in")
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	for _, folder := range []string{"bin", "tmp", "opt", "var/task", "var/runtime", "var/rapid", "etc/pki/tls/certs"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	defer os.RemoveAll(root)
	busybox, err := staticBusybox(ctx, root)
	if err != nil {
		return err
	}
	if _, err := output(ctx, os.Environ(), "install", "-m", "0755", busybox, filepath.Join(root, "bin", "busybox")); err != nil {
		return err
	}
	for _, applet := range []string{"sh", "mv", "cp", "chmod", "rm", "ls", "cat"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o1777|os.ModeSticky); err != nil {
		return err
	}
	archive := filepath.Join(work, "stand-in.tar")
	defer os.Remove(archive)
	if _, err := output(ctx, os.Environ(), "tar", "--create", "--owner=0", "--group=0", "--file", archive, "--directory", root,
		"bin", "tmp", "opt", "var", "etc"); err != nil {
		return err
	}
	_, _ = docker(ctx, "image", "rm", standIn) // that of a run before would stay without its name
	_, err = docker(ctx, "import", "--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime",
		"--change", "WORKDIR /var/task", "--change", "LABEL bindery=stand-in", archive, standIn)
	return err
}

// staticBusybox is the one of the package busybox-static, installed or not.
func staticBusybox(ctx context.Context, beside string) (string, error) {
	if listed, err := output(ctx, os.Environ(), "dpkg", "-L", "busybox-static"); err == nil {
		for line := range strings.Lines(listed) {
			if path := strings.TrimSpace(line); strings.HasSuffix(path, "bin/busybox") {
				return path, nil
			}
		}
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", fmt.Errorf("the package busybox-static cannot be had: %w", err)
	}
	at := beside + ".package"
	if err := os.RemoveAll(at); err != nil {
		return "", err
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	script := `cd "$1" && apt-get download --quiet busybox-static && dpkg-deb --extract busybox-static_*.deb .`
	if _, err := output(ctx, os.Environ(), "sh", "-c", script, "sh", at); err != nil {
		return "", err
	}
	for _, path := range []string{"usr/bin/busybox", "bin/busybox"} {
		if _, err := os.Stat(filepath.Join(at, path)); err == nil {
			return filepath.Join(at, path), nil
		}
	}
	return "", fmt.Errorf("busybox-static holds no busybox")
}

// trusting makes the image that SAM is told to use: the base, and in it the
// certificate of this run. Its name is new each time, since SAM keeps what it
// made of a name.
func trusting(ctx context.Context, from, certificate string) (name string, err error) {
	name = "bindery-sam-local-" + strings.ToLower(rand.Text()[:10])
	container, err := docker(ctx, "create", from, "/none")
	if err != nil {
		return "", err
	}
	defer func() { _, _ = docker(context.WithoutCancel(ctx), "rm", container) }()
	if _, err := docker(ctx, "cp", certificate, container+":/etc/pki/tls/certs/bindery-sam-local.pem"); err != nil {
		return "", err
	}
	_, err = docker(ctx, "commit", container, name+":latest")
	return name, err
}

// forget removes an image of trusting, what SAM made of it, and the containers
// that run it: nobody else's, since the name is this run's own.
func forget(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, tag := range []string{"rapid-" + architecture, "latest"} {
		image := name + ":" + tag
		running, err := docker(ctx, "ps", "--all", "--quiet", "--filter", "ancestor="+image)
		if err == nil && running != "" {
			_, _ = docker(ctx, append([]string{"rm", "--force"}, strings.Fields(running)...)...)
		}
		_, _ = docker(ctx, "rmi", image)
	}
}
