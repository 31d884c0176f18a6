package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// maxAnswer is above the largest secret that Vault stores.
const maxAnswer = 2 << 20

// request is one request to Vault.
type request struct {
	method, path string // path below /v1/, not escaped
	query        url.Values
	token        secret.Value // zero: none
	body         []byte
}

// answer is what came back, whatever its status.
type answer struct {
	status int
	body   []byte
}

func (s *Store) send(ctx context.Context, doing string, to *broker.Store, r request) (answer, error) {
	u, err := url.Parse(to.Address)
	if err != nil {
		return answer{}, fmt.Errorf("%w store: its address does not parse", broker.ErrInvalid)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/v1/" + r.path
	u.RawQuery = r.query.Encode()
	out, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w: the request cannot be made", doing, broker.ErrStoreDenied)
	}
	out.Header.Set("X-Vault-Request", "true") // what Vault's agents and proxies can be told to insist on
	if to.Namespace != "" {
		out.Header.Set("X-Vault-Namespace", strings.Trim(to.Namespace, "/"))
	}
	if !r.token.IsZero() {
		out.Header.Set("X-Vault-Token", r.token.Reveal())
	}
	in, err := s.client(to.Networks).Do(out)
	if err != nil {
		return answer{}, unanswered(ctx, doing, err)
	}
	defer in.Body.Close()
	body, err := io.ReadAll(io.LimitReader(in.Body, maxAnswer+1))
	if err != nil {
		return answer{}, unanswered(ctx, doing, err)
	}
	if len(body) > maxAnswer {
		return answer{}, fmt.Errorf("%s: %w: the answer is too large", doing, broker.ErrUnavailable)
	}
	return answer{in.StatusCode, body}, nil
}

// fault is an error whose causes can be asked for and are not printed: egress
// names the host.
type fault struct {
	text   string
	causes []error
}

func (f *fault) Error() string   { return f.text }
func (f *fault) Unwrap() []error { return f.causes }

func unanswered(ctx context.Context, doing string, err error) error {
	why := "no answer"
	cause := ctx.Err()
	switch {
	case errors.Is(cause, context.Canceled):
		why = "canceled"
	case cause != nil:
		why = "deadline exceeded"
	}
	return &fault{fmt.Sprintf("%s: %v: %s", doing, broker.ErrUnavailable, why), []error{broker.ErrUnavailable, cause, err}}
}

// refusal is the error for a status that is not 200. Besides the usual ones,
// 412 and 47x come from servers that do not have the data yet, 3xx from those
// that hold a redirect for an answer; 503 is also a sealed server's.
func refusal(doing string, status int) error {
	kind := broker.ErrStoreDenied
	switch {
	case status == http.StatusNotFound:
		kind = broker.ErrSecretMissing
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusPreconditionFailed,
		status >= 470 && status < 480, status >= 500, status < 400:
		kind = broker.ErrUnavailable
	}
	return fmt.Errorf("%s: %w: HTTP %d", doing, kind, status)
}
