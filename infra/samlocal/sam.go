package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bindery/infra/local/stack"
)

// settingsFile is what differs from run to run: issuers, addresses. Everything
// else stands in template.yaml and samconfig.toml.
const settingsFile = ".local/sam/settings.json"

// env is the environment of SAM: what a program needs to run, an account that is
// none, and the local endpoint, so that it asks nobody else who it is.
func (w *world) env() []string {
	env := []string{"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_DEFAULT_REGION=" + stack.Region, "AWS_REGION=" + stack.Region,
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_ENDPOINT_URL=" + w.moto,
		"SAM_CLI_TELEMETRY=0", "SAM_CLI_CHECK_LATEST_VERSION=0", "LAMBDA_ARCH=" + architecture}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "SAM_") && name != "LAMBDA_ARCH" && name != "MAKEFLAGS" && name != "MAKELEVEL" {
			env = append(env, entry)
		}
	}
	return env
}

func (w *world) tool() string { return filepath.Join(w.root, "infra", "tools", "sam", "sam") }

func (w *world) built() string    { return filepath.Join(".local", "sam", "build") }
func (w *world) template() string { return filepath.Join(w.built(), "template.yaml") }

// build is `sam build`: SAM calls the targets of the Makefile for each function.
func (w *world) build(ctx context.Context) error {
	said, err := output(ctx, w.env(), w.tool(), "build", "--build-dir", w.built(), "--config-env", "local")
	w.quote(said, "Build Succeeded", "Built Artifacts", "Built Template")
	return err
}

// quote shows lines of what SAM said, in its own words.
func (w *world) quote(said string, beginnings ...string) {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(line, b) }) {
			w.say("  sam: %s", line)
		}
	}
}

// sam is a `sam local` command with what all of them are told.
func (w *world) sam(command ...string) []string {
	return append(append([]string{w.tool()}, command...), "--config-file", filepath.Join(w.root, "samconfig.toml"), "--config-env", "local", "--template", w.template(),
		"--env-vars", settingsFile, "--invoke-image", w.image)
}

// writeSettings says what the functions are told beside the template: all of them,
// and some by their name.
func (w *world) writeSettings(all map[string]string, some map[string]map[string]string) error {
	all["AWS_ENDPOINT_URL"] = w.aws
	all["BINDERY_PRIVATE_NETWORKS"] = w.bridge.networks()[0].String()
	settings := map[string]map[string]string{"Parameters": all}
	maps.Copy(settings, some)
	text, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(settingsFile, text, 0o600); err != nil {
		return fmt.Errorf("write the functions' settings: %w", err)
	}
	return nil
}
