//go:build e2e

package stack_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/config"
)

// TestAMarkerWithoutACaseGetsOne: the stream of the revocations table reaches the
// cleanup function, which makes up for whoever died after the marker.
func TestAMarkerWithoutACaseGetsOne(t *testing.T) {
	t.Parallel()
	p, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	d := &stack.Deployment{AWS: stack.AWS(p.URL), Config: config.Config{Environment: "dev", Local: true, PublicURL: "http://127.0.0.1",
		Tables: config.Tables{Catalogue: "catalogue", Revocations: "revocations", Grants: "grants", Transient: "transient", Audit: "audit", AuditIndex: "audit-index"}}}
	create(t, d)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.FollowRevocations(ctx, slog.New(slog.DiscardHandler))
	}()
	defer func() { stop(); <-ended }()
	now := time.Now().UTC()
	id := broker.FirstReceipt(now) + "7000000000000000"
	m := broker.Marker{Environment: "dev", Kind: broker.BindingMarker, ID: "github/dev", Epoch: 1, Revoked: true, At: now, By: "event/made-up/1", Reason: "a test", Revocation: id}
	if err := d.DB.PutMarker(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); ; {
		c, err := d.DB.Revocation(t.Context(), "dev", id)
		switch {
		case err == nil && c.Via == broker.ViaEvent && c.Subject == "github/dev":
			return
		case err != nil && !errors.Is(err, broker.ErrNotFound), time.Now().After(until):
			t.Fatalf("%v, %+v", err, c)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
