// Command cleanup is the function that does the work that follows a revocation.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/functions/cleanup/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(run) }

func run(logger *slog.Logger) error {
	settings, err := config.LoadCleanup(os.Getenv)
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(context.Background())
	if err != nil {
		return err
	}
	lambda.Start(handler.New(settings, aws, logger).Handle)
	return nil
}
