package mcp

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"

	"bindery/shared/broker"
)

// MaxRequest is the largest request body, in bytes, that should be read from a
// caller. Parse does not enforce it: whoever reads the body does.
const MaxRequest = 4 << 20

const (
	maxTarget = 4096 // bytes of a tool or prompt name, URI or task id
	maxID     = 256  // bytes of a raw id
)

// Kind is the kind of a message.
type Kind int

// The kinds: JSON-RPC messages, of which batches are not served, and the two
// HTTP requests of the legacy eras that carry none.
const (
	Request      Kind = iota + 1 // expects an answer
	Notification                 // has no id and gets no answer
	Response                     // a legacy client's answer to a server's request
	Listen                       // GET: a stream of what the server sends unasked
	End                          // DELETE: the session is over
)

// Message is what a policy needs to know about one message. ID shares memory
// with the body.
type Message struct {
	Kind    Kind
	ID      json.RawMessage // raw id, a string or an integer; nil for a notification
	Method  string          // empty for a response; GET and DELETE for those
	Action  broker.Action
	Target  string // tool or prompt name, resource URI (or template), or empty
	Version string // protocol revision in force; 2025-03-26 where nothing says otherwise
	Modern  bool   // the revision is 2026-07-28 or later: stateless
	Lasting bool   // the answer is a stream that stays open: GET and subscriptions/listen

	// Arguments are those of tools/call and prompts/get, as they stand in the
	// body, whose memory they share; nil where there are none. They are JSON of any
	// kind in which no object repeats a key.
	Arguments json.RawMessage

	// Session is the client's Mcp-Session-Id as it was sent, at most 4096 bytes,
	// in the legacy eras. It proves nothing. What its issuer does not know, it
	// must answer with 404, however malformed the id is.
	Session string
	// LastEventID is the point at which a GET resumes, or empty.
	LastEventID string
	// Capabilities are what the client declares in this message (initialize, or
	// any modern request) of: elicitation.form, elicitation.url, roots, sampling,
	// tasks.
	Capabilities []string

	// State is the request state that Bindery gave out with a question of its own,
	// as it came back in a modern request, and Reply what the client says to the
	// question: accept, decline, cancel, or nothing that can be read. A state
	// proves nothing by itself. Both are cut out by WithoutReply.
	State, Reply string
	// Continues: the request answers a question of the upstream's own.
	Continues bool

	declared bool // the caller sent MCP-Protocol-Version
	mirrored bool // the caller's Mcp-Name was checked against the body
}

// envelope holds the raw values of a message that are judged; nil where absent.
type envelope struct {
	jsonrpc, id, method, params, result, fault []byte

	name, uri, task, protocol []byte       // of params
	arguments                 []byte       // of params
	state, responses          []byte       // of params
	reaction                  []byte       // action of Bindery's own in params.inputResponses
	metaVersion, capabilities []byte       // of params._meta
	proposed, declared        capabilities // of params (initialize) and of params._meta
	refType, refName, refURI  []byte       // of params.ref
	notifications             []byte
	resources, tasks          []byte // of params.notifications
}

// Parse judges one HTTP request to an MCP endpoint: its headers and its whole
// body. Every error is an *Error.
func Parse(h http.Header, body []byte) (*Message, error) {
	if MediaType(h) != JSON {
		return nil, refuse(ErrMediaType, "Content-Type must be application/json in UTF-8.")
	}
	e, err := read(body)
	if err != nil {
		return nil, err
	}
	m, err := e.judge(h)
	if err != nil {
		if validID(e.id) {
			err.ID = e.id
		}
		return nil, legacyStatus(err, h)
	}
	return m, nil
}

// legacyStatus answers a readable legacy request with HTTP 200 where the fault
// is in its method or parameters: to a legacy client 404 means that its session
// has ended, and some give up their session on any 4xx.
func legacyStatus(err *Error, h http.Header) *Error {
	inBody := err.Code == -32601 || err.Code == -32602
	switch legacy := h.Get(versionHeader) < firstModern; {
	case legacy && inBody && err.ID != nil:
		err.Status = http.StatusOK
	case legacy && inBody:
		err.Status = http.StatusBadRequest
	}
	return err
}

func (e *envelope) judge(h http.Header) (*Message, *Error) {
	m, err := e.shape()
	if err != nil {
		return nil, err
	}
	mirrors, err := readMirrors(h)
	if err != nil {
		return nil, err
	}
	if err := e.era(m, mirrors); err != nil {
		return nil, err
	}
	if m.Kind == Response {
		if m.Modern {
			return nil, refuse(ErrInvalidRequest, "This protocol version has no responses from clients.")
		}
		m.Action = broker.Respond
		return m, nil
	}
	if err := e.classify(m, mirrors); err != nil {
		return nil, err
	}
	switch {
	case m.Modern:
		m.Capabilities = e.declared.names()
		e.reply(m)
	case m.Method == "initialize":
		m.Capabilities = e.proposed.names()
	}
	return m, nil
}

