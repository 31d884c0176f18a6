package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
)

var _ broker.LiveSessions = (*DB)(nil)

// sessionRow carries expires, the table's TTL attribute. DynamoDB deletes late,
// so the end is compared here as well.
type sessionRow struct {
	item
	Environment string   `dynamodbav:"environment"`
	Digest      string   `dynamodbav:"digest"`
	Server      string   `dynamodbav:"server"`
	Origin      string   `dynamodbav:"origin"`
	Principal   string   `dynamodbav:"principal"`
	Agent       string   `dynamodbav:"agent,omitempty"`
	Issuer      string   `dynamodbav:"issuer,omitempty"`
	Groups      []string `dynamodbav:"groups,omitempty"`
	Binding     string   `dynamodbav:"binding"`
	Wrapped     string   `dynamodbav:"wrapped"`
	Until       string   `dynamodbav:"until"`
	Expires     int64    `dynamodbav:"expires"`
}

func newSessionRow(v broker.LiveSession) sessionRow {
	return sessionRow{sessionKey(v.Environment, v.Principal, v.Digest).item(), v.Environment, v.Digest, v.Server, v.Origin, v.Principal,
		v.Agent, v.Issuer, v.Groups, v.Binding, v.Wrapped, stamp(v.Expires), expiry(v.Expires, slack)}
}

func (r sessionRow) value() (broker.LiveSession, error) {
	until, err := parseStamp(r.Until)
	return broker.LiveSession{Environment: r.Environment, Digest: r.Digest, Server: r.Server, Origin: r.Origin, Principal: r.Principal,
		Agent: r.Agent, Issuer: r.Issuer, Groups: r.Groups, Binding: r.Binding, Wrapped: r.Wrapped, Expires: until}, err
}

func decodeSession(a attributes) (broker.LiveSession, error) {
	return decode(a, sessionRow.value, func(v broker.LiveSession) key { return sessionKey(v.Environment, v.Principal, v.Digest) })
}

// AddSession implements broker.LiveSessions.
func (s *DB) AddSession(ctx context.Context, v broker.LiveSession) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.putRow(ctx, "add the session", s.tables.Transient, newSessionRow(v), absent())
}

// EndSession implements broker.LiveSessions.
func (s *DB) EndSession(ctx context.Context, environment, principal, digest string) error {
	const doing = "end the session"
	if err := broker.CheckSession(environment, principal, digest); err != nil {
		return err
	}
	e, err := expression.NewBuilder().WithCondition(notLater()).Build()
	if err != nil {
		return fmt.Errorf("%s: build the condition: %w", doing, err)
	}
	_, err = s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: aws.String(s.tables.Transient), Key: sessionKey(environment, principal, digest).attributes(),
		ConditionExpression: e.Condition(), ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
	})
	switch _, later := refused(err); {
	case later:
		return fmt.Errorf("%s: %w", doing, broker.ErrUndecodable)
	case err != nil:
		return fault(doing, err)
	}
	return nil
}

// SessionsOf implements broker.LiveSessions.
func (s *DB) SessionsOf(ctx context.Context, environment, principal, from string, limit int) (found []broker.LiveSession, next string, err error) {
	if err := broker.CheckSessionsOf(environment, principal, from, limit); err != nil {
		return nil, "", err
	}
	const doing = "list the sessions"
	first, last := after("digest", from)
	page := listing[broker.LiveSession]{limit: limit}
	err = s.rowsBetween(ctx, doing, s.tables.Transient, sessionsPartition(environment, principal), first, last, int32(limit+1), func(_ string, a attributes) (bool, error) {
		return page.add(decodeSession(a)), nil
	})
	if err != nil {
		return nil, "", err
	}
	found, next, err = page.page(doing, func(v broker.LiveSession) string { return v.Digest })
	return s.living(found), next, err
}

// ScanSessions implements broker.LiveSessions: most of what it reads are other
// rows.
func (s *DB) ScanSessions(ctx context.Context, environment, after string, limit int) (found []broker.LiveSession, next string, err error) {
	of := expression.Name("pk").BeginsWith(join("sessions", environment) + "/")
	found, next, err = scan(ctx, s, "scan the sessions", s.tables.Transient, of, environment, after, limit, decodeSession)
	return s.living(found), next, err
}

// living leaves out what has expired.
func (s *DB) living(sessions []broker.LiveSession) (left []broker.LiveSession) {
	now := s.now()
	for _, v := range sessions {
		if now.Before(v.Expires) {
			left = append(left, v)
		}
	}
	return left
}
