// Command admin is the function that administrators and auditors call.
package main

import (
	"context"
	"log/slog"
	"os"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/functions/admin/handler"
	"bindery/shared/config"
	"bindery/shared/lambdahttp"
	"bindery/shared/start"
)

func main() { start.Main(run) }

func run(logger *slog.Logger) error {
	settings, err := config.LoadAdmin(os.Getenv)
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
	lambdahttp.Start(h, lambdahttp.Buffered, logger)
	return nil
}
