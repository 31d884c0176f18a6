//go:build e2e

package parts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Another process takes the port between our choice and the part's start: every
// real part says so in words that are understood, and gets another port.
func TestEachRealPartSurvivesABusyPort(t *testing.T) {
	starts := map[string]func(context.Context, home) (*Process, error){
		"moto":              func(ctx context.Context, h home) (*Process, error) { return h.moto(ctx, nil) },
		"dynamodb-local":    func(ctx context.Context, h home) (*Process, error) { return h.dynamoDBLocal(ctx, nil) },
		"everything-server": func(ctx context.Context, h home) (*Process, error) { return h.everythingServer(ctx, nil, true) },
		"oidc-provider": func(ctx context.Context, h home) (*Process, error) {
			o, err := h.oidcProvider(ctx, nil, OIDCConfig{})
			if err != nil {
				return nil, err
			}
			return o.Process, nil
		},
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			h, err := findHome()
			if err != nil {
				t.Fatal(err)
			}
			var given *int
			h.freePort, given = busyFirst(t, 1)
			p, err := start(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Stop()
			if *given != 2 || !listening(strings.TrimSuffix(strings.TrimPrefix(p.URL, "http://"), "/mcp")) {
				t.Errorf("asked for %d ports, serves on %s", *given, p.URL)
			}
		})
	}
}

// The network is down: the real installers fail, one sentence says what, from
// where and what to do, and nothing counts as installed.
func TestAFailedDownloadSaysWhatAndWhatToDo(t *testing.T) {
	nowhere := "http://127.0.0.1:9/"
	cases := map[string]struct {
		env     map[string]string
		install func(context.Context, home) error
		want    string
	}{
		"moto": {map[string]string{"PIP_INDEX_URL": nowhere, "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1", "PIP_FIND_LINKS": ""},
			func(ctx context.Context, h home) error { _, err := h.installMoto(ctx, nil); return err },
			"installing moto from the Python package index"},
		"oidc-provider": {map[string]string{"npm_config_registry": nowhere, "npm_config_fetch_retries": "0", "npm_config_cache": t.TempDir()},
			startOIDC, "installing oidc-provider from the npm registry"},
		"dynamodb-local": {map[string]string{"MAVEN_OPTS": "-Duser.home=" + mavenHome(t, nowhere)},
			startDynamo, "installing DynamoDB Local from the Maven repository"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			h := testHome(t)
			err := c.install(t.Context(), h)
			if !errors.Is(err, ErrInstall) {
				t.Fatalf("install = %v, want ErrInstall", err)
			}
			t.Log(err)
			sentence, _, _ := strings.Cut(err.Error(), "\n")
			for _, want := range []string{c.want, tryAgain} {
				if !strings.Contains(sentence, want) {
					t.Errorf("%q lacks %q", sentence, want)
				}
			}
		})
	}
}

// mavenHome is a user's home whose Maven asks one place for everything.
func mavenHome(t *testing.T, mirror string) string {
	t.Helper()
	home := t.TempDir()
	settings := "<settings><mirrors><mirror><id>only</id><mirrorOf>*</mirrorOf><url>" + mirror + "</url></mirror></mirrors></settings>"
	if err := os.Mkdir(filepath.Join(home, ".m2"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".m2", "settings.xml"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	return home
}
