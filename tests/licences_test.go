package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bindery/infra/licence"
)

func TestLicencesOfDependencies(t *testing.T) {
	if _, err := os.ReadFile("../go.sum"); err != nil { // so that a changed go.sum is not answered from the test cache
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-deps", "-test", "-tags", "e2e",
		"-f", "{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}}\t{{.Dir}}{{end}}{{end}}", "./...")
	list.Dir, list.Stderr = "..", os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing dependencies: %v", err)
	}
	count := map[string]int{}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if dir == "" || seen[name] {
			continue
		}
		seen[name] = true
		ids, err := licence.OfModule(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		count[strings.Join(ids, " and ")]++
	}
	if len(seen) < 10 {
		t.Fatalf("only %d dependencies were found: the listing is wrong", len(seen))
	}
	t.Logf("%d dependencies: %v", len(seen), count)
}

func TestLicencesAreToldApart(t *testing.T) {
	for text, want := range map[string]string{
		"                    Apache License\n           Version 2.0, January 2004":                                                     "Apache-2.0",
		"MIT License\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy of this software and associated": "MIT",
		"Mozilla Public License, version 2.0\n\n1. Definitions ... GNU General Public License":                                         "MPL-2.0",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007":                                                                          "",
		"GNU AFFERO GENERAL PUBLIC LICENSE":                                                                                            "",
		"Business Source License 1.1":                                                                                                  "",
		"All rights reserved.":                                                                                                         "",
		"Server Side Public License, version 1":                                                                                        "",
	} {
		if got := licence.Of(text); got != want {
			t.Errorf("%.40q is taken for %q, want %q", text, got, want)
		}
	}
	if ids, err := licence.OfModule(t.TempDir()); err == nil {
		t.Errorf("a module without a licence passes as %q", ids)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"LICENSE": "Apache License Version 2.0, January 2004", "LICENSE.enterprise": "All rights reserved."} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := licence.OfModule(dir); err == nil {
		t.Errorf("a second, unknown licence is overlooked: %q", ids)
	}
}
