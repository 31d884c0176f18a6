package stack

import (
	"fmt"
	"log/slog"

	admin "bindery/functions/admin/handler"
	revocation "bindery/functions/revocation/handler"
	"bindery/shared/revoke"
)

// Revocation is the revocation function of the deployment.
func (d *Deployment) Revocation(log *slog.Logger) (*revocation.Handler, error) {
	return revocation.New(d.Config, d.as("revocation"), log)
}

// Admin is the admin function of the deployment. Where it would have Lambda invoke
// the revocation function, it hands the same bytes to that function's handler.
func (d *Deployment) Admin(log *slog.Logger) (*admin.Handler, error) {
	stops, err := d.Revocation(log)
	if err != nil {
		return nil, fmt.Errorf("the revocation function: %w", err)
	}
	h, err := admin.New(d.Config, d.as("admin"), log)
	if err != nil {
		return nil, err
	}
	h.RevokeThrough(revoke.Client{Invoke: stops.Invoke})
	return h, nil
}
