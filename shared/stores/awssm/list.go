package awssm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

// Bounds of ListSecrets: secrets of a page, and values of one filter.
const (
	maxListed   = 100
	maxPrefixes = 10
)

// List implements broker.StoreLister. AWS cannot bound this right to some names,
// so what is outside the registered paths is left out here.
func (s *Store) List(ctx context.Context, w broker.Want, after string, limit int) (found []broker.Reference, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	in := &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(int32(min(max(limit, 1), maxListed))), Filters: namedBy(w.Store.Paths)}
	if after != "" {
		in.NextToken = aws.String(after)
	}
	out, err := s.client.ListSecrets(ctx, in)
	if err != nil {
		return nil, "", listFault(err)
	}
	for _, entry := range out.SecretList {
		name := aws.ToString(entry.Name)
		r, err := broker.ParseReference(w.Store.Name + ":" + name) // a name that no reference can hold cannot be bound either
		if err == nil && r.Path() == name && w.Store.Paths.Allows(r) {
			found = append(found, r)
		}
	}
	if next = aws.ToString(out.NextToken); len(next) > broker.MaxListToken {
		return nil, "", fmt.Errorf("list names in Secrets Manager: %w: its token is too long", broker.ErrUnavailable)
	}
	return found, next, nil
}

// namedBy asks AWS for names that begin as the registered paths do, where one
// filter can say it; what it lets through is looked at again.
func namedBy(paths broker.Scope) []types.Filter {
	if len(paths) > maxPrefixes || slices.Contains(paths, "*") ||
		slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, "!") }) {
		return nil
	}
	var prefixes []string
	for _, p := range paths {
		prefixes = append(prefixes, strings.TrimSuffix(p, "*"))
	}
	return []types.Filter{{Key: types.FilterNameStringTypeName, Values: prefixes}}
}

// listFault: a token that AWS does not know was not one of its own.
func listFault(err error) error {
	fault, kind := awsfault.Of(err), broker.ErrStoreDenied
	switch fault.Code {
	case "InvalidNextTokenException", "InvalidParameterException", "ValidationException":
		kind = broker.ErrInvalid
	}
	return fault.Wrap("list names in Secrets Manager", kind)
}
