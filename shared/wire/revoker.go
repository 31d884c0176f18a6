package wire

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"bindery/shared/awsclient"
	"bindery/shared/awsfault"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/revoke"
)

// revocationTime is how long the revocation function may take, a cold start and
// the writes of a marker and its evidence included.
const revocationTime = 15 * time.Second

// Revoker asks the deployment's revocation function by invoking it. What Lambda
// answers with stays behind but the function's own answer: an error of the
// runtime could say anything.
func Revoker(c config.Config, a aws.Config) revoke.Client {
	client := lambda.NewFromConfig(a, func(o *lambda.Options) {
		o.HTTPClient = awsclient.Within(o.HTTPClient, revocationTime)
	})
	return revoke.Client{Invoke: func(ctx context.Context, request []byte) ([]byte, error) {
		out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(c.Revocation), Payload: request})
		switch {
		case err != nil:
			return nil, awsfault.Of(err).Wrap("invoke the function", broker.ErrUnavailable)
		case out.FunctionError != nil || out.StatusCode != http.StatusOK:
			return nil, errors.Join(broker.ErrUnavailable, errFunction)
		}
		return out.Payload, nil
	}}
}

var errFunction = errors.New("invoke the function: it failed")
