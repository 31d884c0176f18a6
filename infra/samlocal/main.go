// Command samlocal runs the functions as SAM does: it builds them with `sam
// build`, serves them with `sam local start-api` in containers against an
// AWS-compatible endpoint on this machine, makes one governed call through SAM's
// emulation of API Gateway, and checks what each side saw. With -once it also
// runs every sample event of events/ and exits.
//
// Containers cannot reach loopback, so what they talk to listens on the address
// of Docker's bridge, behind TLS, and the functions are told to reach it the way
// a deployment is: by opened networks, and by a certificate that their base image
// trusts. No rule of the product is relaxed for it.
//
// It ends only what it started, never passes on AWS credentials of its caller,
// and changes the machine (a Docker engine from packages) only when it is asked
// to by -docker install.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	once   bool
	docker string // "" or "install"
	events string // "some" or "all": which of them by `sam local invoke`
	only   string // of one function
	port   int
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "sam-local: "+err.Error())
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err = run(ctx, o)
	if ctx.Err() != nil {
		fmt.Println("stopped, nothing is left running")
		return
	}
	if errors.Is(err, errNotRun) { // for whoever runs this where it may be left out
		fmt.Println("sam-local: " + strings.ReplaceAll(err.Error(), "\n", ";"))
		os.Exit(1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nsam-local: "+err.Error())
		os.Exit(1)
	}
}

// parse reads the command line. A word that it does not know is refused rather
// than taken for its default.
func parse(args []string) (options, error) {
	flags := flag.NewFlagSet("samlocal", flag.ContinueOnError)
	once := flags.Bool("once", false, "make the call, run the sample events, and exit")
	docker := flags.String("docker", "", "install: install and start a Docker engine where none runs")
	events := flags.String("events", "some", "which sample events are run by `sam local invoke` and not by start-lambda: some or all")
	only := flags.String("only", "", "only the sample events of this function")
	port := flags.String("port", "3000", "of the API")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o := options{once: *once, docker: *docker, events: *events, only: *only}
	var err error
	if o.port, err = strconv.Atoi(*port); err != nil || o.port < 1 || o.port > 65535 {
		return options{}, fmt.Errorf("PORT=%s is no port: use a number from 1 to 65535", *port)
	}
	if o.docker != "" && o.docker != "install" {
		return options{}, fmt.Errorf("DOCKER=%s is not known: DOCKER=install installs and starts an engine", o.docker)
	}
	if o.events != "some" && o.events != "all" {
		return options{}, fmt.Errorf("EVENTS=%s is not known: it is some or all", o.events)
	}
	return o, nil
}

func run(ctx context.Context, o options) error {
	began := time.Now()
	w := &world{options: o, say: func(format string, args ...any) {
		fmt.Printf("  %5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}}
	defer w.stop()
	if err := w.start(ctx); err != nil {
		return err
	}
	seen, err := w.call(ctx)
	if err != nil {
		return err
	}
	w.quote(w.api.said(), "REPORT")
	seen.print(os.Stdout)
	if err := seen.check(); err != nil {
		return err
	}
	if !o.once {
		w.printCommands(os.Stdout)
		<-ctx.Done()
		return nil
	}
	w.api.stop()
	ran, err := w.runEvents(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("sam-local: call ok, %s, engine %s, base image %s, %.0f s\n", ran.summary(), w.engine.how, w.base.kind, time.Since(began).Seconds())
	return ran.err()
}
