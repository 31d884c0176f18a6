package lambdahttp

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// MaxBodyBytes bounds a request body: the 6 MB a Lambda invocation can carry.
const MaxBodyBytes = 6 << 20

type requestIDKey struct{}

// RequestID is the id API Gateway gave the request (requestContext.requestId),
// or "" outside a request of this package.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// refusal is an event that makes no request, with the status to answer.
type refusal struct {
	status int
	reason string // fixed text, shown to the caller
}

// newRequest rebuilds the request a client sent from its event.
//
// Host is what the client wrote: nothing may be decided by it. RemoteAddr is
// the source address as API Gateway saw it with port 0, in the form net/http
// uses. The path arrives percent-encoded, the query decoded, so the query is
// encoded again: its parameters come sorted by name, and values keep their
// order. A header that came several times keeps every value. A body is always
// the exact bytes only if the API treats all media types as binary; otherwise
// API Gateway has already read it as text.
func newRequest(ctx context.Context, e *events.APIGatewayProxyRequest) (*http.Request, *refusal) {
	ctx = context.WithValue(ctx, requestIDKey{}, e.RequestContext.RequestID)
	r := (&http.Request{Method: http.MethodGet}).WithContext(ctx) // also what a refusal is served with
	if !isToken(e.HTTPMethod) {
		return r, &refusal{http.StatusBadRequest, "method not valid"}
	}
	u, bad := requestURL(e)
	if bad != nil {
		return r, bad
	}
	header, bad := requestHeader(e)
	if bad != nil {
		return r, bad
	}
	body, bad := requestBody(e)
	if bad != nil {
		return r, bad
	}
	r.Method, r.URL, r.RequestURI = e.HTTPMethod, u, u.RequestURI()
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.Header, r.Host = header, header.Get("Host")
	r.Body, r.ContentLength = http.NoBody, int64(len(body))
	header.Del("Host")
	header.Del("Transfer-Encoding") // there is no transfer any more
	header.Del("Content-Length")
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if ip := e.RequestContext.Identity.SourceIP; ip != "" {
		r.RemoteAddr = net.JoinHostPort(ip, "0")
	}
	return r, nil
}

func requestURL(e *events.APIGatewayProxyRequest) (*url.URL, *refusal) {
	path, err := url.PathUnescape(e.Path)
	if err != nil || !strings.HasPrefix(path, "/") || strings.ContainsAny(e.Path, "?#") {
		return nil, &refusal{http.StatusBadRequest, "path not valid"}
	}
	// EscapedPath uses RawPath where it is a true encoding of Path.
	u := &url.URL{Path: path, RawPath: e.Path}
	if len(e.MultiValueQueryStringParameters)+len(e.QueryStringParameters) == 0 {
		return u, nil
	}
	query := url.Values{}
	for name, values := range e.MultiValueQueryStringParameters {
		query[name] = values
	}
	for name, value := range e.QueryStringParameters {
		if _, ok := query[name]; !ok {
			query[name] = []string{value}
		}
	}
	u.RawQuery = query.Encode()
	return u, nil
}

// requestHeader takes multiValueHeaders and, for names that are not there,
// headers. Names that differ by case are one header; they are added in byte
// order of the name, so that the same event always gives the same request. Two
// hosts are none: whoever judges the one must not leave the other to a reader.
func requestHeader(e *events.APIGatewayProxyRequest) (http.Header, *refusal) {
	header := make(http.Header, len(e.MultiValueHeaders)+1)
	for _, name := range slices.Sorted(maps.Keys(e.MultiValueHeaders)) {
		for _, value := range e.MultiValueHeaders[name] {
			header.Add(name, value)
		}
	}
	multi := maps.Clone(header)
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if len(multi.Values(name)) == 0 {
			header.Add(name, e.Headers[name])
		}
	}
	if len(header["Host"]) > 1 {
		return nil, &refusal{http.StatusBadRequest, "header not valid"}
	}
	for name, values := range header {
		if !isToken(name) || slices.ContainsFunc(values, hasControl) {
			return nil, &refusal{http.StatusBadRequest, "header not valid"}
		}
	}
	return header, nil
}

func requestBody(e *events.APIGatewayProxyRequest) ([]byte, *refusal) {
	size := len(e.Body)
	if e.IsBase64Encoded {
		size = base64.StdEncoding.DecodedLen(size)
	}
	if size > MaxBodyBytes+2 { // DecodedLen counts padding as data
		return nil, &refusal{http.StatusRequestEntityTooLarge, "body too large"}
	}
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.Strict().DecodeString(e.Body); err != nil {
			return nil, &refusal{http.StatusBadRequest, "body is not base64"}
		}
	}
	if len(body) > MaxBodyBytes {
		return nil, &refusal{http.StatusRequestEntityTooLarge, "body too large"}
	}
	return body, nil
}

// isToken reports whether s is a token (RFC 9110, 5.6.2): a method or a header name.
func isToken(s string) bool {
	for _, b := range []byte(s) {
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", b) < 0 {
			return false
		}
	}
	return s != ""
}

// hasControl finds what a field value must not hold (RFC 9110, 5.5).
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }
