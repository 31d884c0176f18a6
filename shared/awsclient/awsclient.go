// Package awsclient is the HTTP client of every request to AWS.
//
// The SDK closes a request's body as soon as the head of the answer is there, and
// its body says io.EOF to net/http's writer, which looks once more for a surplus,
// as an error: net/http then closes the connection from which the answer is still
// being read. On a busy machine that fails a request that AWS has carried out, or
// has the SDK send it again. Bodies handed over whole and in memory are not looked
// at again after that, and leave in one write with the head.
package awsclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Within is a client like the one given, with connections of its own, which gives
// each request, its answer read to the end, at most limit. Like the SDK's own client,
// that is: where another is given, the SDK's own is taken.
func Within(client aws.HTTPClient, limit time.Duration) aws.HTTPClient {
	if w, ok := client.(whole); ok {
		client = w.HTTPClient
	}
	own, ok := client.(*awshttp.BuildableClient)
	if !ok {
		own = awshttp.NewBuildableClient()
	}
	return whole{own.WithTimeout(limit)}
}

// Whole has a client, or the SDK's own if it is nil, send bodies of known length
// whole.
func Whole(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	return whole{client}
}

type whole struct{ aws.HTTPClient }

// Do implements aws.HTTPClient. The SDK closes the body that it gave; what the
// client holds is another.
func (w whole) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength <= 0 {
		return w.HTTPClient.Do(r)
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	sent := *r
	sent.Body = io.NopCloser(bytes.NewReader(body))
	return w.HTTPClient.Do(&sent)
}
