// Command smoke looks at a deployed stack with the operator's own AWS rights and
// says, check by check, whether what Bindery assumes about AWS is true there
// (docs/smoke.md). It deploys nothing. What it writes: the records of the calls
// it makes with a token it was given; and, where RESTORE=true asks for it, one
// table that it deletes again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"bindery/infra/smoke/checks"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	stack := flag.String("stack", "", "name of the deployed stack")
	region := flag.String("region", "", "its region; empty for the one that AWS's own settings say")
	server := flag.String("server", "", "a registered server for the checks that make calls")
	token := flag.String("token-command", "", "a command that prints a token for that server")
	narrow := flag.String("narrow-token-command", "", "a command that prints a token whose scopes are too few")
	restore := flag.String("restore", "", "true: rehearse a restore of the catalogue")
	flag.Parse()
	if *stack == "" || flag.NArg() > 0 || *restore != "" && *restore != "true" && *restore != "false" {
		return errors.New("usage: make smoke STACK=name [REGION=] [SERVER= TOKEN_COMMAND= [NARROW_TOKEN_COMMAND=]] [RESTORE=true]")
	}
	var options []func(*awsconfig.LoadOptions) error
	if *region != "" {
		options = append(options, awsconfig.WithRegion(*region))
	}
	a, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return errors.New("AWS's own settings (profile, region) cannot be read")
	}
	patient := func(o *iam.Options) { // it answers few simulations a second, and a run asks some hundreds
		o.Retryer = retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
			o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) { o.MaxAttempts = 8 })
		})
	}
	subject, err := checks.Read(ctx, *stack, checks.Cloud{
		Stacks: cloudformation.NewFromConfig(a), Roles: iam.NewFromConfig(a, patient), Functions: lambda.NewFromConfig(a), Tables: dynamodb.NewFromConfig(a),
		Keys: kms.NewFromConfig(a), Logs: cloudwatchlogs.NewFromConfig(a), Watch: cloudwatch.NewFromConfig(a), Topics: sns.NewFromConfig(a), Rules: eventbridge.NewFromConfig(a),
	}, checks.Given{Server: *server, Token: printed(ctx, *token), NarrowToken: printed(ctx, *narrow), Restore: *restore == "true"})
	if err != nil {
		return err
	}
	_, err = checks.Run(ctx, subject, checks.All(), os.Stdout)
	return err
}

// printed runs a command of the operator's and gives what it prints. Neither that
// nor what it says about a failure is shown: it may hold the token.
func printed(ctx context.Context, command string) func() (string, error) {
	if command == "" {
		return nil
	}
	return func() (string, error) {
		out, err := exec.CommandContext(ctx, "sh", "-c", command).Output()
		token := strings.TrimSpace(string(out))
		if err != nil || token == "" || strings.ContainsAny(token, " \r\n\t") {
			return "", errors.New("the command for the token failed, or printed something else than one token")
		}
		return token, nil
	}
}
