package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// What can go wrong. None of these ever carries text from the other side.
var (
	// ErrURL: the URL is malformed or carries what it must not.
	ErrURL = errors.New("URL refused")
	// ErrScheme: neither https nor, where allowed, http to loopback.
	ErrScheme = errors.New("scheme refused")
	// ErrAddress: the address is not one this client may connect to.
	ErrAddress = errors.New("address refused")
	// ErrUnreachable: no connection (name, connect, certificate): nothing of the request was sent.
	ErrUnreachable = errors.New("upstream unreachable")
	// ErrTimeout: connect, handshake, headers or the caller's deadline. The request may have been sent.
	ErrTimeout = errors.New("upstream timed out")
	// ErrBroken: the connection broke, or the answer is not HTTP within the limits. The request may have been sent.
	ErrBroken = errors.New("upstream answer broken")
	// ErrTooLarge: more bytes than the caller allows.
	ErrTooLarge = errors.New("answer too large")
)

// translate turns an error of net/http into one of the sentinels. The text of
// the original is dropped: it can quote the status line, a header or a trailer
// that the other side chose, and with it a credential that it echoed.
func translate(ctx context.Context, err error) error {
	var (
		refused *refusedAddress
		op      *net.OpError
		name    *net.DNSError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("egress: %w", context.Canceled)
	case ctx.Err() != nil:
		return fmt.Errorf("egress: %w: %w", ErrTimeout, ctx.Err())
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("egress: %w", ErrTimeout)
	case errors.As(err, &name):
		return fmt.Errorf("egress: %w: name not resolved", ErrUnreachable)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("egress: %w: connection not made", ErrUnreachable)
	case errors.As(err, &cert), errors.As(err, &record):
		return fmt.Errorf("egress: %w: TLS not established", ErrUnreachable)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("egress: %w: ended early", ErrBroken)
	default:
		return fmt.Errorf("egress: %w", ErrBroken)
	}
}

// withoutURL replaces the *url.Error that http.Client puts around a failure:
// its text holds the query, where a server may want its credential.
func withoutURL(r *http.Request, err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if !ours(err) {
		// http.Client refuses some requests itself (no URL, RequestURI set),
		// and says so with parts of the request.
		err = fmt.Errorf("egress: %w: request not sendable", ErrURL)
	}
	if r.URL == nil {
		return err
	}
	return fmt.Errorf("%s %s: %w", r.Method, r.URL.Hostname(), err)
}

func ours(err error) bool {
	for _, sentinel := range []error{ErrURL, ErrScheme, ErrAddress, ErrUnreachable, ErrTimeout, ErrBroken, context.Canceled} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// ReadBounded reads r to its end. If there are more than limit bytes it stops
// after limit+1 and returns ErrTooLarge and no bytes. announced is the length
// that Content-Length promises, 0 or less where there is none: so much is set
// aside at once, if the limit allows it, and more or less may come.
func ReadBounded(r io.Reader, limit, announced int64) (b []byte, err error) {
	r = io.LimitReader(r, limit+1)
	if announced > 0 {
		whole := bytes.NewBuffer(make([]byte, 0, min(announced, limit)+bytes.MinRead))
		_, err = whole.ReadFrom(r)
		b = whole.Bytes()
	} else {
		b, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("egress: %w: over %d bytes", ErrTooLarge, limit)
	}
	return b, nil
}
