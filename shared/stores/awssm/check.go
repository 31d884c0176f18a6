package awssm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

const checking = "ask Secrets Manager for what cannot exist"

// maxAsked bounds the questions of one check.
const maxAsked = 16

// codes of an identity that AWS does not accept at all, whatever it asks for.
var strangers = []string{"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
	"IncompleteSignature", "MissingAuthenticationToken", "ExpiredToken", "ExpiredTokenException", "AuthFailure"}

// Check implements broker.StoreChecker without touching a secret: it asks for
// what cannot exist, and AWS judges the right before it looks. Of secrets that
// are named (registered by their whole name, or used by a binding) it asks for a
// version that cannot exist; below a registered prefix, and outside of all, for
// a secret that cannot.
//
// A name that leads to no secret has no ARN and no tag, so a right that is
// bounded by either does not cover it, and AWS denies it. So a refusal counts
// against Bindery only where a secret was named; where none was, the warning
// broker.Unproven says so. And broker.ReadsMore finds a right that covers
// everything without a condition; one that is merely wider than the paths is
// not told from one that is not.
func (s *Store) Check(ctx context.Context, w broker.Want, used []broker.Reference) (broker.StoreCheck, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.timeout)
	defer cancel()
	check := broker.StoreCheck{LeastPolicy: leastPolicy(w.Environment, w.Store.Paths)}
	nothing := "bindery-check-" + rand.Text()
	allowed, denied, err := s.askNamed(ctx, w.Store.Paths, used)
	if err != nil {
		return check, err
	}
	below, err := s.askBelow(ctx, w.Store.Paths, nothing)
	switch {
	case err != nil:
		return check, err
	case allowed+below == 0 && len(denied) > 0:
		return check, fmt.Errorf("%s: %w", checking, broker.ErrStoreDenied)
	case allowed+below == 0:
		check.Warnings = append(check.Warnings, broker.StoreWarning{Word: broker.Unproven})
	case len(denied) > 0:
		check.Warnings = append(check.Warnings, broker.StoreWarning{Word: broker.PathDenied, Names: denied})
	}
	if slices.Contains(w.Store.Paths, "*") {
		check.Warnings = append(check.Warnings, broker.StoreWarning{Word: broker.ReadsAll})
		return check, nil
	}
	outside, err := s.permits(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(nothing), VersionStage: aws.String(stageCurrent)})
	if outside {
		check.Warnings = append(check.Warnings, broker.StoreWarning{Word: broker.ReadsMore})
	}
	return check, err
}

// askNamed asks for a version that cannot exist of each secret that is named.
func (s *Store) askNamed(ctx context.Context, paths broker.Scope, used []broker.Reference) (allowed int, denied []string, err error) {
	var named []string
	for _, path := range paths {
		if !strings.HasSuffix(path, "*") {
			named = append(named, path)
		}
	}
	for _, r := range used {
		if paths.Allows(r) && !slices.Contains(named, r.Path()) {
			named = append(named, r.Path())
		}
	}
	for _, name := range named[:min(len(named), maxAsked)] {
		permitted, err := s.permits(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(name), VersionId: aws.String(noVersion())})
		switch {
		case err != nil:
			return 0, nil, err
		case permitted:
			allowed++
		default:
			denied = append(denied, name)
		}
	}
	return allowed, denied, nil
}

// askBelow asks below each registered prefix for a secret that cannot exist.
func (s *Store) askBelow(ctx context.Context, paths broker.Scope, nothing string) (allowed int, err error) {
	for i, path := range paths {
		prefix, open := strings.CutSuffix(path, "*")
		if !open || i >= maxAsked {
			continue
		}
		permitted, err := s.permits(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(prefix + nothing), VersionStage: aws.String(stageCurrent)})
		if err != nil {
			return 0, err
		}
		if permitted {
			allowed++
		}
	}
	return allowed, nil
}

// permits reports whether a question was permitted, whatever the answer was. An
// answer with a value, which nobody expects, is dropped unread.
func (s *Store) permits(ctx context.Context, in *secretsmanager.GetSecretValueInput) (bool, error) {
	out, err := s.client.GetSecretValue(ctx, in)
	if err == nil {
		clear(out.SecretBinary)
		return true, nil
	}
	fault := awsfault.Of(err)
	switch {
	case fault.Passing, slices.Contains(strangers, fault.Code):
		return false, fault.Wrap(checking, broker.ErrStoreDenied)
	case fault.Code == "AccessDeniedException":
		return false, nil
	case fault.Code == "DecryptionFailure":
		return false, fault.Wrap(checking, broker.ErrKeyUnavailable)
	}
	return true, nil // not found, marked for deletion, or no such version
}

// noVersion is the id of a version that no secret has: a random UUID.
func noVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
