package mcp

import (
	"bytes"
	"errors"
	"io"
)

// ErrEventTooLarge is returned when one event exceeds the reader's limit.
var ErrEventTooLarge = errors.New("mcp: event too large")

const (
	maxEmptyReads = 100 // how often in a row a reader may give nothing and no error
	minRead       = 4096
)

// EventReader cuts a text/event-stream (WHATWG HTML, section 9.2) into events
// without changing a byte: the Raw fields of all events in order are the
// stream. Comment lines in front of an event, and blank lines that end
// nothing, are events of their own, so that a keep-alive need not wait for the
// next message. Lines may end in LF, CRLF or CR, also mixed.
//
// Memory is bounded by twice the largest event, not by the length of the
// stream.
type EventReader struct {
	r     io.Reader
	limit int
	buf   []byte // buf[start:] is read but not returned
	start int    // of the event at hand
	line  int    // start of its first incomplete line
	seen  int    // no line end lies between line and here
	lead  int    // bytes at start that are no content: LF of the CRLF before, or a byte order mark
	begun bool   // a field line of the event at hand is complete
	later bool   // an event was returned: a byte order mark is no longer one
	cr    bool   // the line before ended in CR: an LF now belongs to it
	err   error  // final
}

// NewEventReader reads events of at most maxEvent bytes from r.
func NewEventReader(r io.Reader, maxEvent int) *EventReader {
	return &EventReader{r: r, limit: maxEvent}
}

// Next returns the next event as soon as its last byte has arrived. The event
// is valid until the following call. A stream that ends inside an event gives
// what is left of it together with io.ErrUnexpectedEOF; the end between events
// is io.EOF. Errors of the underlying reader pass unchanged. Every error but
// io.ErrUnexpectedEOF of a partial event repeats on further calls.
func (e *EventReader) Next() (Event, error) {
	for !errors.Is(e.err, ErrEventTooLarge) {
		if end, found := e.find(); found {
			return e.take(end, nil)
		}
		if len(e.buf)-e.start > e.limit {
			e.err = ErrEventTooLarge
			break
		}
		if e.err == nil {
			e.fill()
			continue
		}
		pending := len(e.buf) - e.start
		if pending == 0 || !errors.Is(e.err, io.EOF) {
			return Event{}, e.err
		}
		if pending == e.lead {
			return e.take(len(e.buf), nil)
		}
		return e.take(len(e.buf), io.ErrUnexpectedEOF)
	}
	return Event{}, e.err
}

// find completes lines until one ends the event at hand. It never waits to see
// whether an LF follows a CR: if it comes, it leads the next event.
func (e *EventReader) find() (end int, found bool) {
	for {
		if e.cr && e.line < len(e.buf) {
			e.cr = false
			if e.buf[e.line] == '\n' {
				e.line++
				if e.line-1 == e.start {
					e.lead = 1
				}
			}
		}
		e.seen = max(e.seen, e.line)
		stop := lineEnd(e.buf, e.seen)
		if stop == len(e.buf) {
			e.seen = stop
			return 0, false
		}
		line := e.buf[e.line:stop]
		if !e.later && e.line == e.start && bytes.HasPrefix(line, byteOrderMark) {
			line, e.lead = line[len(byteOrderMark):], len(byteOrderMark)
		}
		e.line = afterLine(e.buf, stop)
		e.cr = e.line == len(e.buf) && e.buf[stop] == '\r' && e.line == stop+1
		if len(line) == 0 || line[0] == ':' && !e.begun {
			return e.line, true
		}
		e.begun = e.begun || line[0] != ':'
	}
}

// take returns the event that ends at end and starts the next one.
func (e *EventReader) take(end int, err error) (Event, error) {
	if end-e.start > e.limit {
		e.err = ErrEventTooLarge
		return Event{}, e.err
	}
	event := Event{Raw: e.buf[e.start:end:end], lead: e.lead}
	e.start, e.line, e.seen = end, end, end
	e.lead, e.begun, e.later = 0, false, true
	return event, err
}

// fill reads once more. The buffer doubles when an event does not fit, and is
// compacted when at least half of it is spent, so the cost per byte is constant.
func (e *EventReader) fill() {
	pending := len(e.buf) - e.start
	if cap(e.buf)-len(e.buf) < minRead {
		moved := e.buf[:0]
		if e.start < pending || cap(e.buf) < 2*minRead {
			moved = make([]byte, 0, 2*pending+2*minRead)
		}
		e.buf = append(moved, e.buf[e.start:]...)
		e.line -= e.start
		e.seen -= e.start
		e.start = 0
	}
	for range maxEmptyReads {
		n, err := e.r.Read(e.buf[len(e.buf):cap(e.buf)])
		e.buf = e.buf[:len(e.buf)+n]
		if err != nil {
			e.err = err
			return
		}
		if n > 0 {
			return
		}
	}
	e.err = io.ErrNoProgress
}

// lineEnd finds the first CR or LF at or after from, or len(b). It looks in
// small windows, so that many short lines of one kind do not each search the
// whole buffer for the other.
func lineEnd(b []byte, from int) int {
	for ; from < len(b); from += 512 {
		window := b[from:min(from+512, len(b))]
		lf := bytes.IndexByte(window, '\n')
		if lf >= 0 {
			window = window[:lf]
		}
		if cr := bytes.IndexByte(window, '\r'); cr >= 0 {
			return from + cr
		}
		if lf >= 0 {
			return from + lf
		}
	}
	return len(b)
}

// afterLine steps over the line end at stop: LF, CRLF or CR.
func afterLine(b []byte, stop int) int {
	if b[stop] == '\r' && stop+1 < len(b) && b[stop+1] == '\n' {
		return stop + 2
	}
	return stop + 1
}
