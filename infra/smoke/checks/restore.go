package checks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func restoreChecks() []Check {
	return []Check{{"restore", "the catalogue can be restored to a point in time, into a table of another name, which is deleted again",
		"Read the restore's state in DynamoDB; docs/backup.md says how to restore for real. Delete what is left of the rehearsal by hand.", restore}}
}

const (
	restoreAttempts = 240
	restorePause    = 15 * time.Second
	restoredPart    = "-smoke-" // in the name of every table that may be deleted here
)

// restore makes a table and deletes it, the one thing here that writes.
func restore(ctx context.Context, s *Subject) (says string, err error) {
	if !s.Restore {
		return "", leftOut("asked for by RESTORE=true: it makes a table, shows it, and deletes it; it takes minutes and costs what the table's size costs")
	}
	source, copied := s.table("catalogue"), s.table("catalogue")+restoredPart+strings.ToLower(rand.Text()[:8])
	begun := time.Now()
	_, err = s.Tables.RestoreTableToPointInTime(ctx, &dynamodb.RestoreTableToPointInTimeInput{SourceTableName: &source, TargetTableName: &copied, UseLatestRestorableTime: aws.Bool(true)})
	if err != nil {
		return "", asked("restore the table "+source, err)
	}
	defer func() {
		if left := s.discard(context.WithoutCancel(ctx), copied); left != nil {
			// As text: that one may not delete it is no reason to leave the check out.
			says, err = "", errors.New("the table "+copied+" is left, delete it by hand: "+left.Error())
		}
	}()
	table, err := s.ready(ctx, copied)
	if err != nil {
		return "", err
	}
	out, err := s.Tables.Scan(ctx, &dynamodb.ScanInput{TableName: &copied, Limit: aws.Int32(25), ProjectionExpression: aws.String("pk")})
	if err != nil {
		return "", asked("read the restored table", err)
	}
	if len(table.KeySchema) != 2 || len(out.Items) == 0 {
		return "", fmt.Errorf("the restored table has %d keys and shows no row", len(table.KeySchema))
	}
	return fmt.Sprintf("%s after %d s, with rows; deleted again", copied, int(time.Since(begun).Seconds())), nil
}

// ready waits until a table is there.
func (s *Subject) ready(ctx context.Context, name string) (*types.TableDescription, error) {
	for range restoreAttempts {
		out, err := s.Tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return nil, asked("describe the table "+name, err)
		}
		if out.Table.TableStatus == types.TableStatusActive {
			return out.Table, nil
		}
		if err := s.pause(ctx, restorePause); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the restore did not end in time")
}

// discard deletes a table that a rehearsal made, and never another.
func (s *Subject) discard(ctx context.Context, name string) error {
	if !strings.HasPrefix(name, s.table("catalogue")+restoredPart) {
		return errors.New("it was not made here")
	}
	ctx, cancel := context.WithTimeout(ctx, restoreAttempts*restorePause)
	defer cancel()
	for range restoreAttempts {
		_, err := s.Tables.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
		var busy *types.ResourceInUseException // it is still being restored
		if !errors.As(err, &busy) {
			return asked("delete the table", err)
		}
		if err := s.pause(ctx, restorePause); err != nil {
			return err
		}
	}
	return errors.New("it is still being restored")
}
