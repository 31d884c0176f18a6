package handler

import (
	"log/slog"
	"time"

	"bindery/shared/broker"
	"bindery/shared/telemetry"
)

// counts are what a batch of records says of metrics: the facts in it, which every
// function records and no other has to count, and how old its oldest record was when
// the index had it.
type counts map[telemetry.Name]int

func (c counts) add(records []broker.Record, now time.Time) {
	for _, r := range records {
		c[telemetry.IndexLag] = max(c[telemetry.IndexLag], int(now.Sub(r.At).Milliseconds()))
		if m := metricOf(r); m != "" {
			c[m]++
		}
	}
}

// attrs adds the counts to what a line says.
func (c counts) attrs(line ...slog.Attr) []slog.Attr {
	for _, m := range telemetry.Metrics() {
		if n, counted := c[m.Name]; counted {
			line = append(line, m.Name.Is(n))
		}
	}
	return line
}

// metricOf is as what a record of a fact is counted, or nothing.
func metricOf(r broker.Record) telemetry.Name {
	if r.Action != broker.ActOfItself {
		return ""
	}
	return map[broker.FactKind]telemetry.Name{
		broker.GrantDied:            telemetry.GrantsDead,
		broker.GrantOutcomeUnknown:  telemetry.OutcomesUnknown,
		broker.GrantNotRevoked:      telemetry.TokensNotRevoked,
		broker.NoticeOpened:         telemetry.NoticesOpened,
		broker.RotationFailed:       telemetry.RotationFailures,
		broker.RotationRolledBack:   telemetry.RotationFailures,
		broker.RevocationIncomplete: telemetry.RevocationsIncomplete,
		broker.IntentWithoutOutcome: telemetry.IntentsWithoutOutcome,
	}[broker.FactKind(r.Method)]
}
