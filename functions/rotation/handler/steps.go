package handler

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
	"bindery/shared/rotate"
	"bindery/shared/stores/awssm"
)

// managed is what it takes to be the rotation function of Secrets Manager.
type managed struct {
	engine interface {
		Manage(ctx context.Context, m rotate.Managed) error
	}
	secrets interface {
		Announced(ctx context.Context, secretID, version string) (awssm.Announced, error)
	}
	finish func(context.Context, broker.Want, string) error
}

func newManaged(a aws.Config, engine *rotate.Engine) managed {
	client := secretsmanager.NewFromConfig(a)
	return managed{engine, awssm.Announcements{Client: client}, awssm.NewStager(client, patience, time.Now).Finish}
}

// step reads {"Step":"createSecret","SecretId":...,"ClientRequestToken":...}, as
// Secrets Manager sends it. What else it may send one day is not read.
func (h *Handler) step(event json.RawMessage) task {
	var asked struct{ Step, SecretId, ClientRequestToken string }
	if json.Unmarshal(event, &asked) != nil || asked.Step == "" || asked.SecretId == "" || asked.ClientRequestToken == "" {
		return nil
	}
	return func(ctx context.Context) (any, error) {
		err := h.manage(ctx, asked.Step, asked.SecretId, asked.ClientRequestToken)
		if err != nil {
			h.log.Error("a step of Secrets Manager's failed", "cause", string(broker.ReasonOf(err)))
			return nil, err
		}
		return nil, nil
	}
}

func (h *Handler) manage(ctx context.Context, step, secretID, version string) error {
	found, err := h.managed.secrets.Announced(ctx, secretID, version)
	if err != nil {
		return err
	}
	return h.managed.engine.Manage(ctx, rotate.Managed{Step: step, Version: version, Current: found.Current, Store: "aws-sm", Is: found.Is, Finish: h.managed.finish})
}
