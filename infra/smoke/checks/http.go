package checks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// answer is what a check may know of an HTTP answer.
type answer struct {
	status int
	header http.Header
	code   int // of the JSON-RPC error in the body; 0 if there is none
	body   []byte
	took   time.Duration // until the head was there
}

const maxBody = 1 << 20

// request is one HTTP request; header has pairs of names and values.
type request struct {
	method, url, token string
	body               []byte
	header             []string
}

// at is the address of a path of the stack.
func (s *Subject) at(path string) string { return s.Base + path }

// address is a server's, and metadata where its metadata is.
func (s *Subject) address(server string) string { return s.at("/mcp/" + s.Environment + "/" + server) }
func (s *Subject) metadata(server string) string {
	return s.at("/.well-known/oauth-protected-resource/mcp/" + s.Environment + "/" + server)
}

// anyServer is a name for what asks no server.
func (s *Subject) anyServer() string {
	if s.Server != "" {
		return s.Server
	}
	return "smoke"
}

// open sends a request and gives the answer before its body. Errors name no
// address and nothing that was sent.
func (s *Subject) open(ctx context.Context, q request) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, q.url, strings.NewReader(string(q.body)))
	if err != nil {
		return nil, errors.New("the stack's address is not one")
	}
	if q.method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	for i := 0; i+1 < len(q.header); i += 2 {
		r.Header.Set(q.header[i], q.header[i+1])
	}
	response, err := s.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s: there was no answer", q.method)
	}
	return response, nil
}

// send reads the whole answer.
func (s *Subject) send(ctx context.Context, q request) (answer, error) {
	begun := time.Now()
	response, err := s.open(ctx, q)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode, header: response.Header, took: time.Since(begun)}
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, maxBody)); err != nil {
		return answer{}, fmt.Errorf("%s: the answer broke off", q.method)
	}
	var rpc struct{ Error struct{ Code int } }
	if json.Unmarshal(a.body, &rpc) == nil {
		a.code = rpc.Error.Code
	}
	return a, nil
}

// is says how an answer differs from a status and a code of docs/errors.md.
func (a answer) is(status, code int) error {
	if a.status != status || a.code != code {
		return fmt.Errorf("HTTP %d with code %d instead of %d with %d", a.status, a.code, status, code)
	}
	return nil
}

const remapped = "X-Amzn-Remapped-Www-Authenticate"

// challenges says what is wrong with the challenge of an answer.
func (a answer) challenges() error {
	switch {
	case a.header.Get(remapped) != "":
		return errors.New("the challenge is renamed to " + strings.ToLower(remapped))
	case !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer"):
		return errors.New("there is no WWW-Authenticate")
	}
	return nil
}