// shape tells requests, notifications and responses apart (JSON-RPC 2.0).
func (e *envelope) shape() (*Message, *Error) {
	m := &Message{ID: e.id}
	switch {
	case string(e.jsonrpc) != `"2.0"`:
		return nil, refuse(ErrInvalidRequest, "jsonrpc must be \"2.0\".")
	case e.id != nil && !validID(e.id):
		return nil, refuse(ErrInvalidRequest, "id must be a string or an integer.")
	case e.method != nil && (e.result != nil || e.fault != nil):
		return nil, refuse(ErrInvalidRequest, "A message has either a method or a result.")
	case e.method != nil && e.params != nil && e.params[0] != '{':
		return nil, refuse(ErrInvalidRequest, "params must be an object.")
	case e.method != nil && e.id != nil:
		m.Kind = Request
	case e.method != nil:
		m.Kind = Notification
	case e.id == nil || (e.result == nil) == (e.fault == nil):
		return nil, refuse(ErrInvalidRequest, "A message has a method, or an id and either a result or an error.")
	case e.params != nil || len(e.result) > 0 && e.result[0] != '{' || len(e.fault) > 0 && e.fault[0] != '{':
		return nil, refuse(ErrInvalidRequest, "result or error must be an object.")
	default:
		m.Kind = Response
	}
	return m, nil
}

// classify finds the action and the target.
func (e *envelope) classify(m *Message, mirrors mirrors) *Error {
	name, whole := text(e.method)
	if !whole {
		return refuse(ErrInvalidRequest, "method must be a string.")
	}
	if err := mirrors.method(m, name); err != nil {
		return err
	}
	known, ok := methodOf(name)
	switch {
	case !ok, known.removed && m.Modern:
		return refuse(ErrMethodUnknown, "This method is not served.")
	case known.action == broker.Notify && m.Kind != Notification:
		return refuse(ErrInvalidRequest, "A notification has no id.")
	case known.action != broker.Notify && m.Kind != Request:
		return refuse(ErrInvalidRequest, "This method needs an id.")
	}
	m.Method, m.Action, m.Lasting = known.name, known.action, known.action == broker.Stream
	if known.naming == namesByName {
		m.Arguments = e.arguments
	}
	named, err := e.target(m, known.naming)
	if err != nil {
		return err
	}
	if known.mirrored && m.Modern {
		return mirrors.name(m, named)
	}
	return nil
}

// target sets Target, and Action where the parameters decide it, and gives the
// name that the method's Mcp-Name header must repeat.
func (e *envelope) target(m *Message, n naming) (string, *Error) {
	raw, missing := []byte(nil), ""
	switch n {
	case namesByName:
		raw, missing = e.name, "params.name must be a string of 1 to 4096 bytes without control characters."
	case namesByURI:
		raw, missing = e.uri, "params.uri must be a string of 1 to 4096 bytes without control characters."
	case namesByTask:
		raw, missing = e.task, "params.taskId must be a string of 1 to 4096 bytes without control characters."
	case namesByRef:
		missing = "params.ref must name either one prompt or one resource."
		kind, _ := text(e.refType)
		switch {
		case string(kind) == "ref/prompt" && e.refURI == nil:
			m.Action, raw = broker.GetPrompt, e.refName
		case string(kind) == "ref/resource" && e.refName == nil:
			m.Action, raw = broker.ReadResource, e.refURI
		}
	case namesByListing:
		return "", e.listen(m)
	default:
		return "", nil
	}
	name, whole := text(raw)
	if !whole || !usable(name) {
		return "", refuse(ErrInvalidParams, missing)
	}
	named := string(name)
	if n != namesByTask {
		m.Target = named
	}
	return named, nil
}

// listen judges subscriptions/listen by what it asks for. Change
// notifications name nothing. Resources and tasks are nameless uses of their
// kind, because one subscription can name many.
func (e *envelope) listen(m *Message) *Error {
	if len(e.notifications) > 0 && e.notifications[0] != '{' {
		return refuse(ErrInvalidParams, "params.notifications must be an object.")
	}
	resources, tasks := fills(e.resources), fills(e.tasks)
	switch {
	case resources && tasks:
		return refuse(ErrInvalidParams, "Subscribe to resources and to tasks in separate requests.")
	case resources:
		m.Action = broker.ReadResource
	case tasks:
		m.Action = broker.CallTool
	}
	return nil
}

// fills reports whether a raw list holds anything; what is not a list counts.
func fills(raw []byte) bool {
	if raw == nil || string(raw) == "null" {
		return false
	}
	return raw[0] != '[' || len(bytes.TrimSpace(raw[1:len(raw)-1])) > 0
}

// validID accepts a string of bounded length or an integer of at most 19
// digits, as it stands in the message. Null, fractions, exponents and -0 are
// not ids.
func validID(raw []byte) bool {
	switch {
	case len(raw) == 0 || len(raw) > maxID:
		return false
	case raw[0] == '"':
		s := strict(raw)
		str, err := s.str()
		if err != nil || s.i != len(raw) {
			return false
		}
		_, whole := decode(str)
		return whole
	case string(raw) == "0":
		return true
	}
	digits := bytes.TrimPrefix(raw, []byte("-"))
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' {
		return false
	}
	return !slices.ContainsFunc(digits, func(c byte) bool { return c < '0' || c > '9' })
}
