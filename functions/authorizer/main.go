// Command authorizer is the function that API Gateway asks about tokens.
package main

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"syscall"

	"github.com/aws/aws-lambda-go/lambda"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/functions/authorizer/handler"
	"bindery/shared/config"
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	log.SetOutput(io.Discard) // net/http prints bytes of idle connections there
	if err := run(logger); err != nil {
		logger.Error("cannot start", "cause", err.Error())
		os.Exit(1)
	}
}

func run(logger *slog.Logger) error {
	// A crash must not leave tokens in a core file.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return err
	}
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
