package parts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bindery/shared/secret"
)

// script makes an executable in a new folder that is all of PATH.
func scriptOnPath(t *testing.T, scripts map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, body := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return dir
}

func TestAMissingOrOldRuntimeIsOneClearSentence(t *testing.T) {
	javac17 := "#!/bin/sh\necho javac 17.0.15"
	cases := []struct {
		name    string
		scripts map[string]string
		start   func(context.Context, home) error
		want    []string
	}{
		{"no Python", nil, startMoto, []string{"python3 was not found", "Python 3.10", "AWS_ENDPOINT_URL"}},
		{"old Python", map[string]string{"python3": "#!/bin/sh\nprintf '/x\\n3.8.18\\nFalse\\n'"}, startMoto, []string{"3.8.18", "too old", "Python 3.10"}},
		{"broken Python", map[string]string{"python3": "#!/bin/sh\nexit 127"}, startMoto, []string{"does not run", "Python 3.10"}},
		{"no Java", nil, startDynamo, []string{"java was not found", "JDK 17"}},
		{"Java without compiler", map[string]string{"java": "#!/bin/sh"}, startDynamo, []string{"javac was not found", "JDK 17"}},
		{"old Java", map[string]string{"java": "#!/bin/sh", "javac": "#!/bin/sh\necho javac 11.0.2"}, startDynamo, []string{"11.0.2", "too old", "JDK 17"}},
		{"no Maven", map[string]string{"java": "#!/bin/sh", "javac": javac17}, startDynamo, []string{"mvn was not found", "Maven"}},
		{"no Node", nil, startOIDC, []string{"node was not found", "Node 20"}},
		{"old Node", map[string]string{"node": "#!/bin/sh\necho v16.3.0"}, startOIDC, []string{"v16.3.0", "too old", "Node 20"}},
		{"no npm", map[string]string{"node": "#!/bin/sh\necho v22.1.0"}, startOIDC, []string{"npm was not found", "Node 20"}},
		{"no Node for the suite", nil, startSuite, []string{"node was not found", "Node 20"}},
		{"no npm for the suite", map[string]string{"node": "#!/bin/sh\necho v22.1.0"}, startSuite, []string{"npm was not found", "Node 20"}},
		{"no Node for clients", nil, startClients, []string{"node was not found", "Node 20"}},
		{"no npm for clients", map[string]string{"node": "#!/bin/sh\necho v22.1.0"}, startClients, []string{"npm was not found", "Node 20"}},
		{"no Go", nil, startEverything, []string{"go was not found", "Go 1.26"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			scriptOnPath(t, c.scripts)
			err := c.start(t.Context(), testHome(t))
			if !errors.Is(err, ErrRuntime) {
				t.Fatalf("start = %v, want ErrRuntime", err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func startMoto(ctx context.Context, h home) error    { _, err := h.moto(ctx, nil); return err }
func startClients(ctx context.Context, h home) error { _, err := h.mcpClients(ctx, nil); return err }
func startDynamo(ctx context.Context, h home) error  { _, err := h.dynamoDBLocal(ctx, nil); return err }
func startEverything(ctx context.Context, h home) error {
	_, err := h.buildEverything(ctx, nil)
	return err
}
func startSuite(ctx context.Context, h home) error {
	_, err := h.conformanceSuite(ctx, nil)
	return err
}
func startOIDC(ctx context.Context, h home) error {
	_, err := h.oidcProvider(ctx, nil, OIDCConfig{})
	return err
}

func TestAMotoServerOnPathIsUsedOnlyWhenItsSeriesFits(t *testing.T) {
	cases := map[string]struct {
		version string
		ok      bool
	}{
		"same series":     {"5.2.9", true},
		"older series":    {"5.1.22", false},
		"other major":     {"15.2.1", false},
		"parts missing":   {"", false},
		"look-alike name": {"5.20.0", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			python := filepath.Join(dir, "python3.12")
			scriptOnPath(t, map[string]string{"moto_server": "#!" + python + " -s\nimport moto\n"})
			body := "#!/bin/sh\n[ -n \"" + c.version + "\" ] || exit 1\necho " + c.version + " " + python + "\n"
			if err := os.WriteFile(python, []byte(body), 0o755); err != nil {
				t.Fatal(err)
			}
			got, ok := motoOnPath(t.Context())
			if ok != c.ok || (ok && got != python) {
				t.Errorf("motoOnPath = %q, %t; want %t", got, ok, c.ok)
			}
		})
	}
}

// A version manager puts a shell script in the way: the python3 on PATH answers.
func TestAShimLeadsToThePythonOnPath(t *testing.T) {
	scriptOnPath(t, map[string]string{
		"moto_server": "#!/usr/bin/env bash\nexec shim\n",
		"python3":     "#!/bin/sh\necho 5.2.1 /opt/python/bin/python3\n",
	})
	if got, ok := motoOnPath(t.Context()); !ok || got != "/opt/python/bin/python3" {
		t.Errorf("motoOnPath = %q, %t", got, ok)
	}
}

// A mirror that delivers another file than the pinned one is caught.
func TestMavenArchivesOtherThanThePinnedOnesAreRefused(t *testing.T) {
	const list = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  x.jar\n" // sha256 of "x"
	cases := map[string]struct {
		files map[string]string
		want  string
	}{
		"as pinned": {map[string]string{"x.jar": "x"}, ""},
		"changed":   {map[string]string{"x.jar": "y"}, "x.jar"},
		"missing":   {nil, "did not deliver x.jar"},
		"besides":   {map[string]string{"x.jar": "x", "evil.jar": "x"}, "evil.jar"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := verifyArchives(dir, list)
			if c.want == "" && err != nil {
				t.Error(err)
			}
			if c.want != "" && (!errors.Is(err, ErrInstall) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("verifyArchives = %v, want ErrInstall about %q", err, c.want)
			}
		})
	}
}

func TestTheRepositoryIsFoundFromAnyFolderInsideIt(t *testing.T) {
	root := t.TempDir()
	inner := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(inner)
	if h, err := findHome(); err == nil {
		t.Errorf("found %s where no repository is", h.root)
	}
	for path, module := range map[string]string{root: "bindery", filepath.Join(root, "a"): "other"} {
		if err := os.WriteFile(filepath.Join(path, "go.mod"), []byte("module "+module+"\n\ngo 1.26\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := findHome()
	if err != nil {
		t.Fatal(err)
	}
	want, _ := filepath.EvalSymlinks(root)
	if got, _ := filepath.EvalSymlinks(h.root); got != want || filepath.Base(h.local) != ".local" {
		t.Errorf("found %s with %s, want %s", got, h.local, want)
	}
}

func TestTheProvidersDocumentHoldsItsClientsAndNoNulls(t *testing.T) {
	config := OIDCConfig{AccessTokenTTL: time.Minute, Clients: []OIDCClient{
		{ID: "desktop"}, {ID: "agent", Secret: secret.New("made-up-client-secret-01")}}}
	got, err := config.document("7001")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"issuer":"http://127.0.0.1:7001"`, `"accessTokenTTL":60`, `"users":[]`,
		`"token_endpoint_auth_method":"none"`, `"client_secret":"made-up-client-secret-01"`} {
		if !strings.Contains(got, want) {
			t.Errorf("document lacks %s", want)
		}
	}
	if strings.Contains(got, "null") {
		t.Error("document has a null where the provider expects a list")
	}
	for _, life := range []time.Duration{-time.Second, 500 * time.Millisecond, 1500 * time.Millisecond} {
		config.AccessTokenTTL = life
		if _, err := config.document("7001"); err == nil {
			t.Errorf("a token life of %s was accepted", life)
		}
	}
}

func TestAnAnswerToALoginCountsOnlyWithItsStateAndIssuer(t *testing.T) {
	const issuer, state = "http://127.0.0.1:7001", "s1"
	at := "http://127.0.0.1:9/callback?"
	for name, query := range map[string]string{
		"no code":      "state=s1&iss=" + issuer,
		"other state":  "code=c&state=s2&iss=" + issuer,
		"other issuer": "code=c&state=s1&iss=http://127.0.0.1:7002",
		"no issuer":    "code=c&state=s1",
		"refused":      "error=access_denied&state=s1&iss=" + issuer,
	} {
		if code, err := codeFrom(at+query, issuer, state); err == nil || !code.IsZero() {
			t.Errorf("%s: accepted", name)
		}
	}
	code, err := codeFrom(at+"code=c&state=s1&iss="+issuer, issuer, state)
	if err != nil || !code.Equal(secret.New("c")) {
		t.Errorf("a right answer was refused: %v", err)
	}
}
