package egress

import (
	"io"
	"net/http"
	"strings"
)

// Once gives a request that is sent at most once. By itself net/http sends what
// has no body, and a method that only reads, again when a connection that was used
// before breaks, although the other side may have acted on it. Whoever does not
// keep count of requests is better off with that.
func Once(r *http.Request) *http.Request {
	if r.Body != nil && r.Body != http.NoBody {
		return r
	}
	single := r.WithContext(r.Context()) // a copy
	single.Body, single.GetBody = io.NopCloser(strings.NewReader("")), nil
	return single
}
