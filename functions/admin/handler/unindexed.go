package handler

import (
	"context"
	"fmt"

	"bindery/shared/broker"
)

// unindexed answers for tables that cannot be asked yet.
type unindexed struct{}

func (unindexed) fault() error {
	return fmt.Errorf("read the audit index: %w", broker.ErrUnavailable)
}
func (u unindexed) Receipt(context.Context, string) ([]broker.Record, error) { return nil, u.fault() }
func (u unindexed) Entries(context.Context, broker.AuditFilter, string, int) (broker.AuditPage, error) {
	return broker.AuditPage{}, u.fault()
}
func (u unindexed) SeenOf(context.Context, string, broker.SeenKind, string, string, int) ([]broker.Seen, string, error) {
	return nil, "", u.fault()
}
func (u unindexed) Usages(context.Context, string, []broker.Binding) (map[string]broker.Usage, error) {
	return nil, u.fault()
}
func (u unindexed) Rotations(context.Context, string, []string) (map[string]broker.Rotation, error) {
	return nil, u.fault()
}
func (u unindexed) Lag(context.Context, string) (broker.Lag, error) { return broker.Lag{}, u.fault() }
func (u unindexed) UsesOfStore(context.Context, string, string, string, int) ([]broker.Use, string, error) {
	return nil, "", u.fault()
}
func (u unindexed) UsesOfReference(context.Context, string, broker.Reference, string, int) ([]broker.Use, string, error) {
	return nil, "", u.fault()
}
