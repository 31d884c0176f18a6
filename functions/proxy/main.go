// Command proxy is the function that agents call.
package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/proxy/handler"
	"bindery/shared/config"
	"bindery/shared/lambdahttp"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.Load, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	if c.Memory > 0 {
		debug.SetMemoryLimit(c.Memory * 9 / 10) // collect harder before Lambda ends the process
	}
	h, err := handler.New(c, a, log)
	if err != nil {
		return err
	}
	mode := lambdahttp.Buffered
	if c.Stream {
		mode = lambdahttp.Stream
	}
	lambdahttp.Start(h, mode, log)
	return nil
}
