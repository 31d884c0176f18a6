package main

import (
	"runtime/debug"
	"strings"
	"testing"
)

// TestWhatCannotBeToldIsNotReleased: a module that is replaced, unknown, or
// without a sum.
func TestWhatCannotBeToldIsNotReleased(t *testing.T) {
	const sum = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	found := map[string]module{"example.com/a@v1.0.0": {"dir", []string{"MIT"}}}
	good := debug.Module{Path: "example.com/a", Version: "v1.0.0", Sum: sum}
	c, err := library(&good, found)
	if err != nil || c.PURL != "pkg:golang/example.com/a@v1.0.0?type=module" || c.Hashes[0].Content != strings.Repeat("0", 64) || c.Licences[0].Licence.ID != "MIT" {
		t.Errorf("%+v, %v", c, err)
	}
	for name, m := range map[string]debug.Module{
		"replaced":      {Path: good.Path, Version: good.Version, Sum: sum, Replace: &good},
		"another one":   {Path: good.Path, Version: "v1.0.1", Sum: sum},
		"without a sum": {Path: good.Path, Version: good.Version},
		"a broken sum":  {Path: good.Path, Version: good.Version, Sum: "h1:AAAA"},
	} {
		if c, err := library(&m, found); err == nil {
			t.Errorf("%s passes as %+v", name, c)
		}
	}
}
