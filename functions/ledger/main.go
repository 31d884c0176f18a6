// Command ledger is the function that fills the audit index.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/ledger/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.LoadLedger, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	lambda.Start(handler.New(c, a, log).Handle)
	return nil
}
