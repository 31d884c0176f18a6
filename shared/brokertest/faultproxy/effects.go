package faultproxy

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

const errorPrefix = "com.amazonaws.dynamodb.v20120810#"

// Throttle refuses with the throttling error of a table in on-demand mode.
func Throttle() Effect { return Fail(http.StatusBadRequest, "ThrottlingException") }

// ServerError refuses with a 500. Nothing is applied.
func ServerError() Effect { return Fail(http.StatusInternalServerError, "InternalServerError") }

// Fail refuses with any status and error code. The message of the error holds
// Leak, so that a test can see whether it is passed on.
func Fail(status int, code string) Effect {
	return func(w http.ResponseWriter, _ []byte, _ func([]byte) (*Answer, error)) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": errorPrefix + code, "message": Leak})
	}
}

// Leak stands in error messages where an endpoint could repeat what it was sent.
const Leak = "leaked-request-text"

// Reset ends the connection before anything is applied.
func Reset() Effect {
	return func(w http.ResponseWriter, _ []byte, _ func([]byte) (*Answer, error)) { BreakOff(w) }
}

// DropAnswer has the request applied and then ends the connection.
func DropAnswer() Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
		_, _ = forward(body)
		BreakOff(w)
	}
}

// Garble has the request applied and answers with something that is no JSON.
func Garble() Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
		_, _ = forward(body)
		_, _ = io.WriteString(w, "<html>"+Leak)
	}
}

// Delay waits, then passes the request on.
func Delay(d time.Duration) Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
		time.Sleep(d)
		pass(w, body, forward)
	}
}

// Gate calls wait, then passes the request on: for tests that decide when.
func Gate(wait func()) Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
		wait()
		pass(w, body, forward)
	}
}

// CutPage has a Query or Scan answered with at most n items, and with the key
// from which to go on.
func CutPage(n int) Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
		var request map[string]json.RawMessage
		if err := json.Unmarshal(body, &request); err != nil {
			BreakOff(w)
			return
		}
		request["Limit"], _ = json.Marshal(n)
		body, _ = json.Marshal(request)
		pass(w, body, forward)
	}
}

type batch struct {
	RequestItems map[string]batchTable
}

type batchTable map[string]json.RawMessage

// Unprocessed has a BatchGetItem answered for the first n keys of each table;
// the others come back as UnprocessedKeys.
func Unprocessed(n int) Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
		var request map[string]json.RawMessage
		var items, rest batch
		if json.Unmarshal(body, &request) != nil || json.Unmarshal(body, &items) != nil {
			BreakOff(w)
			return
		}
		rest.RequestItems = map[string]batchTable{}
		for table, wanted := range items.RequestItems {
			var keys []json.RawMessage
			_ = json.Unmarshal(wanted["Keys"], &keys)
			if len(keys) <= n {
				continue
			}
			rest.RequestItems[table] = wanted.with(keys[n:])
			items.RequestItems[table] = wanted.with(keys[:n])
			if n == 0 {
				delete(items.RequestItems, table)
			}
		}
		answer := &Answer{Status: http.StatusOK, Header: http.Header{}, Body: []byte(`{"Responses":{}}`)}
		if len(items.RequestItems) > 0 {
			request["RequestItems"], _ = json.Marshal(items.RequestItems)
			body, _ = json.Marshal(request)
			var err error
			if answer, err = forward(body); err != nil {
				BreakOff(w)
				return
			}
		}
		answer.put("UnprocessedKeys", rest.RequestItems)
		answer.write(w)
	}
}

func (t batchTable) with(keys []json.RawMessage) batchTable {
	other := batchTable{}
	for name, value := range t {
		other[name] = value
	}
	other["Keys"], _ = json.Marshal(keys)
	return other
}

// put sets one member of the answer, which the endpoint's checksum then no
// longer covers.
func (a *Answer) put(name string, value any) {
	var members map[string]json.RawMessage
	if a.Status != http.StatusOK || json.Unmarshal(a.Body, &members) != nil {
		return
	}
	members[name], _ = json.Marshal(value)
	a.Body, _ = json.Marshal(members)
	a.Header.Del("X-Amz-Crc32")
}

// While passes the request on while it holds the lock.
func While(lock sync.Locker) Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
		lock.Lock()
		answer, err := forward(body)
		lock.Unlock()
		if err != nil {
			BreakOff(w)
			return
		}
		answer.write(w)
	}
}
