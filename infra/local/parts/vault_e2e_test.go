//go:build e2e

package parts

import (
	"testing"
	"time"
)

func TestVaultServesOnLoopbackOnlyAndSeals(t *testing.T) {
	began := time.Now()
	v, err := Vault(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Stop()
	t.Logf("ready in %s", time.Since(began).Round(time.Millisecond))
	mustListenOnLoopbackOnly(t, v.URL)
	for _, step := range []struct {
		path   string
		sealed bool
	}{{"sys/seal", true}, {"", false}} {
		if step.path != "" {
			if err := v.Do(t.Context(), "PUT", step.path, nil, nil); err != nil {
				t.Fatal(err)
			}
		} else if err := v.Unseal(t.Context()); err != nil {
			t.Fatal(err)
		}
		var status struct{ Sealed bool }
		if err := v.Do(t.Context(), "GET", "sys/seal-status", nil, &status); err != nil || status.Sealed != step.sealed {
			t.Errorf("sealed %t after %q: %v", status.Sealed, step.path, err)
		}
	}
	mustBeGone(t, v.Process)
}
