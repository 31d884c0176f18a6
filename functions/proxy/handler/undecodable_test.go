package handler

import (
	"fmt"
	"net/http"
	"testing"

	"bindery/shared/broker"
)

// TestAStoredRowThatDoesNotDecodeIsTheOwnersToMend: of the person's grant or of a
// sealed value. The caller hears that the credential failed, not that Bindery did,
// and not to try again; the record says why; nobody else's call is affected.
func TestAStoredRowThatDoesNotDecodeIsTheOwnersToMend(t *testing.T) {
	c := newConsenting(t, &personal{})
	c.consent(t, "alice", canary+"-alice")
	c.consent(t, "bob", canary+"-bob")
	all, _, err := c.tables.ScanGrants(t.Context(), "prod", "", broker.MaxScan)
	if err != nil || len(all) != 2 {
		t.Fatal(err, len(all))
	}
	if err := c.tables.Spoil("prod", all[0].GrantKey); err != nil {
		t.Fatal(err)
	}
	codes := map[int]int{}
	for _, who := range []string{"alice", "bob"} {
		w := c.send(who, modernCall(canURL, "tools/call", ""))
		codes[w.Code]++
		if w.Code == http.StatusOK {
			continue
		}
		if r := c.reason(t, w); r.Reason != broker.RowUndecodable || r.Status != http.StatusBadGateway || w.Header().Get(errorHeader) != "credential_failed" || w.Header().Get("Retry-After") != "" {
			t.Errorf("answered %d %v, recorded %s %d", w.Code, w.Header(), r.Reason, r.Status)
		}
	}
	if codes[http.StatusOK] != 1 || codes[http.StatusBadGateway] != 1 {
		t.Errorf("answered %v", codes)
	}
	sealed := fmt.Errorf("read the sealed value: %w: %w", broker.ErrUndecodable, broker.ErrInvalid)
	if p := problemOf(sealed); p.Name != "credential_failed" {
		t.Errorf("a sealed value: %s", p.Name)
	}
}
