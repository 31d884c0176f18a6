package egress

import (
	"context"
	"net/http"
)

type onceKey struct{}

// Once gives a request that is sent at most once. By itself net/http sends what
// has no body, and a method that only reads, again when a connection that was used
// before breaks, although the other side may have acted on it; so such a request
// goes over a connection of its own. What has a body is not sent again anyway.
func Once(r *http.Request) *http.Request {
	if r.Body != nil && r.Body != http.NoBody {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), onceKey{}, true))
}

func isOnce(ctx context.Context) bool {
	once, _ := ctx.Value(onceKey{}).(bool)
	return once
}

// alone is the same transport with a connection that serves one request.
func alone(t *http.Transport) *http.Transport {
	single := t.Clone()
	single.DisableKeepAlives = true
	return single
}
