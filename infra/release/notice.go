package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bindery/infra/licence"
)

// module is one that the functions may be made of.
type module struct {
	dir      string
	licences []string
}

// modules are all that any function needs, by path@version.
func modules(ctx context.Context) (map[string]module, error) {
	listed, err := output(ctx, "go", "list", "-deps", "-tags", "lambda.norpc",
		"-f", "{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}}\t{{.Dir}}{{end}}{{end}}", "./functions/...")
	if err != nil {
		return nil, err
	}
	found := map[string]module{}
	for line := range strings.Lines(listed) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if dir == "" || found[name].dir != "" {
			continue
		}
		ids, err := licence.OfModule(dir)
		if err != nil {
			return nil, fmt.Errorf("the licence of %s: %w", name, err)
		}
		found[name] = module{dir, ids}
	}
	return found, nil
}

// notices writes the licences of everything that is in any of the binaries, with
// the notices that some want passed on.
func (r *release) notices(ctx context.Context, all []artifact, found map[string]module) error {
	var used []string
	for _, a := range all {
		for _, d := range a.info.Deps {
			used = append(used, d.Path+"@"+d.Version)
		}
	}
	slices.Sort(used)
	var out strings.Builder
	fmt.Fprintf(&out, "Bindery %s is under the Apache License 2.0. Its functions are made of what follows, too.\n", r.version)
	for _, name := range slices.Compact(used) {
		if err := notice(&out, name, found[name].dir); err != nil {
			return err
		}
	}
	root, err := output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	if err := notice(&out, "Go's standard library, "+r.golang, root); err != nil {
		return err
	}
	return r.store("LICENCES.txt", []byte(out.String()))
}

func notice(out *strings.Builder, name, dir string) error {
	files, err := licence.Files(dir)
	if err != nil {
		return err
	}
	more, err := filepath.Glob(filepath.Join(dir, "NOTICE*"))
	if err != nil {
		return fmt.Errorf("look for notices: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no licence file", name)
	}
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read a licence file: %w", err)
		}
		fmt.Fprintf(out, "\n==== %s, %s\n\n%s\n", name, filepath.Base(file), strings.TrimSpace(string(text)))
	}
	return nil
}
