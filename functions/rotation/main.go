// Command rotation is the function that works on a schedule: it rotates secrets,
// refreshes grants ahead of time, searches for drift and heeds what stores tell.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/rotation/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.LoadRotation, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	lambda.Start(handler.New(c, a, log).Handle)
	return nil
}
