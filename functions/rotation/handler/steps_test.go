package handler

import (
	"context"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/rotate"
	"bindery/shared/stores/awssm"
)

// announcing is Secrets Manager with one announced version, and an engine that
// has a plan for its secret.
type announcing struct{}

func (*announcing) Announced(_ context.Context, secretID, version string) (awssm.Announced, error) {
	if !strings.HasPrefix(version, "7c2d91e4-") {
		return awssm.Announced{}, broker.ErrConflict
	}
	return awssm.Announced{Name: "prod/github", ARN: secretID}, nil
}

func (*announcing) Manage(_ context.Context, m rotate.Managed) error {
	if !m.Is("prod/github") || m.Store != "aws-sm" {
		return broker.ErrNotFound
	}
	return nil
}
