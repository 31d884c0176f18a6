// Command local runs the whole broker on one machine, with no cloud account:
// an AWS-compatible endpoint, an identity provider, two MCP servers and the
// real handlers of proxy and admin API. It makes one governed call, tells the
// story of one credential from its store to its end, shows what each side saw,
// checks it, and keeps serving. With -once it exits instead.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	once := flag.Bool("once", false, "show and check, and exit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, *once)
	if ctx.Err() != nil {
		fmt.Println("stopped, nothing is left running")
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nlocal: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, once bool) error {
	port, err := firstPort(os.Getenv("PORT"), once)
	if err != nil {
		return err
	}
	began := time.Now()
	w := &world{}
	defer w.stop()
	err = w.start(ctx, port, func(format string, args ...any) {
		fmt.Printf("  %5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	})
	if err != nil {
		return err
	}
	seen, err := w.call(ctx)
	if err != nil {
		return err
	}
	seen.print(os.Stdout)
	if err := seen.check(); err != nil {
		return err
	}
	told, err := w.pilot(ctx)
	if err != nil {
		return err
	}
	told.print(os.Stdout)
	if err := told.check(); err != nil {
		return err
	}
	if once {
		fmt.Printf("demo: ok, %.1f ms\n", float64(seen.latency.Microseconds())/1000)
		return nil
	}
	w.printCommands(os.Stdout)
	<-ctx.Done()
	fmt.Println()
	return nil
}

// firstPort is the first of the two neighbouring ports that the stack listens
// on; a demonstration that exits takes any.
func firstPort(setting string, once bool) (int, error) {
	switch {
	case setting == "" && once:
		return 0, nil
	case setting == "":
		return 8080, nil
	}
	port, err := strconv.Atoi(setting)
	if err != nil || port < 1 || port > 65534 {
		return 0, fmt.Errorf("PORT=%s is no port: use a number from 1 to 65534", setting)
	}
	return port, nil
}
