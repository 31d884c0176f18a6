// Command admin is the function that administrators and auditors call.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/admin/handler"
	"bindery/shared/config"
	"bindery/shared/lambdahttp"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.LoadAdmin, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	h, err := handler.New(c, a, log)
	if err != nil {
		return err
	}
	lambdahttp.Start(h, lambdahttp.Buffered, log)
	return nil
}
