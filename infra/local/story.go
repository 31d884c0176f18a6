package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// desk is somebody at the admin API.
type desk struct {
	url      string
	token    string
	receipts []string // of all that was asked
}

func (w *world) desk(account string) (*desk, error) {
	token, err := w.issuer.Token(account)
	return &desk{url: w.url + "/admin/v1/", token: token}, err
}

// ask asks, and reads the answer into out. Whatever is put is new.
func (d *desk) ask(ctx context.Context, method, path string, body, out any) error {
	text := []byte(nil)
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, d.url+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodPut {
		r.Header.Set("If-None-Match", "*")
	}
	response, err := (&http.Client{Timeout: time.Minute}).Do(r)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	d.receipts = append(d.receipts, response.Header.Get("Bindery-Receipt"))
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", method, path, err)
	case response.StatusCode >= 300:
		return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// last is the receipt of what was asked last.
func (d *desk) last() string { return d.receipts[len(d.receipts)-1] }

// story is an account of several steps: what is shown of each, and what was not
// as it should be.
type story struct {
	lines []string
	wrong []error
}

func (s *story) tell(label, text string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf("  %-18s %s", label, fmt.Sprintf(text, args...)))
}

func (s *story) require(ok bool, what string) {
	if !ok {
		s.wrong = append(s.wrong, errors.New("the pilot: "+what))
	}
}

func (s *story) print(out io.Writer) {
	fmt.Fprintf(out, "\n  The pilot: a secret that changes, and access that ends\n\n%s\n", strings.Join(s.lines, "\n"))
}

func (s *story) check() error { return errors.Join(s.wrong...) }
