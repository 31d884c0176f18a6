package dynamo

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"bindery/shared/broker"
)

type noticeRow struct {
	item
	Environment string   `dynamodbav:"environment"`
	ID          string   `dynamodbav:"id"`
	Version     int64    `dynamodbav:"version"`
	Kind        string   `dynamodbav:"kind"`
	Subject     string   `dynamodbav:"subject"`
	Server      string   `dynamodbav:"server,omitempty"`
	Bindings    []string `dynamodbav:"bindings,omitempty"`
	State       string   `dynamodbav:"state"`
	Since       *string  `dynamodbav:"since"`
	Seen        *string  `dynamodbav:"seen"`
	Closed      *string  `dynamodbav:"closed"`
	By          string   `dynamodbav:"by,omitempty"`
	Note        string   `dynamodbav:"note,omitempty"`
	Due         *string  `dynamodbav:"due"`
	Told        string   `dynamodbav:"told,omitempty"`
	ToldAt      *string  `dynamodbav:"told_at"`
	Telling     string   `dynamodbav:"telling,omitempty"`
}

func newNoticeRow(v broker.Notice) noticeRow {
	since, seen, closed, due, told := stamp(v.Since), stamp(v.Seen), stamp(v.Closed), stamp(v.Due), stamp(v.ToldAt)
	return noticeRow{noticeKey(v.Environment, v.ID).item(), v.Environment, v.ID, v.Version, string(v.Kind), v.Subject, v.Server, v.Bindings,
		string(v.State), &since, &seen, &closed, v.By, v.Note, &due, string(v.Told), &told, v.Telling}
}

func (r noticeRow) value() (broker.Notice, error) {
	v := broker.Notice{Environment: r.Environment, ID: r.ID, Version: r.Version, Kind: broker.NoticeKind(r.Kind), Subject: r.Subject,
		Server: r.Server, Bindings: r.Bindings, State: broker.NoticeState(r.State), By: r.By, Note: r.Note,
		Told: broker.NoticeState(r.Told), Telling: r.Telling}
	times, err := parseStamps(r.Since, r.Seen, r.Closed, r.Due, r.ToldAt)
	if err != nil {
		return v, err
	}
	v.Since, v.Seen, v.Closed, v.Due, v.ToldAt = times[0], times[1], times[2], times[3], times[4]
	return versioned(v, r.Version)
}

func decodeNotice(a attributes) (broker.Notice, error) {
	return decode(a, noticeRow.value, func(v broker.Notice) key { return noticeKey(v.Environment, v.ID) })
}

// followsVersion holds where the stored row has this version; for version 0,
// where no row is. Rows without tombstones need no more.
func followsVersion(version int64) expression.ConditionBuilder {
	if version == 0 {
		return absent()
	}
	return expression.Name("version").Equal(expression.Value(version))
}

// PutNotice implements broker.Notices.
func (s *DB) PutNotice(ctx context.Context, v broker.Notice) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	return s.putRow(ctx, "put the notice", s.tables.Catalogue, newNoticeRow(v), followsVersion(expected))
}

// Notice implements broker.Notices.
func (s *DB) Notice(ctx context.Context, environment, id string) (broker.Notice, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckID("notice", id))
	return one(ctx, s, "read the notice", invalid, noticeKey(environment, id), decodeNotice)
}

// NoticesOf implements broker.Notices. It goes through the rows twice: once for
// those that are not closed. They are few, and nobody waits for them.
func (s *DB) NoticesOf(ctx context.Context, environment, after string, limit int) (found []broker.Notice, next string, err error) {
	p, err := broker.PageOfNotices(environment, after, limit)
	if err != nil {
		return nil, "", err
	}
	for {
		rows, err := list(ctx, s, "list the notices", noticesPartition(environment), "id", broker.Page{After: p.After, Limit: broker.MaxPage}, decodeNotice)
		if err != nil {
			return nil, "", err
		}
		for _, n := range rows {
			if n.State.IsOpen() == p.Closed {
				continue
			}
			if len(found) == limit {
				return found, p.Token(), nil
			}
			found, p.After = append(found, n), n.ID
		}
		switch {
		case len(rows) == broker.MaxPage:
			p.After = rows[len(rows)-1].ID
		case p.Closed:
			return found, "", nil
		default:
			p = broker.NoticesPage{Closed: true}
		}
	}
}

type scanRow struct {
	item
	Environment string   `dynamodbav:"environment"`
	Version     int64    `dynamodbav:"version"`
	Begun       *string  `dynamodbav:"begun"`
	Ended       *string  `dynamodbav:"ended"`
	Phase       string   `dynamodbav:"phase,omitempty"`
	After       string   `dynamodbav:"after,omitempty"`
	Holder      string   `dynamodbav:"holder,omitempty"`
	HeldUntil   *string  `dynamodbav:"held_until"`
	Told        int      `dynamodbav:"told,omitempty"`
	Unknown     []string `dynamodbav:"unknown,omitempty"`
}

func newScanRow(v broker.Scan) scanRow {
	begun, ended, held := stamp(v.Begun), stamp(v.Ended), stamp(v.HeldUntil)
	return scanRow{scanKey(v.Environment).item(), v.Environment, v.Version, &begun, &ended, v.Phase, v.After, v.Holder, &held, v.Told, v.Unknown}
}

func (r scanRow) value() (broker.Scan, error) {
	v := broker.Scan{Environment: r.Environment, Version: r.Version, Phase: r.Phase, After: r.After, Holder: r.Holder, Told: r.Told, Unknown: r.Unknown}
	times, err := parseStamps(r.Begun, r.Ended, r.HeldUntil)
	if err != nil {
		return v, err
	}
	v.Begun, v.Ended, v.HeldUntil = times[0], times[1], times[2]
	return versioned(v, r.Version)
}

// PutScan implements broker.Scans.
func (s *DB) PutScan(ctx context.Context, v broker.Scan) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	return s.putRow(ctx, "put the scan", s.tables.Catalogue, newScanRow(v), followsVersion(expected))
}

// Scan implements broker.Scans.
func (s *DB) Scan(ctx context.Context, environment string) (broker.Scan, error) {
	return one(ctx, s, "read the scan", broker.CheckName("environment", environment), scanKey(environment), func(a attributes) (broker.Scan, error) {
		return decode(a, scanRow.value, func(v broker.Scan) key { return scanKey(v.Environment) })
	})
}
