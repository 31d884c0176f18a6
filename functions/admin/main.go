// Command admin is the function that administrators and auditors call.
package main

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"syscall"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/functions/admin/handler"
	"bindery/shared/config"
	"bindery/shared/lambdahttp"
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
	// A crash must not leave credentials in a core file.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return err
	}
	settings, err := config.Load(os.Getenv)
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
