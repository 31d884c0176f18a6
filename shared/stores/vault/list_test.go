package vault

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// hostile lists the same names in every folder.
func hostile(t *testing.T, keys string) (*fakeVault, broker.Want) {
	f := newFake(t)
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = fmt.Fprintf(w, `{"data":{"keys":[%s]}}`, keys)
		return true
	}
	w := want(t, f.registered(t, broker.AuthToken), "vault:kv/x#a")
	w.Store.Paths = broker.Scope{"kv/mcp/*"}
	return f, w
}

// TestAWalkEndsWhateverVaultAnswers: folders in folders without end.
func TestAWalkEndsWhateverVaultAnswers(t *testing.T) {
	for _, keys := range []string{`"a/","b/"`, `"a/"`} {
		f, w := hostile(t, keys)
		for after, pages := "", 0; pages < 5; pages++ {
			before := len(f.paths)
			found, next, err := open(time.Now).List(t.Context(), w, after, 10)
			if len(found) > 0 || len(f.paths)-before > maxRequests {
				t.Fatalf("%d requests found %v", len(f.paths)-before, found)
			}
			if err != nil || next == "" {
				break
			}
			if next <= after {
				t.Fatalf("it goes back from %q to %q", after, next)
			}
			after = next
		}
	}
}

// TestNamesThatLeaveTheirFolderAreNotListed: dot segments, slashes, wildcards,
// what no reference can hold.
func TestNamesThatLeaveTheirFolderAreNotListed(t *testing.T) {
	f, w := hostile(t, `"..","../","x/../../sys","*","a b","","/","é","x?version=1","x#y","fine"`)
	found, _, err := open(time.Now).List(t.Context(), w, "", 10)
	if err != nil || len(found) != 1 || found[0].String() != "vault:kv/mcp/fine" {
		t.Errorf("listed %v, %v", found, err)
	}
	if len(f.paths) != 1 {
		t.Errorf("asked %v", f.paths)
	}
}

func TestAnAnswerThatIsNoListIsAFault(t *testing.T) {
	for _, keys := range []string{`1`, `"` + strings.Repeat(`a","`, maxNames+1) + `"`} {
		_, w := hostile(t, keys)
		if _, _, err := open(time.Now).List(t.Context(), w, "", 10); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%.20s: %v", keys, err)
		}
	}
}
