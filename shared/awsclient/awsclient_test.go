package awsclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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

// lateWriter is a connection whose writer learns late that all is written, as on a
// machine that has no processor for it.
type lateWriter struct{ net.Conn }

func (c lateWriter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	time.Sleep(40 * time.Millisecond)
	return n, err
}

// TestAnAnswerIsReadAlthoughTheWriterIsLate: the head of the answer is there
// before the writer has looked for a surplus, and the rest comes after.
func TestAnAnswerIsReadAlthoughTheWriterIsLate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "13")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(120 * time.Millisecond)
		_, _ = io.WriteString(w, `{"KeyId":"k"}`)
	}))
	t.Cleanup(server.Close)
	late := awshttp.NewBuildableClient().WithTransportOptions(func(u *http.Transport) {
		dial := u.DialContext
		u.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			return lateWriter{c}, err
		}
	})
	input := &kms.DescribeKeyInput{KeyId: aws.String("k")}
	if _, err := client(server.URL, late).DescribeKey(t.Context(), input); !errors.Is(err, net.ErrClosed) {
		t.Errorf("without this package: %v; if the SDK has mended it, the package has no use any more", err)
	}
	if _, err := client(server.URL, awsclient.Whole(late)).DescribeKey(t.Context(), input); err != nil {
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
	_, err := client(server.URL, awsclient.Within(20*time.Millisecond)).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("k")})
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
	if _, err := awsclient.Whole(seen).Do(cut); !errors.Is(err, io.ErrUnexpectedEOF) || len(seen.sent) != 3 { //nolint:bodyclose // there is no answer
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
	for name, own := range map[string]aws.HTTPClient{"sdk": awshttp.NewBuildableClient().WithTimeout(time.Minute), "whole": awsclient.Within(time.Minute)} {
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
