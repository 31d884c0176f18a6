package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// version is one version of a secret, as read.
type version struct {
	number    int64  // 0 in KV version 1
	created   string // with number: unique also after a secret was erased and made anew
	requestID string
	material  secret.Value // a JSON object
}

func (v version) id() string {
	if v.number == 0 {
		return ""
	}
	return strconv.FormatInt(v.number, 10)
}

// read reads one version, with the token at hand. A token that Vault refuses
// may have been revoked since, so signing in is tried once more, unless it has
// just been done: then it is the path that is denied.
func (s *Store) read(ctx context.Context, w *broker.Want, q query) (version, error) {
	held, err := s.token(ctx, w, secret.Value{})
	if err != nil {
		return version{}, err
	}
	a, err := s.get(ctx, w, q, held.token)
	if err == nil && a.status == http.StatusForbidden && s.now().Sub(held.since) >= fresh {
		if held, err = s.token(ctx, w, held.token); err != nil {
			return version{}, err
		}
		a, err = s.get(ctx, w, q, held.token)
	}
	if err != nil {
		return version{}, err
	}
	if a.status != http.StatusOK {
		return version{}, refusal("read from Vault", a.status)
	}
	defer clear(a.body)
	return decode(a.body, q)
}

func (s *Store) get(ctx context.Context, w *broker.Want, q query, token secret.Value) (answer, error) {
	var selected url.Values
	if q.version != 0 {
		selected = url.Values{"version": {strconv.FormatInt(q.version, 10)}}
	}
	return s.send(ctx, "read from Vault", &w.Store, request{method: http.MethodGet, path: q.path, query: selected, token: token})
}

// decode tells the two versions of KV apart by what version 2 alone has: data/
// in the path, and beside the data a version that was created some time. A
// secret of version 1 that imitates this changes the meaning of nothing but
// itself.
func decode(body []byte, q query) (version, error) {
	var outer struct {
		RequestID string          `json:"request_id"`
		LeaseID   string          `json:"lease_id"`
		Data      json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &outer) != nil { // its error could quote the answer
		return version{}, fmt.Errorf("read from Vault: %w: the answer could not be read", broker.ErrUnavailable)
	}
	if outer.LeaseID != "" {
		return version{}, fmt.Errorf("read from Vault: %w: the path is none of a KV engine", broker.ErrSecretMalformed)
	}
	v := version{requestID: plainID(outer.RequestID)}
	material := outer.Data
	var inner struct {
		Data     json.RawMessage `json:"data"`
		Metadata struct {
			Version   int64     `json:"version"`
			Created   time.Time `json:"created_time"`
			Destroyed bool      `json:"destroyed"`
		} `json:"metadata"`
	}
	two := strings.Contains(q.path, "/data/") && json.Unmarshal(outer.Data, &inner) == nil &&
		inner.Metadata.Version > 0 && !inner.Metadata.Created.IsZero()
	if two {
		v.number, v.created = inner.Metadata.Version, inner.Metadata.Created.Format(time.RFC3339Nano)
		material = inner.Data
	}
	switch {
	case q.version != 0 && !two:
		return version{}, fmt.Errorf("%w reference: KV version 1 keeps no versions: %w", broker.ErrInvalid, broker.ErrSecretMalformed)
	case q.version != 0 && q.version != v.number:
		return version{}, fmt.Errorf("read from Vault: %w: it answered about another version", broker.ErrSecretMissing)
	case inner.Metadata.Destroyed || len(material) == 0 || string(material) == "null":
		return version{}, fmt.Errorf("read from Vault: %w: the version was deleted", broker.ErrSecretMissing)
	}
	v.material = secret.New(string(material))
	return v, nil
}

// plainID passes an id that could be one on to the audit log, and no more.
func plainID(id string) string {
	if len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
	}) {
		return ""
	}
	return id
}
