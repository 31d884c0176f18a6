// Package vault is broker.SecretStore over the KV engines, version 1 and 2, of
// HashiCorp Vault and OpenBao, by their HTTP API.
//
// A reference's path is the path of that API, so in version 2 it has data/
// after the mount; its key, which is required, is a member of the secret:
//
//	vault:secret/data/mcp/github-issues#token             version 2, the current version
//	vault:secret/data/mcp/github-issues?version=3#token   version 2, that version
//	vault:kv/mcp/github#token                             version 1
//
// Every Fetch reads the value again, so that a rotation takes effect with the
// next call; only the version before is remembered for a while (previous.go),
// and the client token that signing in gave (token.go), which lives in memory
// alone.
//
// The package never writes a secret, never reads a path that is no KV engine's
// when the path tells, never follows a redirect, and never passes on what
// Vault says besides its status and the id of the request.
package vault

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/shared/broker"
)

// DefaultTimeout bounds one Fetch, signing in included.
const DefaultTimeout = 3 * time.Second

// Client sends requests under the rules of egress.
type Client interface {
	Do(r *http.Request) (*http.Response, error)
}

// Parts are what a Store is made of. All but Timeout are required.
type Parts struct {
	Client  func(opened []netip.Prefix) Client // for the networks of one registration
	AWS     aws.CredentialsProvider            // of the function, for sign-in by aws-iam
	Timeout time.Duration                      // 0: DefaultTimeout
	Now     func() time.Time
}

// Store reads secrets of every registered Vault. It is safe for concurrent use.
type Store struct {
	client  func([]netip.Prefix) Client
	aws     aws.CredentialsProvider
	timeout time.Duration
	now     func() time.Time
	tokens  *tokens
	known   *pairs
}

// New makes a Store.
func New(p Parts) *Store {
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	// Wall clock: a frozen process does not notice time on the other one.
	wall := func() time.Time { return p.Now().Round(0) }
	return &Store{client: p.Client, aws: p.AWS, timeout: p.Timeout, now: wall, tokens: newTokens(), known: newPairs(wall)}
}

// Fetch implements broker.SecretStore. Version is KV version 2's number; version
// 1 has none, and nothing else of its answer names a value without telling of
// it, so there it is empty. Previous is filled where version 2 reads the
// current version: a reference that names a version asks for that one alone.
func (s *Store) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	q, err := parse(w.Reference, w.Keys)
	if err != nil {
		return broker.Secret{}, err
	}
	if err := Check(w.Store); err != nil { // a row is not trusted more than a form
		return broker.Secret{}, fmt.Errorf("%w: %w", broker.ErrStoreDenied, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	found, before, err := s.currentAndPrevious(ctx, &w, q)
	if err != nil {
		return broker.Secret{}, err
	}
	values, err := broker.Members(found.material, w.Keys)
	if err != nil {
		return broker.Secret{}, err
	}
	return broker.Secret{Values: values, Version: found.id(), RequestID: found.requestID,
		Previous: broker.Earlier(before, w.Keys)}, nil
}
