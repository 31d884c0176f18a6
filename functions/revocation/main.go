// Command revocation is the function that stops things, and lets them go again.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/revocation/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.LoadRevocation, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	h, err := handler.New(c, a, log)
	if err != nil {
		return err
	}
	lambda.Start(h.Handle)
	return nil
}
