package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/mcp"
)

// maxAnswer bounds one answer: a list of tools is far shorter.
const maxAnswer = 4 << 20

const methodNotFound = -32601

// fault is what is wrong with the upstream.
type fault struct {
	reason  broker.Reason
	refused bool
}

func (f *fault) Error() string { return "probe: " + string(f.reason) }

// message is a JSON-RPC message of either side.
type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
}

// answer is a JSON-RPC answer. What is in it stays in this package.
type answer struct {
	result  json.RawMessage
	fault   *struct{ Code int }
	session string
}

// read decodes the result, which must be an object.
func (a answer) read(into any) error {
	if !bytes.HasPrefix(bytes.TrimSpace(a.result), []byte("{")) {
		return &fault{reason: broker.UpstreamMalformed}
	}
	return json.Unmarshal(a.result, into)
}

// call makes one request and reads its answer. revision is what the header
// says; empty for the handshake, which settles it.
func (j *journey) call(ctx context.Context, method string, params any, revision string) (answer, error) {
	j.id++
	id := fmt.Sprint(j.id)
	response, err := j.post(ctx, message{JSONRPC: "2.0", ID: json.RawMessage(id), Method: method, Params: params}, revision)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	a, err := read(response, id)
	var own *fault
	if err != nil && !errors.As(err, &own) {
		err = &fault{reason: reasonOf(err)}
	}
	if session := response.Header.Get("Mcp-Session-Id"); len(session) <= maxSession {
		a.session = session
	}
	return a, err
}

const maxSession = 4096

// notify sends what has no answer.
func (j *journey) notify(ctx context.Context, method string) error {
	response, err := j.post(ctx, message{JSONRPC: "2.0", Method: method}, j.Era)
	if err == nil {
		_ = response.Body.Close()
	}
	return err
}

// post sends one message and judges the status of the answer.
func (j *journey) post(ctx context.Context, m message, revision string) (*http.Response, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode the probe: %w", err)
	}
	r, err := j.request(ctx, http.MethodPost, body, m.Method, revision)
	if err != nil {
		return nil, err
	}
	j.Status = 0
	response, err := j.Client.Do(r)
	if err != nil {
		return nil, &fault{reason: reasonOf(err)}
	}
	j.Status = response.StatusCode
	if reason := judge(response); reason != "" {
		_ = response.Body.Close()
		return nil, &fault{reason: reason, refused: reason == broker.UpstreamAuth || reason == broker.UpstreamDenied}
	}
	return response, nil
}

// request makes a request with identity and credential on it.
func (j *journey) request(ctx context.Context, verb string, body []byte, method, revision string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, verb, j.URL, bytes.NewReader(body))
	if err != nil {
		return nil, &fault{reason: broker.UpstreamAddress}
	}
	r.Header.Set("User-Agent", "Bindery")
	r.Header.Set("Accept", mcp.JSON+", "+mcp.EventStream)
	r.Header.Set("Accept-Encoding", "identity")
	if body != nil {
		r.Header.Set("Content-Type", mcp.JSON)
	}
	if revision != "" {
		r.Header.Set("MCP-Protocol-Version", revision)
	}
	if revision == Modern {
		r.Header.Set("Mcp-Method", method)
	}
	if j.session != "" {
		r.Header.Set("Mcp-Session-Id", j.session)
	}
	return r, j.Prepare(r)
}

// judge says what is wrong with an answer before its body is read, or nothing.
func judge(r *http.Response) broker.Reason {
	switch status := r.StatusCode; {
	case status == http.StatusUnauthorized:
		return broker.UpstreamAuth
	case status == http.StatusForbidden:
		return broker.UpstreamDenied
	case status >= 300 && status < 400:
		return broker.UpstreamRedirect
	case status >= 500:
		return broker.UpstreamFailed
	case status < 200 || status >= 400:
		return broker.UpstreamMalformed
	case slices.ContainsFunc(r.Header.Values("Content-Encoding"), func(v string) bool { return !strings.EqualFold(v, "identity") }):
		return broker.UpstreamEncoded
	}
	return ""
}

// read finds the answer in one body, or in the first event that holds it.
func read(r *http.Response, id string) (answer, error) {
	switch mcp.MediaType(r.Header) {
	case mcp.JSON:
		text, err := egress.ReadBounded(r.Body, maxAnswer, r.ContentLength)
		if err != nil {
			return answer{}, err
		}
		if a, ours := decode(text, id); ours {
			return a, nil
		}
	case mcp.EventStream:
		events := mcp.NewEventReader(io.LimitReader(r.Body, maxAnswer), maxAnswer)
		for {
			event, err := events.Next()
			if a, ours := decode(event.Data(), id); ours {
				return a, nil
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				return answer{}, err
			}
		}
	}
	return answer{}, &fault{reason: broker.UpstreamMalformed}
}

// decode reads an answer to the request of that id; anything else is none.
func decode(text []byte, id string) (answer, bool) {
	var m struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  json.RawMessage `json:"result"`
		Error   *struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if len(text) == 0 || json.Unmarshal(text, &m) != nil || m.JSONRPC != "2.0" || string(m.ID) != id || (m.Result == nil) == (m.Error == nil) {
		return answer{}, false
	}
	a := answer{result: m.Result}
	if m.Error != nil {
		a.fault = &struct{ Code int }{m.Error.Code}
	}
	return a, true
}

// reasonOf is the word for a fault of the way there.
func reasonOf(err error) broker.Reason {
	switch {
	case errors.Is(err, egress.ErrAddress), errors.Is(err, egress.ErrScheme), errors.Is(err, egress.ErrURL):
		return broker.UpstreamAddress
	case errors.Is(err, egress.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return broker.UpstreamTimeout
	case errors.Is(err, egress.ErrUnreachable):
		return broker.UpstreamUnreached
	case errors.Is(err, egress.ErrTooLarge), errors.Is(err, mcp.ErrEventTooLarge):
		return broker.UpstreamTooLarge
	case errors.Is(err, context.Canceled):
		return broker.CallerGone
	}
	return broker.UpstreamBroke
}
