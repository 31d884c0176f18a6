// Command outbox is the function that makes events of audit records.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/outbox/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.LoadOutbox, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	lambda.Start(handler.New(c, a, log).Handle)
	return nil
}
