// Command proxy is the function that agents call.
package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/functions/proxy/handler"
	"bindery/shared/config"
	"bindery/shared/lambdahttp"
	"bindery/shared/start"
)

func main() { start.Main(run) }

func run(logger *slog.Logger) error {
	settings, err := config.Load(os.Getenv)
	if err != nil {
		return err
	}
	if settings.Memory > 0 {
		debug.SetMemoryLimit(settings.Memory * 9 / 10) // collect harder before Lambda ends the process
	}
	aws, err := awsconfig.LoadDefaultConfig(context.Background())
	if err != nil {
		return err
	}
	h, err := handler.New(settings, aws, logger)
	if err != nil {
		return err
	}
	mode := lambdahttp.Buffered
	if settings.Stream {
		mode = lambdahttp.Stream
	}
	lambdahttp.Start(h, mode, logger)
	return nil
}
