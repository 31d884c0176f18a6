package wire

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"bindery/shared/kmssign"
	"bindery/shared/oauth"
)

// signers are the keys with which Bindery signs as a client of providers. What a
// key's public half says never changes, so it is read once in a process.
type signers struct {
	kms   kmssign.KMS
	mu    sync.Mutex
	known map[string]oauth.Key
}

// maxSigners bounds what is kept: rows name keys, and administrators write rows.
const maxSigners = 100

func newSigners(client *kms.Client) *signers {
	return &signers{kms: client, known: map[string]oauth.Key{}}
}

// key gives the key of an ARN. A failure is remembered by nobody.
func (s *signers) key(ctx context.Context, arn string) (oauth.Key, error) {
	s.mu.Lock()
	known, ok := s.known[arn]
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	opened, err := kmssign.Open(ctx, s.kms, arn, 0)
	if err != nil {
		return oauth.Key{}, err
	}
	key := oauth.Key{ID: opened.ID, Algorithm: opened.Algorithm, Signer: opened, Public: opened.JWK}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) == maxSigners {
		clear(s.known)
	}
	s.known[arn] = key
	return key, nil
}
