package main

import (
	"bytes"
	"context"
	_ "embed" // the list of missing extensions
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"bindery/infra/conformance/oauthclient"
)

//go:embed missing-extensions.txt
var missingExtensions string

const (
	// clientRole is the argument that makes this very binary the client that the
	// suite tests.
	clientRole = "oauth-client"
	// clientTime is below the suite's own limit, so that a client that hangs says so.
	clientTime = 25 * time.Second
	warning    = "WARNING"
)

// actAsClient is one run of the client for one scenario. What it says goes to
// the suite's log.
func actAsClient(server string) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	defer cancel()
	err := oauthclient.Run(ctx, oauthclient.Scenario{
		Name: os.Getenv("MCP_CONFORMANCE_SCENARIO"), Version: os.Getenv("MCP_CONFORMANCE_PROTOCOL_VERSION"),
		Context: []byte(os.Getenv("MCP_CONFORMANCE_CONTEXT")), Server: server,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// authorize runs the authorization scenarios of one revision. The suite runs the
// others too, which the client leaves alone.
func (t *tester) authorize(ctx context.Context, r revision) (line string, err error) {
	line = r.name + "  OAuth client"
	self, err := os.Executable()
	if err != nil {
		return line, err
	}
	name := r.name + "-oauth-client"
	folder := filepath.Join(t.folder, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return line, fmt.Errorf("%s: %w", name, err)
	}
	var said bytes.Buffer
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = t.suite.RunClient(limited, self+" "+clientRole, r.name, folder, &said)
	if wrote := os.WriteFile(filepath.Join(t.folder, name+".log"), said.Bytes(), 0o600); err == nil {
		err = wrote
	}
	if err != nil {
		return line, fmt.Errorf("%s: %w", name, err)
	}
	scenarios, checks, err := readAuthorization(os.DirFS(folder))
	if err != nil {
		return line, fmt.Errorf("%s: %w", name, err)
	}
	line = fmt.Sprintf("%s  %d scenarios  %d passed  %d failed (DPoP, which is not there: infra/conformance/missing-extensions.txt)",
		line, scenarios, count(checks, success), count(checks, failure))
	if wrong := judgeClient(r, scenarios, checks, missing()); len(wrong) > 0 {
		return line, fmt.Errorf("%s is not as it should be:\n  %s", name, strings.Join(wrong, "\n  "))
	}
	return line, nil
}

func missing() map[string]bool {
	list := map[string]bool{}
	for line := range strings.Lines(missingExtensions) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list[line] = true
		}
	}
	return list
}

var clientResults = regexp.MustCompile(`^(auth/.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

// readAuthorization reads the results of the authorization scenarios.
func readAuthorization(folder fs.FS) (scenarios int, all []check, err error) {
	files, err := fs.Glob(folder, "auth/*/checks.json")
	if err != nil {
		return 0, nil, err
	}
	for _, file := range files {
		named := clientResults.FindStringSubmatch(path.Dir(file))
		if named == nil {
			return 0, nil, errors.New(path.Dir(file) + " is no folder of the suite's results")
		}
		checks, err := readChecks(folder, file, named[1])
		if err != nil {
			return 0, nil, err
		}
		all = append(all, checks...)
	}
	return len(files), all, nil
}

// judgeClient wants each scenario to have run and to have passed something, and
// to fail what is listed and nothing else. A warning is a failure: it is a SHOULD
// of the specification.
func judgeClient(r revision, scenarios int, checks []check, missing map[string]bool) (wrong []string) {
	if scenarios != r.authorized {
		wrong = append(wrong, fmt.Sprintf("%d scenarios have results, and %d should", scenarios, r.authorized))
	}
	failed, passed := map[string]bool{}, map[string]bool{}
	for _, c := range checks {
		passed[c.Scenario] = passed[c.Scenario] || c.Status == success
		if c.Status != failure && c.Status != warning {
			continue
		}
		if !missing[c.name()] && !failed[c.name()] {
			wrong = append(wrong, fmt.Sprintf("%s: %s and not in the list: %s", c.name(), c.Status, c.Error))
		}
		failed[c.name()] = true
	}
	if len(passed) != scenarios || slices.Contains(slices.Collect(maps.Values(passed)), false) {
		wrong = append(wrong, "a scenario passed nothing")
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		if !failed[name] {
			wrong = append(wrong, fmt.Sprintf("%q is stale: it does not fail; take it from the list", name))
		}
	}
	return wrong
}
