package faultproxy

import (
	"encoding/json"
	"net/http"
)

// UnprocessedPuts has a BatchWriteItem applied for the first n items of each
// table; the others come back as UnprocessedItems.
func UnprocessedPuts(n int) Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
		var request map[string]json.RawMessage
		var items struct {
			RequestItems map[string][]json.RawMessage
		}
		if json.Unmarshal(body, &request) != nil || json.Unmarshal(body, &items) != nil {
			BreakOff(w)
			return
		}
		now, rest := map[string][]json.RawMessage{}, map[string][]json.RawMessage{}
		for table, puts := range items.RequestItems {
			cut := min(n, len(puts))
			if cut > 0 {
				now[table] = puts[:cut]
			}
			if cut < len(puts) {
				rest[table] = puts[cut:]
			}
		}
		answer := &Answer{Status: http.StatusOK, Header: http.Header{}, Body: []byte(`{}`)}
		if len(now) > 0 {
			request["RequestItems"], _ = json.Marshal(now)
			body, _ = json.Marshal(request)
			var err error
			if answer, err = forward(body); err != nil {
				BreakOff(w)
				return
			}
		}
		answer.put("UnprocessedItems", rest)
		answer.write(w)
	}
}
