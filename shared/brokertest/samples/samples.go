// Package samples runs the sample events of a function against golden files.
// It is for tests only.
package samples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Run gives each event of folder to answer, and holds what it gives to
// testdata/events/NAME.golden.json; with update it writes that file first.
func Run(t *testing.T, folder string, update bool, answer func(t *testing.T, file string) []byte) {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no sample events", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			got := answer(t, file)
			golden := filepath.Join("testdata", "events", name+".golden.json")
			if update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
