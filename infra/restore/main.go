// Command restore refills the tables of a deployment from copies of them that
// were restored from an earlier time, and lets nothing come back that was stopped
// since.
//
// The idea: it works while the environment is stopped, puts only what is missing,
// and takes what happened after the copies were made from the audit records. What
// was revoked since is revoked again, by the same marker under the same case; what
// an administrator changed since comes back closed; what a person or a provider
// ended since does not come back. Every step may be repeated, and dying anywhere
// harms nothing.
//
// It never replaces or deletes a row, opens a secret, decides that calls may go on
// (that is somebody's lifting), or writes a record of its own: those it tells again
// have the receipts that they had. Without -write it only says what it would do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/dynamo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "restore: "+err.Error())
		os.Exit(1)
	}
}

// asked is what the command line says.
type asked struct {
	environment string
	to, from    string // what the names of the tables, and of their copies, begin with
	tables      []string
	since       time.Time // zero: the copies say it
	write       bool
}

func parse(args []string) (a asked, err error) {
	flags := flag.NewFlagSet("restore", flag.ContinueOnError)
	flags.StringVar(&a.environment, "environment", "", "the environment that the deployment serves")
	flags.StringVar(&a.to, "to", "", "what the names of the deployment's tables begin with (its output TablePrefix)")
	flags.StringVar(&a.from, "from", "", "what the names of the copies begin with")
	tables := flags.String("tables", "revocations,catalogue,grants", "which tables to refill: of audit, revocations, catalogue, grants")
	since := flags.String("since", "", "the time of the oldest copy, or a minute before, as in 2026-03-01T12:00:00Z; default: what DynamoDB says of the copies")
	flags.BoolVar(&a.write, "write", false, "refill; without it, only say what would be done")
	if err := flags.Parse(args); err != nil {
		return a, err
	}
	a.tables = strings.Split(*tables, ",")
	for _, name := range a.tables {
		if !slices.Contains([]string{"audit", "revocations", "catalogue", "grants"}, name) {
			return a, errors.New("-tables takes audit, revocations, catalogue, grants, with commas between: the transient table starts empty, and the index is made by the ledger")
		}
	}
	if *since != "" {
		if a.since, err = time.Parse(time.RFC3339, *since); err != nil {
			return a, errors.New("-since takes a time as in 2026-03-01T12:00:00Z")
		}
	}
	if a.environment == "" || a.to == "" || a.from == "" || a.to == a.from || flags.NArg() > 0 {
		return a, errors.New("-environment, -to and -from are needed, and nothing else; copies have names of their own")
	}
	return a, nil
}

// patience is how often a request is tried: nobody waits, and tables have ceilings.
const patience = 12

// tablesOf names the tables of a deployment, or their copies.
func tablesOf(prefix string) dynamo.Tables {
	return dynamo.Tables{Catalogue: prefix + "catalogue", Revocations: prefix + "revocations", Grants: prefix + "grants",
		Transient: prefix + "transient", Audit: prefix + "audit", AuditIndex: prefix + "audit-index"}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	a, err := parse(args)
	if err != nil {
		return err
	}
	settings, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(patience))
	if err != nil {
		return fmt.Errorf("load the AWS configuration: %w", err)
	}
	client := dynamodb.NewFromConfig(settings)
	r := &restoration{asked: a, client: client, out: out,
		live: dynamo.New(client, tablesOf(a.to), time.Now), copies: dynamo.New(client, tablesOf(a.from), time.Now)}
	return r.do(ctx)
}
