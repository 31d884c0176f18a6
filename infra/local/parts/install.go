package parts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stamp is the file that says an install is complete.
const stamp = ".complete"

// install returns the folder that holds what fill made from the pins, filling
// it when it is not there yet. The folder's name carries a digest of the pins,
// so a changed pin is a new install. fill gets an empty folder that is moved to
// its final name afterwards: what it writes must not name its own place.
func (h home) install(ctx context.Context, p Progress, name string, pins []string, fill func(dir string) error) (string, error) {
	final := filepath.Join(h.local, name+"-"+digest(pins))
	if complete(final) {
		return final, nil
	}
	unlock, err := h.lock(ctx, p, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(final) { // another process did it while this one waited
		return final, nil
	}
	work := filepath.Join(h.local, "tmp", name)
	for _, leftover := range []string{work, final} {
		if err := os.RemoveAll(leftover); err != nil {
			return "", fmt.Errorf("%w: clearing an unfinished install of %s: %w", ErrInstall, name, err)
		}
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", fmt.Errorf("%w: making a folder for %s: %w", ErrInstall, name, err)
	}
	defer os.RemoveAll(work) // nothing is left of it after the move
	if err := fill(work); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(work, stamp), nil, 0o644); err != nil {
		return "", fmt.Errorf("%w: finishing %s: %w", ErrInstall, name, err)
	}
	if err := os.Rename(work, final); err != nil {
		return "", fmt.Errorf("%w: finishing %s: %w", ErrInstall, name, err)
	}
	return final, nil
}

func complete(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stamp))
	return err == nil
}

// digest names pins by content. Lengths keep ("ab","c") and ("a","bc") apart.
func digest(pins []string) string {
	h := sha256.New()
	for _, pin := range pins {
		fmt.Fprintf(h, "%d\n%s", len(pin), pin)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// lock takes the part's install lock, which the kernel releases if this process
// dies. It waits for another installer until the context ends.
func (h home) lock(ctx context.Context, p Progress, name string) (unlock func(), err error) {
	dir := filepath.Join(h.local, "lock")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: making %s: %w", ErrInstall, dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%w: locking %s: %w", ErrInstall, name, err)
	}
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("%w: locking %s: %w", ErrInstall, name, err)
		}
		if !said {
			p.say("%s: waiting for another process that is installing it", name)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("%w: waiting for another process that installs %s: %w", ErrInstall, name, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tool is one run of an installer (pip, mvn, npm, go): silent unless it fails.
type tool struct {
	dir    string
	env    []string // added to the caller's: installers need its proxies and mirrors
	doing  string   // "installing moto from the Python package index"
	advice string   // what to do when it fails
	argv   []string
}

// tryAgain is the advice for everything that downloads, and is followed once before
// it is given: what a network fails in once, it mostly does the next time.
const tryAgain = "check the network and try again"

// run runs the tool to its end. When the context ends, so does its whole
// process group.
func (t tool) run(ctx context.Context) error {
	err := t.once(ctx)
	if err != nil && t.advice == tryAgain && ctx.Err() == nil {
		err = t.once(ctx)
	}
	return err
}

func (t tool) once(ctx context.Context) error {
	out := newTranscript("", nil)
	cmd := exec.Command(t.argv[0], t.argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.dir, out, out
	cmd.Env = callerEnv(t.env...)
	c, err := spawn(cmd)
	if err != nil {
		return fmt.Errorf("%w: %s: starting %s: %w", ErrInstall, t.doing, t.argv[0], err)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.stop(2 * time.Second)
		return fmt.Errorf("%w: %s: stopped: %w", ErrInstall, t.doing, context.Cause(ctx))
	}
	if c.err != nil {
		return fmt.Errorf("%w: %s ended with %q: %s; its last lines were:%s",
			ErrInstall, t.doing, strings.TrimSpace(c.err.Error()), t.advice, out.tail())
	}
	return nil
}

// npmInstall writes a package's files into dir and installs what its lock file
// pins. No script of a package runs.
func npmInstall(ctx context.Context, dir, what string, files map[string]string) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("%w: npm was not found: install Node 20 or newer with npm", ErrRuntime)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("%w: writing %s of %s: %w", ErrInstall, name, what, err)
		}
	}
	npm := tool{dir: dir, doing: "installing " + what + " from the npm registry", advice: tryAgain,
		argv: []string{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"}}
	return npm.run(ctx)
}
