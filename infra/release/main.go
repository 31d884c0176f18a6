// Command release makes what is handed out of one version: the compiled functions,
// what they are made of, and how to see that it is all genuine.
//
// The idea: the same commit and the same Go give the same bytes, in whatever
// folder and on whatever machine, so that nobody has to believe a signature alone.
// All of a release hangs on one file, SHA256SUMS, which is signed.
//
// It never releases what is not committed, a module whose licence is not known, or
// something that holds a path of the machine; it keeps no key, and uploads nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release: "+err.Error())
		os.Exit(1)
	}
}

// release is one being made.
type release struct {
	version       string
	functions     []string
	architectures []string // as Lambda names them
	key           string   // file of the signing key, or of its public half where an agent has it
	dir           string   // what is handed out

	commit string
	at     time.Time // of the commit: the only time in a release
	golang string
	proxy  string // where Go gets modules from, which go.sum holds to their sums
}

// signing is what the signature is for: one made for anything else does not verify.
const signing = "bindery-release"

// versions are those of semantic versioning, without build metadata.
const versions = `^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$`

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	var r release
	flags.StringVar(&r.version, "version", "", "the version, as in 1.2.3")
	flags.StringVar(&r.key, "key", "", "SSH key that signs; without one nothing is signed")
	functions := flags.String("functions", "", "the functions, with spaces between")
	architectures := flags.String("architectures", "arm64 x86_64", "for which they are built")
	into := flags.String("into", "build", "folder in which the release's own folder is made")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !regexp.MustCompile(versions).MatchString(r.version) {
		return errors.New("VERSION must be a semantic version, as in VERSION=1.2.3")
	}
	r.functions, r.architectures = strings.Fields(*functions), strings.Fields(*architectures)
	if len(r.functions) == 0 || len(r.architectures) == 0 || flags.NArg() > 0 {
		return errors.New("it takes -version, -functions, and perhaps -key, -architectures, -into")
	}
	folder, err := filepath.Abs(*into)
	if err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	r.dir = filepath.Join(folder, "bindery-"+r.version)
	if err := r.facts(ctx); err != nil {
		return err
	}
	if err := r.make(ctx); err != nil {
		return errors.Join(err, os.RemoveAll(r.dir))
	}
	fmt.Println("release: " + r.dir)
	return nil
}

// compiled is what the functions are made of, and what go and make would take
// instead of it if it were there.
var compiled = []string{"functions", "shared", "vendor", "go.work", "GNUmakefile", "makefile"}

// facts finds out what is released.
func (r *release) facts(ctx context.Context) error {
	changed, err := output(ctx, "git", "status", "--porcelain", "--untracked-files=no")
	switch {
	case err != nil:
		return err
	case changed != "":
		return errors.New("the tree has changes that are not committed: what is released must be in a commit")
	}
	beside, err := output(ctx, "git", append([]string{"ls-files", "--others", "--exclude=*.test", "--exclude=*.out", "--"}, compiled...)...)
	switch {
	case err != nil:
		return err
	case beside != "":
		return fmt.Errorf("what is not committed would be compiled in: %s", strings.ReplaceAll(beside, "\n", ", "))
	}
	if r.commit, err = output(ctx, "git", "rev-parse", "HEAD"); err != nil {
		return err
	}
	stamp, err := output(ctx, "git", "show", "-s", "--format=%ct", "HEAD")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return errors.New("git gives no time of the commit")
	}
	r.at = time.Unix(seconds, 0).UTC()
	if r.golang, err = output(ctx, "go", "env", "GOVERSION"); err != nil {
		return err
	}
	r.proxy, err = output(ctx, "go", "env", "GOPROXY")
	return err
}

func (r *release) make(ctx context.Context) error {
	if _, err := os.Stat(r.dir); err == nil {
		return errors.New("the release's folder is there already: a release is made once")
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return fmt.Errorf("make the release's folder: %w", err)
	}
	built, err := os.MkdirTemp("", "bindery-release-")
	if err != nil {
		return fmt.Errorf("make a folder to build in: %w", err)
	}
	defer os.RemoveAll(built)
	if err := r.build(ctx, built); err != nil {
		return err
	}
	found, err := modules(ctx)
	if err != nil {
		return err
	}
	all, err := r.pack(built, found)
	if err != nil {
		return err
	}
	if err := r.notices(ctx, all, found); err != nil {
		return err
	}
	if err := r.sum(); err != nil {
		return err
	}
	return r.sign(ctx)
}

// output runs a command and gives what it prints, without the line's end.
func output(ctx context.Context, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
