package mcp

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// Why a message was refused. Match with errors.Is.
var (
	// ErrMediaType: the body is not announced as JSON in UTF-8, HTTP 415, or a
	// GET does not accept a stream, HTTP 406.
	ErrMediaType = errors.New("mcp: media type refused")
	// ErrParse: not one JSON document in UTF-8. -32700.
	ErrParse = errors.New("mcp: not JSON")
	// ErrInvalidRequest: not one unambiguous JSON-RPC 2.0 message, or too deep. -32600.
	ErrInvalidRequest = errors.New("mcp: invalid request")
	// ErrInvalidParams: a parameter that must be judged is missing or malformed. -32602.
	ErrInvalidParams = errors.New("mcp: invalid parameters")
	// ErrMethodUnknown: no action belongs to the method. -32601. HTTP 405 where it
	// is GET or DELETE in a revision that has neither.
	ErrMethodUnknown = errors.New("mcp: unknown method")
	// ErrHeaderMismatch: headers are ambiguous or contradict the body. -32020.
	ErrHeaderMismatch = errors.New("mcp: header mismatch")
	// ErrVersion: a protocol revision that is not served. -32022.
	ErrVersion = errors.New("mcp: unsupported protocol version")
)

// Error is a refusal in the form the caller may see. Text is a constant of
// this package: nothing in it comes from the message. ID is the message's id
// where the message could be read without doubt, else nil.
type Error struct {
	Status int             // HTTP status
	Code   int             // JSON-RPC error code
	Text   string          // public
	ID     json.RawMessage // raw id to echo, or nil
	Data   json.RawMessage // "data" of the JSON-RPC error, or nil
	cause  error
}

// Error gives the public text.
func (e *Error) Error() string { return e.cause.Error() + ": " + e.Text }

// Unwrap gives the sentinel.
func (e *Error) Unwrap() error { return e.cause }

// Body is the JSON-RPC error response for this refusal.
func (e *Error) Body() []byte { return errorBody(e.ID, e.Code, e.Text, e.Data) }

// NotServed is the refusal of a method that this deployment does not serve,
// although the protocol has it.
func NotServed(m *Message) *Error {
	e := refuse(ErrMethodUnknown, "This method is not served here.")
	e.ID = m.ID
	return e
}

// refuse builds the refusal that belongs to a sentinel.
func refuse(cause error, text string) *Error {
	e := &Error{Status: http.StatusBadRequest, Text: text, cause: cause}
	switch {
	case errors.Is(cause, ErrMediaType):
		e.Status, e.Code = http.StatusUnsupportedMediaType, -32600
	case errors.Is(cause, ErrParse):
		e.Code = -32700
	case errors.Is(cause, ErrInvalidParams):
		e.Code = -32602
	case errors.Is(cause, ErrMethodUnknown):
		e.Status, e.Code = http.StatusNotFound, -32601
	case errors.Is(cause, ErrHeaderMismatch):
		e.Code = -32020
	case errors.Is(cause, ErrVersion):
		e.Code = -32022
	default:
		e.Code = -32600
	}
	return e
}

// ErrorBody is a JSON-RPC 2.0 error response. An id that is nil or not a valid
// request id becomes null.
func ErrorBody(id json.RawMessage, code int, text string) []byte {
	return errorBody(id, code, text, nil)
}

// ErrorEvent is the same response as one whole server-sent event.
func ErrorEvent(id json.RawMessage, code int, text string) []byte {
	event := append([]byte("event: message\ndata: "), ErrorBody(id, code, text)...)
	return append(event, '\n', '\n')
}

func errorBody(id json.RawMessage, code int, text string, data json.RawMessage) []byte {
	if !validID(id) {
		id = json.RawMessage("null")
	}
	message, err := json.Marshal(text)
	if err != nil { // cannot happen: strings always marshal
		message = []byte(`"error"`)
	}
	body := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	body = append(body, `,"error":{"code":`...)
	body = strconv.AppendInt(body, int64(code), 10)
	body = append(body, `,"message":`...)
	body = append(body, message...)
	if data != nil {
		body = append(body, `,"data":`...)
		body = append(body, data...)
	}
	return append(body, "}}"...)
}
