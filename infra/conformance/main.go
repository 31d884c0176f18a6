// Command conformance runs the official MCP conformance suite against the
// official everything-server, directly and through Bindery, and compares. A
// client must not be able to tell that Bindery is in the path, so each check
// must end the same way on both: what the suite finds at fault in the
// everything-server itself is listed in expected-failures.txt, and the list must
// be exact.
//
// Besides, it is the client that the suite's authorization scenarios test: what
// of Bindery faces the providers of upstreams (package oauthclient).
//
// It never judges Bindery as a server by a list of its own failures: there is
// none. As an OAuth client it has one extension to miss, listed in
// missing-extensions.txt.
package main

import (
	"bytes"
	"context"
	_ "embed" // the list of known failures
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bindery/infra/local/parts"
)

//go:embed expected-failures.txt
var expectedFailures string

// revision is one revision of the specification that the suite tests.
type revision struct {
	name       string
	stateful   bool // whether the everything-server keeps sessions
	passed     int  // checks that the everything-server passes when asked directly
	authorized int  // scenarios of authorization that the suite has for a client
}

func revisions() []revision {
	return []revision{{"2026-07-28", false, 165, 31}, {"2025-11-25", true, 82, 20}}
}

// patience is the longest that one run of the suite may take: it takes seconds,
// but each scenario that hangs costs half a minute.
const patience = 10 * time.Minute

func main() {
	if len(os.Args) == 3 && os.Args[1] == clientRole { // started by the suite, as the client under test
		os.Exit(actAsClient(os.Args[2]))
	}
	runs := flag.Int("runs", 1, "how often the suite runs through Bindery")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if *runs < 1 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "conformance: RUNS must be a number from 1")
		os.Exit(2)
	}
	if !run(ctx, *runs) {
		os.Exit(1)
	}
}

// tester is what every run of the suite needs.
type tester struct {
	suite    *parts.Suite
	world    *world
	expected map[string]bool
	folder   string // results, and the logs of suite and Bindery
	progress parts.Progress
}

// run reports whether all is as it should be. It keeps the results when not, and
// says where. One line for each revision is the last that it prints.
func run(ctx context.Context, runs int) bool {
	began := time.Now()
	t := &tester{progress: func(format string, args ...any) {
		fmt.Printf("  %5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}}
	lines, err := t.all(ctx, runs)
	switch {
	case ctx.Err() != nil:
		_ = os.RemoveAll(t.folder)
		fmt.Println("stopped, nothing is left running")
		return false
	case err != nil:
		fmt.Fprintf(os.Stderr, "\nconformance: %s\n", err)
		if t.folder != "" {
			fmt.Fprintf(os.Stderr, "results and logs: %s\n", t.folder)
		}
		fmt.Fprintln(os.Stderr)
	default:
		_ = os.RemoveAll(t.folder)
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	return err == nil
}

// all starts everything and gives one line for each revision.
func (t *tester) all(ctx context.Context, runs int) (lines []string, err error) {
	if t.expected, err = parseExpected(expectedFailures); err != nil {
		return nil, err
	}
	if t.suite, err = parts.ConformanceSuite(ctx, t.progress); err != nil {
		return nil, err
	}
	if t.folder, err = os.MkdirTemp("", "bindery-conformance-"); err != nil {
		return nil, fmt.Errorf("make a folder for the results: %w", err)
	}
	t.world = &world{}
	if err = t.world.start(ctx, t.folder, t.progress); err == nil {
		for _, r := range revisions() {
			line, wrong := t.compare(ctx, r, runs)
			lines, err = append(lines, line), errors.Join(err, wrong)
		}
		for _, r := range revisions() {
			line, wrong := t.authorize(ctx, r)
			lines, err = append(lines, line), errors.Join(err, wrong)
		}
	}
	t.world.stop() // Bindery's log is complete then
	return lines, errors.Join(err, leaks(t.folder, t.world.canaries))
}

// compare runs one revision directly once and through Bindery as often as
// asked. The line tells the lowest count.
func (t *tester) compare(ctx context.Context, r revision, runs int) (line string, err error) {
	var wrong []string
	direct, err := t.once(ctx, r, t.world.direct[r.name], r.name+"-direct")
	if err != nil {
		wrong = append(wrong, err.Error())
	} else {
		wrong = append(wrong, judge(r, direct, t.expected)...)
	}
	lowest := len(direct)
	for n := 1; n <= runs && err == nil; n++ { // without a direct run there is nothing to compare with
		name := fmt.Sprintf("%s-bindery-%d", r.name, n)
		through, failed := t.once(ctx, r, t.world.through[r.name], name)
		lowest = min(lowest, count(through, success))
		if failed != nil {
			wrong = append(wrong, failed.Error())
			continue
		}
		for _, difference := range differences(direct, through) {
			wrong = append(wrong, name+": "+difference)
		}
	}
	line = fmt.Sprintf("%s  direct %d passed  through Bindery %d passed", r.name, count(direct, success), lowest)
	if len(wrong) > 0 {
		return line, fmt.Errorf("%s is not as it should be:\n  %s", r.name, strings.Join(wrong, "\n  "))
	}
	return line, nil
}

// once runs the suite at one address.
func (t *tester) once(ctx context.Context, r revision, url, name string) ([]check, error) {
	folder := filepath.Join(t.folder, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var said bytes.Buffer
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := t.suite.Run(limited, url, r.name, folder, &said)
	if wrote := os.WriteFile(filepath.Join(t.folder, name+".log"), said.Bytes(), 0o600); err == nil {
		err = wrote
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	checks, err := readResults(os.DirFS(folder), said.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t.progress("%s: %d passed, %d failed (known ones: infra/conformance/expected-failures.txt)", name, count(checks, success), count(checks, failure))
	return checks, nil
}

// leaks looks in everything that was written for what only Bindery and the
// upstream, or only Bindery and the caller, may know.
func leaks(folder string, canaries []string) error {
	return filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(canaries, func(c string) bool { return bytes.Contains(text, []byte(c)) }) {
			return fmt.Errorf("%s holds a credential or a token", filepath.Base(path))
		}
		return nil
	})
}
