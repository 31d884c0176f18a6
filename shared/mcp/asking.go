package mcp

import (
	"bytes"
	"encoding/json"
	"strings"

	"bindery/shared/broker"
)

// What Bindery keeps for its own questions among the members by which a server
// of revision 2026-07-28 asks for input: the beginning of its request states,
// and of the keys of its input requests. An upstream's must look otherwise.
const (
	StatePrefix   = "brk1."
	requestPrefix = "brk_"
	connectKey    = requestPrefix + "connect"
)

// What a client can do that is asked by a link.
const CanOpenURL = "elicitation.url"

// CodeURLRequired is the JSON-RPC error that says which links the person has to
// open. Only one revision has it.
const (
	CodeURLRequired       = -32042
	RevisionOfURLRequired = "2025-11-25"
)

// Asks reports whether m's revision lets a server answer m with a question.
func (m *Message) Asks() bool {
	return m.Modern && (m.Method == "tools/call" || m.Method == "prompts/get" || m.Method == "resources/read")
}

// reply reads the state and the answer that a request gives back.
func (e *envelope) reply(m *Message) {
	state, whole := text(e.state)
	if !whole || !bytes.HasPrefix(state, []byte(StatePrefix)) {
		m.Continues = e.state != nil || e.responses != nil
		return
	}
	m.State = string(state)
	switch action, _ := text(e.reaction); string(action) {
	case "accept", "decline", "cancel":
		m.Reply = string(action)
	}
}

func (e *envelope) response(s *scanner, key []byte, depth int) (err error) {
	if string(key) != connectKey {
		return s.value(depth)
	}
	_, err = s.nested(depth, func(s *scanner, key []byte, depth int) (err error) {
		if string(key) != "action" {
			return s.value(depth)
		}
		e.reaction, err = s.raw(depth)
		return err
	})
	return err
}

// paramsWalk walks over the members of a message's params.
type paramsWalk struct {
	open    int  // place after the brace
	last    int  // end of the member before, or of what was cut last
	kept    bool // a member before stays
	splices editor
	digest  []string
}

// WithoutReply gives m's body without the state and the responses by which it
// continues a question of Bindery's. Every other byte stays.
func (m *Message) WithoutReply(body []byte) []byte {
	if m.State == "" {
		return body
	}
	w := &paramsWalk{}
	if err := lax(body).document(w.top(w.cut)); err != nil { // cannot happen: Parse has read it
		return body
	}
	return w.splices.apply(body)
}

// CallDigest names what m asks for: its method and all of its params but those
// that differ when the same call is repeated with the answer to a question.
func (m *Message) CallDigest(body []byte) string {
	w := &paramsWalk{digest: []string{"call", m.Method}}
	if err := lax(body).document(w.top(w.collect)); err != nil {
		return ""
	}
	return broker.Digest(w.digest...)
}

func (w *paramsWalk) top(member visitor) visitor {
	return func(s *scanner, key []byte, depth int) error {
		if string(key) != "params" || s.peek() != '{' {
			return s.value(depth)
		}
		w.open, w.last = s.i+1, s.i+1
		return s.object(depth+1, member)
	}
}

func (w *paramsWalk) cut(s *scanner, key []byte, depth int) error {
	goes := string(key) == "requestState" || string(key) == "inputResponses"
	err := s.value(depth)
	end := s.i
	switch {
	case !goes:
		w.kept = true
	case w.kept:
		w.splices.cut(w.last, end)
	default: // the comma behind it goes along
		rest := *s
		if rest.space(); rest.peek() == ',' {
			end = rest.i + 1
		}
		w.splices.cut(w.last, end)
	}
	w.last = end
	return err
}

func (w *paramsWalk) collect(s *scanner, key []byte, depth int) error {
	raw, err := s.raw(depth)
	switch string(key) {
	case "_meta", "requestState", "inputResponses":
	default:
		w.digest = append(w.digest, string(key), string(raw))
	}
	return err
}

// reserved reports whether an upstream's answer holds a request state or an
// input request that a client could take for Bindery's. Of the answers that hold
// neither, and no escape in which they could hide, not more is read than that.
func reserved(answer []byte) (found bool) {
	if !bytes.Contains(answer, []byte(`"requestState"`)) && !bytes.Contains(answer, []byte(`"inputRequests"`)) &&
		!bytes.Contains(answer, []byte(`\u`)) {
		return false
	}
	inRequests := func(s *scanner, key []byte, depth int) error {
		found = found || bytes.HasPrefix(key, []byte(requestPrefix))
		return s.value(depth)
	}
	inResult := func(s *scanner, key []byte, depth int) error {
		switch string(key) {
		case "requestState":
			raw, err := s.raw(depth)
			state, _ := text(raw)
			found = found || bytes.HasPrefix(state, []byte(StatePrefix))
			return err
		case "inputRequests":
			_, err := s.nested(depth, inRequests)
			return err
		}
		return s.value(depth)
	}
	_ = lax(answer).document(func(s *scanner, key []byte, depth int) (err error) {
		if string(key) != "result" {
			return s.value(depth)
		}
		_, err = s.nested(depth, inResult)
		return err
	}) // what does not scan was judged up to there, and a client reads no further
	return found
}

// urlElicitation asks a person to open a link.
type urlElicitation struct {
	Mode    string `json:"mode"`
	ID      string `json:"elicitationId,omitempty"`
	URL     string `json:"url"`
	Message string `json:"message"`
}

// InputRequired is a result of revision 2026-07-28 that asks the person to open
// a link, and the client to come back with the state.
func InputRequired(id json.RawMessage, state, url, message string) []byte {
	type request struct {
		Method string         `json:"method"`
		Params urlElicitation `json:"params"`
	}
	return resultBody(id, struct {
		Type     string             `json:"resultType"`
		State    string             `json:"requestState"`
		Requests map[string]request `json:"inputRequests"`
	}{"input_required", state, map[string]request{connectKey: {"elicitation/create", urlElicitation{Mode: "url", URL: url, Message: message}}}})
}

// URLRequired is the error of revision 2025-11-25 for the same.
func URLRequired(id json.RawMessage, elicitation, url, message string) []byte {
	data := marshal(map[string][]urlElicitation{"elicitations": {{"url", elicitation, url, message}}})
	return errorBody(id, CodeURLRequired, "This request requires more information.", data)
}

// ToolFailure is the answer to m, a tools/call, that says in words why the tool
// was not called.
func (m *Message) ToolFailure(message string) []byte {
	type content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	result := struct {
		Type    string    `json:"resultType,omitempty"`
		Content []content `json:"content"`
		IsError bool      `json:"isError"`
	}{"", []content{{"text", message}}, true}
	if m.Modern {
		result.Type = "complete"
	}
	return resultBody(m.ID, result)
}

func resultBody(id json.RawMessage, result any) []byte {
	if !validID(id) {
		id = json.RawMessage("null")
	}
	body := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	body = append(body, `,"result":`...)
	return append(append(body, marshal(result)...), '}')
}

// marshal writes a value of this file, all of which marshal. Links stay
// readable.
func marshal(v any) []byte {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return []byte("null")
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
