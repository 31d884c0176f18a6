package tests

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// licences that may be in what the product and its tests are made of, and the
// words by which each is known. Tools that only look at the source (see
// infra/tools) are not part of it.
var licences = map[string]string{
	"Apache-2.0": "apache license version 2.0, january 2004",
	"MIT":        "permission is hereby granted, free of charge, to any person obtaining a copy of this software",
	"BSD":        "redistribution and use in source and binary forms, with or without modification, are permitted provided",
	"ISC":        "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted",
	"MPL-2.0":    "mozilla public license version 2.0",
}

// licence names the licence of a text, or nothing.
func licence(text string) string {
	text = strings.ReplaceAll(strings.ToLower(text), "mozilla public license, version", "mozilla public license version")
	text = strings.Join(strings.Fields(text), " ")
	for _, name := range slices.Sorted(maps.Keys(licences)) {
		if strings.Contains(text, licences[name]) {
			return name
		}
	}
	return ""
}

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
		kind, err := licenceOf(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		count[kind]++
	}
	if len(seen) < 10 {
		t.Fatalf("only %d dependencies were found: the listing is wrong", len(seen))
	}
	t.Logf("%d dependencies: %v", len(seen), count)
}

// licenceOf reads every licence file of a module: one unknown refuses it.
func licenceOf(dir string) (kind string, err error) {
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "licen[cs]e*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "-SUMMARY") {
				continue // aws-lambda-go: says which of its licence files covers what
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			if kind = licence(string(text)); kind == "" {
				return "", fmt.Errorf("%s is none of Apache, MIT, BSD, ISC, MPL", filepath.Base(file))
			}
		}
	}
	if kind == "" {
		return "", fmt.Errorf("it has no licence file")
	}
	return kind, nil
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
		if got := licence(text); got != want {
			t.Errorf("%.40q is taken for %q, want %q", text, got, want)
		}
	}
	if kind, err := licenceOf(t.TempDir()); err == nil {
		t.Errorf("a module without a licence passes as %q", kind)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"LICENSE": "Apache License Version 2.0, January 2004", "LICENSE.enterprise": "All rights reserved."} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if kind, err := licenceOf(dir); err == nil {
		t.Errorf("a second, unknown licence is overlooked: %q", kind)
	}
}
