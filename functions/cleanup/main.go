// Command cleanup is the function that does the work that follows a revocation.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/cleanup/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.LoadCleanup, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	lambda.Start(handler.New(c, a, log).Handle)
	return nil
}
