// Command authorizer is the function that API Gateway asks about tokens.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/functions/authorizer/handler"
	"bindery/shared/config"
	"bindery/shared/start"
)

func main() { start.Main(os.Getenv, config.LoadAuthorizer, run) }

func run(c config.Config, a aws.Config, log *slog.Logger) error {
	h, err := handler.New(c, a, log)
	if err != nil {
		return err
	}
	lambda.Start(h.Authorize)
	return nil
}
