package mcp

import (
	"errors"
	"unicode/utf8"
)

// Keys that mean something to some reader of a message, per level. A key that
// differs from one of them only by case is refused: policy would not see what
// a forgiving upstream reads.
var (
	topKeys    = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	paramsKeys = []string{"name", "uri", "ref", "taskId", "_meta", "notifications", "protocolVersion",
		"arguments", "argument", "context", "cursor", "requestState", "inputResponses", "task", "level",
		"capabilities", "clientInfo", "requestId", "reason", "progressToken", "progress", "total", "message"}
	metaKeys = []string{metaVersionKey, metaCapabilitiesKey, metaPrefix + "clientInfo", metaPrefix + "logLevel",
		metaPrefix + "subscriptionId", metaPrefix + "related-task", "progressToken", "traceparent", "tracestate", "baggage"}
	refKeys    = []string{"type", "name", "uri", "title"}
	listenKeys = []string{"resourceSubscriptions", "taskIds", "toolsListChanged", "promptsListChanged", "resourcesListChanged"}
)

const (
	metaPrefix          = "io.modelcontextprotocol/"
	metaVersionKey      = metaPrefix + "protocolVersion"
	metaCapabilitiesKey = metaPrefix + "clientCapabilities"
)

// read scans the body once and collects what will be judged.
func read(body []byte) (*envelope, *Error) {
	s := strict(body)
	s.space()
	switch {
	case !utf8.Valid(body):
		return nil, refuse(ErrParse, "The body must be UTF-8.")
	case s.peek() == '[':
		return nil, refuse(ErrInvalidRequest, "Batches are not served; send one message per request.")
	}
	e := &envelope{}
	switch err := s.document(e.top); {
	case err == nil:
		return e, nil
	case errors.Is(err, errDuplicate):
		return nil, refuse(ErrInvalidRequest, "The body repeats a key.")
	case errors.Is(err, errKey):
		return nil, refuse(ErrInvalidRequest, "The body has a key that can be read in two ways.")
	case errors.Is(err, errTooDeep):
		return nil, refuse(ErrInvalidRequest, "The body is nested too deep or has too many members.")
	default:
		return nil, refuse(ErrParse, "The body must be one JSON object.")
	}
}

func (e *envelope) top(s *scanner, key []byte, depth int) (err error) {
	switch string(key) {
	case "jsonrpc":
		e.jsonrpc, err = s.raw(depth)
	case "id":
		e.id, err = s.raw(depth)
	case "method":
		e.method, err = s.raw(depth)
	case "params":
		e.params, err = s.nested(depth, e.param)
	case "result":
		e.result, err = s.raw(depth)
	case "error":
		e.fault, err = s.raw(depth)
	default:
		err = other(s, key, depth, topKeys)
	}
	return err
}

func (e *envelope) param(s *scanner, key []byte, depth int) (err error) {
	switch string(key) {
	case "name":
		e.name, err = s.raw(depth)
	case "uri":
		e.uri, err = s.raw(depth)
	case "taskId":
		e.task, err = s.raw(depth)
	case "arguments":
		e.arguments, err = s.raw(depth)
	case "protocolVersion":
		e.protocol, err = s.raw(depth)
	case "capabilities":
		_, err = s.nested(depth, e.proposed.member)
	case "requestState":
		e.state, err = s.raw(depth)
	case "inputResponses":
		e.responses, err = s.nested(depth, e.response)
	case "ref":
		_, err = s.nested(depth, e.reference)
	case "_meta":
		_, err = s.nested(depth, e.meta)
	case "notifications":
		e.notifications, err = s.nested(depth, e.listening)
	default:
		err = other(s, key, depth, paramsKeys)
	}
	return err
}

func (e *envelope) meta(s *scanner, key []byte, depth int) (err error) {
	switch string(key) {
	case metaVersionKey:
		e.metaVersion, err = s.raw(depth)
	case metaCapabilitiesKey:
		e.capabilities, err = s.nested(depth, e.declared.member)
	default:
		err = other(s, key, depth, metaKeys)
	}
	return err
}

func (e *envelope) reference(s *scanner, key []byte, depth int) (err error) {
	switch string(key) {
	case "type":
		e.refType, err = s.raw(depth)
	case "name":
		e.refName, err = s.raw(depth)
	case "uri":
		e.refURI, err = s.raw(depth)
	default:
		err = other(s, key, depth, refKeys)
	}
	return err
}

func (e *envelope) listening(s *scanner, key []byte, depth int) (err error) {
	switch string(key) {
	case "resourceSubscriptions":
		e.resources, err = s.raw(depth)
	case "taskIds":
		e.tasks, err = s.raw(depth)
	default:
		err = other(s, key, depth, listenKeys)
	}
	return err
}

// other passes over a member that is not judged, unless its key could be read
// as one that is.
func other(s *scanner, key []byte, depth int, known []string) error {
	if variant(key, known) {
		return errKey
	}
	return s.value(depth)
}
