package maker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

const (
	maxAnswer = 64 << 10
	maxURL    = 2 << 10
)

// errAnswer means an answer whose body cannot be used.
var errAnswer = errors.New("the answer is too large, broken off, or no JSON")

// send sends one request and reads its answer. Without an error, or with
// errAnswer, there is a status.
func (r *Recipe) send(ctx context.Context, doing string, m broker.Making, call broker.RecipeCall, values map[string]secret.Value) (status int, body []byte, err error) {
	req, err := request(ctx, call, values)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", doing, err)
	}
	var networks []netip.Prefix
	own, err := broker.OriginDigest(m.Server.URL)
	if asked, bad := broker.OriginDigest(req.URL.String()); err == nil && bad == nil && asked == own {
		networks = m.Server.Networks
	}
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	resp, err := r.Client(networks).Do(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil { // its text names the host, which is the plan's business
		kind := broker.ErrUnavailable
		if sent.Load() {
			kind = broker.ErrOutcomeUnknown
		}
		return 0, nil, fmt.Errorf("%s: %w: no answer", doing, kind)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	kind, _, unread := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	encoding := resp.Header.Get("Content-Encoding")
	plain := encoding == "" || strings.EqualFold(encoding, "identity")
	isJSON := unread == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
	if err != nil || len(body) > maxAnswer || !plain || !isJSON {
		if judge(doing, resp.StatusCode) == nil {
			return resp.StatusCode, nil, fmt.Errorf("%s: %w: %w", doing, broker.ErrOutcomeUnknown, errAnswer)
		}
		return resp.StatusCode, nil, nil // a refusal needs no body
	}
	return resp.StatusCode, body, nil
}

// forbidden are headers that say how a request is sent, or to whom.
var forbidden = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Expect", "Accept-Encoding", "Proxy-Authorization"}

// request makes a request of a recipe's, with values in their places.
func request(ctx context.Context, call broker.RecipeCall, values map[string]secret.Value) (*http.Request, error) {
	address, err := fillURL(call.URL, values)
	if err != nil {
		return nil, err
	}
	body, err := fillBody(call.Body, values)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w request of the recipe: method or URL", broker.ErrInvalid)
	}
	for name, template := range call.Headers {
		if slices.Contains(forbidden, http.CanonicalHeaderKey(name)) || strings.Trim(name, letters+"-") != "" || name == "" {
			return nil, fmt.Errorf("%w request of the recipe: a header that it may not set", broker.ErrInvalid)
		}
		value, err := fill(template, values, inHeader)
		if err != nil {
			return nil, err
		}
		req.Header.Set(name, value)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity") // a decompressor is a bomb
	req.Header.Set("User-Agent", "Bindery")
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Close = true // an idle connection that is gone would look like a lost answer, and some would be tried again
	return req, nil
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// fill puts values into a template, each held to what its place can carry.
func fill(template string, values map[string]secret.Value, fits func(string) bool) (string, error) {
	if !strings.ContainsAny(template, "{}") {
		return template, nil
	}
	pieces, err := broker.ParseTemplate(template)
	if err != nil {
		return "", fmt.Errorf("%w request of the recipe: a brace", broker.ErrInvalid)
	}
	var filled strings.Builder
	for _, p := range pieces {
		if p.Field == "" {
			filled.WriteString(p.Literal)
			continue
		}
		value := values[p.Field]
		switch {
		case value.IsZero():
			return "", fmt.Errorf("%w: the recipe names a field that there is not", broker.ErrSecretMissing)
		case !fits(value.Reveal()):
			return "", fmt.Errorf("%w: a value would change what the recipe's request means", broker.ErrSecretMalformed)
		}
		filled.WriteString(value.Reveal())
	}
	return filled.String(), nil
}

// inHeader: visible ASCII, with spaces inside.
func inHeader(s string) bool {
	return strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// inURL: what no part of a URL gives a meaning to (RFC 3986, 2.3), and no dot segment.
func inURL(s string) bool { return strings.Trim(s, letters+"-._~") == "" && strings.Trim(s, ".") != "" }

// inText: JSON carries any text that is one.
func inText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError) }

// fillURL fills path and query; where a request goes is not for a value to say.
func fillURL(template string, values map[string]secret.Value) (string, error) {
	scheme, rest, _ := strings.Cut(template, "://")
	host, _, _ := strings.Cut(rest, "/")
	filled, err := fill(template, values, inURL)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(filled)
	if err != nil || strings.ContainsAny(scheme+host, "{}?#@\\") || u.Host == "" || u.User != nil || u.Fragment != "" || len(filled) > maxURL {
		return "", fmt.Errorf("%w request of the recipe: its URL", broker.ErrInvalid)
	}
	return filled, nil
}

// fillBody fills the texts of a JSON document, so that whatever a value holds it
// stays a text.
func fillBody(template string, values map[string]secret.Value) ([]byte, error) {
	if template == "" {
		return nil, nil
	}
	bad := fmt.Errorf("%w request of the recipe: its body is no JSON", broker.ErrInvalid)
	d := json.NewDecoder(strings.NewReader(template))
	d.UseNumber()
	var document any
	if d.Decode(&document) != nil {
		return nil, bad
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, bad
	}
	document, err := fillTexts(document, values)
	if err != nil {
		return nil, err
	}
	return json.Marshal(document)
}

func fillTexts(node any, values map[string]secret.Value) (_ any, err error) {
	switch n := node.(type) {
	case string:
		return fill(n, values, inText)
	case []any:
		for i := range n {
			if n[i], err = fillTexts(n[i], values); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range n {
			if n[name], err = fillTexts(n[name], values); err != nil {
				return nil, err
			}
		}
	}
	return node, nil
}
