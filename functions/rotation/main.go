// Command rotation is the function that refreshes people's grants ahead of time.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/functions/rotation/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(run) }

func run(logger *slog.Logger) error {
	settings, err := config.LoadRotation(os.Getenv)
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
