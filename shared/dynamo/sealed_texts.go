package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// sealedPaths are the attributes of rows of the table grants that hold a sealed text.
var sealedPaths = [...]string{"sealed", "previous.sealed", "staging.sealed", "spare.sealed", "kept"}

// maxSegments bounds how many scan at once.
const maxSegments = 64

// SealedTexts implements broker.SealedTexts. It looks at no more of a row than
// its key and its texts, so that a row that does not decode is found too.
func (s *DB) SealedTexts(ctx context.Context, environment string, of broker.Segment, after string, limit int) (found []broker.SealedText, next string, err error) {
	const doing = "scan the sealed texts"
	if err := broker.CheckScan(environment, after, limit); err != nil {
		return nil, "", err
	}
	if of.Of < 1 || of.Of > maxSegments || of.Number < 0 || of.Number >= of.Of {
		return nil, "", fmt.Errorf("%w segment: one of 1 to %d", broker.ErrInvalid, maxSegments)
	}
	names := expression.NamesList(expression.Name("pk"), expression.Name("sk"))
	for _, path := range sealedPaths {
		names = names.AddNames(expression.Name(path))
	}
	e, err := expression.NewBuilder().WithProjection(names).Build()
	if err != nil {
		return nil, "", fmt.Errorf("%s: build the projection: %w", doing, err)
	}
	in := &dynamodb.ScanInput{TableName: aws.String(s.tables.Grants), ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(limit)),
		Segment: aws.Int32(int32(of.Number)), TotalSegments: aws.Int32(int32(of.Of)),
		ProjectionExpression: e.Projection(), ExpressionAttributeNames: e.Names()}
	if after != "" {
		in.ExclusiveStartKey = keyOfToken(after).attributes()
	}
	out, err := s.client.Scan(ctx, in)
	if err != nil {
		return nil, "", fault(doing, err)
	}
	for _, row := range out.Items {
		k := keyOf(row)
		if !ofEnvironment(k, environment) {
			continue
		}
		for _, path := range sealedPaths {
			if text := textAt(row, path); len(text) > 0 {
				found = append(found, broker.SealedText{Place: k.pk + " " + k.sk + " " + path, Text: text})
			}
		}
	}
	return found, tokenOf(out.LastEvaluatedKey), nil
}

// ofEnvironment reports whether a row is the environment's: its name is the
// second part of each key of this table.
func ofEnvironment(k key, environment string) bool {
	_, rest, _ := strings.Cut(k.pk, "/")
	name, _, _ := strings.Cut(rest, "/")
	return "/"+name == join("", environment)
}

func textAt(row attributes, path string) []byte {
	for {
		name, rest, nested := strings.Cut(path, ".")
		switch v := row[name].(type) {
		case *types.AttributeValueMemberB:
			if !nested {
				return v.Value
			}
			return nil
		case *types.AttributeValueMemberM:
			if !nested {
				return nil
			}
			row, path = v.Value, rest
		default:
			return nil
		}
	}
}

// ReplaceText implements broker.SealedTexts. A sealed value's row counts its
// changes, so that nobody who read it before puts the text back.
func (s *DB) ReplaceText(ctx context.Context, found broker.SealedText, text []byte) error {
	const doing = "replace a sealed text"
	parts := strings.Split(found.Place, " ")
	if len(parts) != 3 || len(text) == 0 {
		return fmt.Errorf("%w sealed text: its place", broker.ErrInvalid)
	}
	path := expression.Name(parts[2])
	u := expression.Set(path, expression.Value(text))
	if strings.HasPrefix(parts[0], "sealed/") {
		revision := expression.Name("revision")
		u = u.Set(revision, expression.Plus(expression.IfNotExists(revision, expression.Value(0)), expression.Value(1)))
	}
	e, err := expression.NewBuilder().WithUpdate(u).WithCondition(path.Equal(expression.Value(found.Text))).Build()
	if err != nil {
		return fmt.Errorf("%s: build the update: %w", doing, err)
	}
	_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String(s.tables.Grants), Key: key{parts[0], parts[1]}.attributes(),
		UpdateExpression: e.Update(), ConditionExpression: e.Condition(), ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
	there, conflict := refused(err)
	switch {
	case conflict && string(textAt(there, parts[2])) == string(text):
		return nil // an earlier attempt was applied and its answer lost
	case conflict:
		return fmt.Errorf("%s: %w", doing, broker.ErrConflict)
	case err != nil:
		return fault(doing, err)
	}
	return nil
}
