// Command authorizer is the function that API Gateway asks about tokens.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/functions/authorizer/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(run) }

func run(logger *slog.Logger) error {
	settings, err := config.LoadAuthorizer(os.Getenv)
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(context.Background())
	if err != nil {
		return err
	}
	h, err := handler.New(settings, aws, logger)
	if err != nil {
		return err
	}
	lambda.Start(h.Authorize)
	return nil
}
