package parts

import (
	"os"
	"path/filepath"
	"testing"
)

// `make run` is killed outright: nothing that it started stays behind.
func TestAChildDiesWhenItsParentIsKilled(t *testing.T) {
	parent, read := startRole(t, "parent")
	pidFile := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pidFile, []byte(read()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	mustBeDead(t, pidFile)
}
