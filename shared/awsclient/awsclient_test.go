package awsclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"bindery/shared/awsclient"
)

func client(url string, own aws.HTTPClient) *kms.Client {
	return kms.NewFromConfig(aws.Config{Region: "eu-central-1", BaseEndpoint: &url, HTTPClient: own,
		Credentials: credentials.NewStaticCredentialsProvider("made-up", "made-up", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} }})
}

// late is a connection on a machine that has no processor for its writer: that it
// has written all of a request the writer learns only after taken.
type late struct {
	net.Conn
	taken  <-chan struct{}
	closed func()
}

func (c late) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if bytes.Contains(p, []byte(`"KeyId"`)) {
		<-c.taken
	}
	return n, err
}

func (c late) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// answers says when the SDK, which has done with the request then, begins to read
// an answer's body.
type answers struct {
	aws.HTTPClient
	begin func()
}

type answer struct {
	io.ReadCloser
	begin func()
}

func (a answers) Do(r *http.Request) (*http.Response, error) {
	response, err := a.HTTPClient.Do(r)
	if err == nil {
		response.Body = answer{response.Body, a.begin}
	}
	return response, err
}

func (a answer) Read(p []byte) (int, error) {
	a.begin()
	return a.ReadCloser.Read(p)
}

// askLate has the SDK take the head of an answer, then the writer look for a
// surplus of the request, and only then the rest of the answer come.
func askLate(t *testing.T, own func(aws.HTTPClient) aws.HTTPClient) error {
	t.Helper()
	taken, closed, rest, looked := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "13")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-rest:
			_, _ = io.WriteString(w, `{"KeyId":"k"}`)
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	sdk := awshttp.NewBuildableClient().WithTransportOptions(func(u *http.Transport) {
		dial := u.DialContext
		u.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			return late{c, taken, sync.OnceFunc(func() { close(closed) })}, err
		}
	})
	begin := sync.OnceFunc(func() {
		close(taken)
		if <-looked != nil {
			<-closed // by net/http, for what its writer found
		}
		close(rest)
	})
	trace := &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) { looked <- i.Err }}
	c := client(server.URL, own(answers{sdk, begin}))
	_, err := c.DescribeKey(httptrace.WithClientTrace(t.Context(), trace), &kms.DescribeKeyInput{KeyId: aws.String("k")})
	return err
}

// TestAnAnswerIsReadAlthoughTheWriterIsLate: the head of the answer is there
// before the writer has looked for a surplus, and the rest comes after.
func TestAnAnswerIsReadAlthoughTheWriterIsLate(t *testing.T) {
	if err := askLate(t, func(sdk aws.HTTPClient) aws.HTTPClient { return sdk }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("without this package: %v; if the SDK has mended it, the package has no use any more", err)
	}
	if err := askLate(t, awsclient.Whole); err != nil {
		t.Error(err)
	}
}

func TestARequestHasALimit(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	_, err := client(server.URL, awsclient.Within(nil, 20*time.Millisecond)).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("k")})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// bodies keeps what was sent.
type bodies struct{ sent []string }

func (b *bodies) Do(r *http.Request) (*http.Response, error) {
	text := ""
	if r.Body != nil {
		all, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		text = string(all)
	}
	b.sent = append(b.sent, text)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestBodiesAreSentAsTheyAre(t *testing.T) {
	seen := &bodies{}
	for _, text := range []string{"", "short", strings.Repeat("x", 100_000)} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://kms.example.com/", strings.NewReader(text))
		answer, err := awsclient.Whole(seen).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if got := seen.sent[len(seen.sent)-1]; got != text {
			t.Errorf("sent %d bytes of %d", len(got), len(text))
		}
	}
	cut := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://kms.example.com/", strings.NewReader("short"))
	cut.ContentLength = 9
	if _, err := awsclient.Whole(seen).Do(cut); !errors.Is(err, io.ErrUnexpectedEOF) || len(seen.sent) != 3 {
		t.Errorf("%v; %d requests were sent", err, len(seen.sent))
	}
}

// BenchmarkRequest is one request on a connection that is open already.
func BenchmarkRequest(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"KeyId":"k"}`)
	}))
	b.Cleanup(server.Close)
	for name, own := range map[string]aws.HTTPClient{"sdk": awshttp.NewBuildableClient().WithTimeout(time.Minute), "whole": awsclient.Within(nil, time.Minute)} {
		b.Run(name, func(b *testing.B) {
			c := client(server.URL, own)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.DescribeKey(b.Context(), &kms.DescribeKeyInput{KeyId: aws.String("k")}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
