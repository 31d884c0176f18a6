package mcp

import (
	"bytes"
	"iter"
)

var byteOrderMark = []byte("\ufeff")

// Event is one server-sent event. Raw is everything that belongs to it, from
// the first line to the blank line, as it came.
type Event struct {
	Raw  []byte
	lead int // bytes of Raw in front of the first line
}

// line is one line of an event: content and, with its line end, whole.
type line struct{ content, whole []byte }

func (e Event) lines() iter.Seq[line] {
	return func(yield func(line) bool) {
		for at := e.lead; at < len(e.Raw); {
			stop := lineEnd(e.Raw, at)
			next := stop
			if stop < len(e.Raw) {
				next = afterLine(e.Raw, stop)
			}
			if !yield(line{e.Raw[at:stop], e.Raw[at:next]}) {
				return
			}
			at = next
		}
	}
}

// field gives the value of a line that belongs to the named field.
func (l line) field(name string) ([]byte, bool) {
	rest, found := bytes.CutPrefix(l.content, []byte(name))
	if !found || len(rest) > 0 && rest[0] != ':' {
		return nil, false
	}
	rest = bytes.TrimPrefix(rest, []byte(":"))
	return bytes.TrimPrefix(rest, []byte(" ")), true
}

// DataLines is the number of data fields.
func (e Event) DataLines() int {
	n := 0
	for l := range e.lines() {
		if _, ok := l.field("data"); ok {
			n++
		}
	}
	return n
}

// Data is the event's data: its data fields joined by LF. It shares memory
// with Raw where there is one field, and is nil where there is none.
func (e Event) Data() []byte {
	var data []byte
	n := 0
	for l := range e.lines() {
		value, ok := l.field("data")
		if !ok {
			continue
		}
		switch n++; n {
		case 1:
			data = value[:len(value):len(value)]
		default:
			data = append(append(data, '\n'), value...)
		}
	}
	return data
}

// HasID reports whether the event moves the stream's last event id, so that a
// client can resume after it.
func (e Event) HasID() bool {
	for l := range e.lines() {
		if id, ok := l.field("id"); ok && len(id) > 0 && bytes.IndexByte(id, 0) < 0 {
			return true
		}
	}
	return false
}

// WithData gives the event's bytes with other data: at the place of the first
// data field, in as many fields as data has lines. All other bytes stay as
// they came. An event without data is returned as it came.
func (e Event) WithData(data []byte) []byte {
	out := make([]byte, 0, len(e.Raw)+len(data))
	out = append(out, e.Raw[:e.lead]...)
	done := false
	for l := range e.lines() {
		value, ok := l.field("data")
		switch {
		case !ok:
			out = append(out, l.whole...)
		case !done:
			out = l.appendData(out, value, data)
			done = true
		}
	}
	return out
}

// appendData writes data as fields in the style of the line that held value.
func (l line) appendData(out, value, data []byte) []byte {
	prefix, end := l.content[:len(l.content)-len(value)], l.whole[len(l.content):]
	if len(value) == 0 {
		prefix = []byte("data: ")
	}
	if len(end) == 0 {
		end = []byte("\n")
	}
	add := func(part []byte) {
		out = append(out, prefix...)
		if len(part) > 0 && part[0] == ' ' && prefix[len(prefix)-1] != ' ' {
			out = append(out, ' ') // a reader drops one space after the colon
		}
		out = append(append(out, part...), end...)
	}
	for part := range (Event{Raw: data}).lines() {
		add(part.content)
	}
	if n := len(data); n == 0 || data[n-1] == '\n' || data[n-1] == '\r' {
		add(nil)
	}
	return out
}
