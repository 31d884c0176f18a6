package handler

import (
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"bindery/shared/awsclient"
	"bindery/shared/config"
)

// attemptTime is how long one request to EventBridge may take. Nobody waits for
// it but the next records.
const attemptTime = 15 * time.Second

// New joins the handler to the bus.
func New(c config.Config, a aws.Config, log *slog.Logger) *Handler {
	client := eventbridge.NewFromConfig(a, func(o *eventbridge.Options) {
		o.HTTPClient = awsclient.Within(o.HTTPClient, attemptTime)
	})
	return &Handler{bus: bridge{client, c.EventBus}, log: log}
}
