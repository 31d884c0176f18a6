package oauth

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	// encoding/json takes a repeated name, and a name in another case, without a word.
	strict "github.com/go-jose/go-jose/v4/json"
)

// answer is a whole answer of a provider.
type answer struct {
	status     int
	json       bool // by its content type, and not compressed
	body       []byte
	retryAfter time.Duration
}

// errUnread means an answer that came and could not be read in full.
var errUnread = errors.New("the answer could not be read")

// send sends one request and reads the answer. Sent reports whether the provider
// may have acted on it: net/http tells when the headers are written, before
// which no server has a whole request. Without an error, or with errUnread,
// there was an answer.
func (r *Requester) send(req *http.Request) (got answer, sent bool, err error) {
	var wrote atomic.Bool
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }})
	req = req.Clone(ctx)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity") // a decompressor is a bomb
	// A connection that lay idle may be gone, which would look like an answer
	// that was lost.
	req.Close = true
	resp, err := r.http.Do(req)
	if err != nil {
		return answer{}, wrote.Load(), err
	}
	defer resp.Body.Close()
	got = answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"), r.now())}
	encoding := resp.Header.Get("Content-Encoding")
	got.json = isJSON(resp.Header.Get("Content-Type")) && (encoding == "" || strings.EqualFold(encoding, "identity"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return got, true, errUnread
	}
	got.body = body
	return got, true, nil
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}

// object is one JSON object whose names are distinct at every level. The zero
// object has no members.
type object struct {
	body    []byte
	members map[string]strict.RawMessage
}

func parse(body []byte) (object, bool) {
	var whole any // looks inside the members too
	var members map[string]strict.RawMessage
	if !utf8.Valid(body) || strict.Unmarshal(body, &whole) != nil || strict.Unmarshal(body, &members) != nil || members == nil {
		return object{}, false
	}
	return object{body, members}, true
}

// into fills v, whose names are compared exactly.
func (o object) into(v any) bool { return strict.Unmarshal(o.body, v) == nil }

// text reads a member that is a string, or is not there.
func (o object) text(name string) (value string, ok bool) {
	raw := o.members[name]
	if raw == nil || string(raw) == "null" {
		return "", true
	}
	if strict.Unmarshal(raw, &value) != nil || strings.ContainsRune(value, utf8.RuneError) {
		return "", false
	}
	return value, true
}

// document gets a metadata document. Absent says that there is none at this
// address, whatever the server sent in its place: a page, a redirect, a refusal.
func (r *Requester) document(ctx context.Context, doing, address string) (o object, absent bool, err error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return object{}, false, fault(doing, ErrMetadata, "its address cannot be asked")
	}
	got, _, err := r.send(req)
	switch {
	case err != nil && got.status == 0:
		return object{}, false, unanswered(ctx, doing, false)
	case got.status >= 500 || got.status == http.StatusTooManyRequests:
		return object{}, false, refusal(doing, got, "", Quirks{})
	case got.status != http.StatusOK:
		return object{}, true, nil
	case err != nil && ctx.Err() != nil:
		return object{}, false, unanswered(ctx, doing, false)
	case err != nil:
		return object{}, false, fault(doing, ErrMetadata, "the document is too large or broken off")
	case !got.json:
		return object{}, true, nil
	}
	o, ok := parse(got.body)
	if !ok {
		return object{}, false, fault(doing, ErrMetadata, "the document is not one JSON object with distinct names")
	}
	return o, false, nil
}
