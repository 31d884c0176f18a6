// Package start is what every function does before anything else: it keeps
// credentials out of core files and foreign packages' bytes out of the log, makes
// metrics of the log, reads settings and AWS configuration, says in one line why a
// function cannot start, and keeps what a panic holds from being printed. It knows
// no function.
package start

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bindery/shared/awsclient"
	"bindery/shared/telemetry"
)

// environment is the setting that every function has: the dimension of metrics.
const environment = "BINDERY_ENVIRONMENT"

// Main runs a function with its settings, which load reads through getenv, the AWS
// configuration and the log of the process. It does not return after an error.
func Main[S any](getenv func(string) string, load func(func(string) string) (S, error), run func(S, aws.Config, *slog.Logger) error) {
	metrics := telemetry.New(slog.NewJSONHandler(os.Stdout, nil), getenv(environment))
	log.SetOutput(io.Discard) // net/http prints bytes of idle connections there
	if err := begin(getenv, load, run, metrics); err != nil {
		slog.New(metrics).Error("cannot start", "cause", err.Error())
		os.Exit(1)
	}
}

func begin[S any](getenv func(string) string, load func(func(string) string) (S, error), run func(S, aws.Config, *slog.Logger) error, metrics *telemetry.Handler) error {
	// A crash must not leave tokens or credentials in a core file.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return err
	}
	settings, err := load(getenv)
	if err != nil {
		return err
	}
	a, err := awsconfig.LoadDefaultConfig(context.Background())
	if err != nil {
		return err
	}
	a.HTTPClient = awsclient.Whole(a.HTTPClient)
	return run(settings, metrics.Watch(a), slog.New(metrics))
}

// ErrPanic is the error of an invocation that panicked.
var ErrPanic = errors.New("the function failed")

// Guard is deferred by handlers of events: a panic becomes ErrPanic, and the log
// names the type of its value alone. The runtime would print the value, which may
// hold anything.
func Guard(log *slog.Logger, err *error) {
	if v := recover(); v != nil {
		log.Error("handler panicked", "type", fmt.Sprintf("%T", v))
		*err = ErrPanic
	}
}
