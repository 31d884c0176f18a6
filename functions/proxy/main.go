// Command proxy is the function that agents call.
package main

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/functions/proxy/handler"
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
