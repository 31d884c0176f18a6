// Command callback is the function behind the connect page and a person's own connections.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/callback/handler"
	"bindery/shared/config"
	"bindery/shared/lambdahttp"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.Load, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	h, err := handler.New(c, a, log)
	if err != nil {
		return err
	}
	lambdahttp.Start(h, lambdahttp.Buffered, log)
	return nil
}
