package seal

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// The encryption context is in CloudTrail for everybody with access to it.
func TestEncryptionContextNamesOnlyEnvironmentAndPurpose(t *testing.T) {
	f := newKMS()
	e := New(f, f.createKey(t), 0)
	c := bound
	c.ID = "alice@corp.example"
	if _, err := e.Open(t.Context(), c, mustSeal(t, e, c, plain)); err != nil {
		t.Fatal(err)
	}
	if len(f.contexts) != 2 {
		t.Fatalf("%d calls with a context, want 2", len(f.contexts))
	}
	for _, seen := range f.contexts {
		if len(seen) != 3 || seen["bindery:environment"] != "prod" || seen["bindery:purpose"] != "value" || len(seen["bindery:context"]) != 26 {
			t.Errorf("the encryption context is %v", seen)
		}
		for _, value := range seen {
			if strings.Contains(value, "alice") || strings.Contains(value, c.Origin) {
				t.Errorf("the encryption context shows id or origin: %v", seen)
			}
		}
	}
}

func TestContextsThatBindTooLittleAreRefused(t *testing.T) {
	f := newKMS()
	e := New(f, f.createKey(t), 0)
	for what, c := range map[string]broker.SealContext{
		"no environment":       {Purpose: "value", ID: "a"},
		"no purpose":           {Environment: "prod", ID: "a"},
		"no id":                {Environment: "prod", Purpose: "value", Origin: "o"},
		"environment in words": {Environment: "prod or dev", Purpose: "value", ID: "a"},
	} {
		if _, err := e.Seal(t.Context(), c, secret.New(plain)); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("seal with %s: %v, want ErrInvalid", what, err)
		}
		if _, err := e.Open(t.Context(), c, nil); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("open with %s: %v, want ErrInvalid", what, err)
		}
	}
	if f.calls != 0 {
		t.Errorf("KMS was asked %d times", f.calls)
	}
}

func TestMaterialOfImpossibleLengthIsRefused(t *testing.T) {
	f := newKMS()
	e := New(f, f.createKey(t), 0)
	for _, text := range []string{"", strings.Repeat("a", MaxPlain+1)} {
		if _, err := e.Seal(t.Context(), bound, secret.New(text)); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%d bytes: %v, want ErrInvalid", len(text), err)
		}
	}
}

// KMS is paid by the request and logs each one.
func TestGarbageCostsNoCall(t *testing.T) {
	f := newKMS()
	e := New(f, f.createKey(t), 0)
	for what, sealed := range map[string][]byte{
		"nothing":           nil,
		"another version":   {1, 0, 1, 0},
		"only a header":     {2, 0, 1},
		"no data key":       append([]byte{2, 0, 0}, make([]byte, 64)...),
		"data key too long": append([]byte{2, 0x18, 1}, make([]byte, 8000)...),
		"data key cut":      append([]byte{2, 1, 0}, make([]byte, 100)...),
		"no context":        append([]byte{2, 0, 1, 'k', 0}, make([]byte, 100)...),
		"context cut":       {2, 0, 1, 'k', 1, 'e', 1, 'p', 200, 'd'},
		"box empty":         append([]byte{2, 0, 1, 'k', 1, 'e', 1, 'p', 1, 'd'}, make([]byte, 28)...),
		"box too long":      append([]byte{2, 0, 1, 'k', 1, 'e', 1, 'p', 1, 'd'}, make([]byte, 28+MaxPlain+1)...),
	} {
		mustNotOpen(t, what, e, bound, sealed)
	}
	if f.calls != 0 {
		t.Errorf("KMS was asked %d times", f.calls)
	}
}

func TestDataKeysAreWiped(t *testing.T) {
	f := newKMS()
	e := New(f, f.createKey(t), 0)
	sealed := mustSeal(t, e, bound, plain)
	if _, err := e.Open(t.Context(), bound, sealed); err != nil {
		t.Fatal(err)
	}
	sealed[len(sealed)-1] ^= 1
	mustNotOpen(t, "altered", e, bound, sealed)
	if len(f.plain) != 3 {
		t.Fatalf("%d data keys were handed out, want 3", len(f.plain))
	}
	for i, dataKey := range f.plain {
		if !bytes.Equal(dataKey, make([]byte, 32)) {
			t.Errorf("data key %d is still in memory", i)
		}
	}
}

func TestDataKeyOfAnotherLengthIsRefused(t *testing.T) {
	f := newKMS()
	e := New(f, f.createKey(t), 0)
	sealed := mustSeal(t, e, bound, plain)
	for _, n := range []int{0, 16, 24, 31} {
		f.alterKey = func(dataKey []byte) []byte { return dataKey[:n] }
		mustNotOpen(t, "short data key", e, bound, sealed)
		if _, err := e.Seal(t.Context(), bound, secret.New(plain)); !errors.Is(err, broker.ErrKeyUnavailable) {
			t.Errorf("seal under a data key of %d bytes: %v, want ErrKeyUnavailable", n, err)
		}
	}
}

func answered(code string, status int) error {
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
		Err:      &smithy.GenericAPIError{Code: code, Message: "canary-in-message"},
	}
}

func TestErrorsAreTranslatedAndOnlyTheCodePasses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
		text string
	}{
		{&types.DisabledException{Message: aws.String("canary")}, broker.ErrKeyUnavailable, "DisabledException"},
		{&types.KMSInvalidStateException{}, broker.ErrKeyUnavailable, "KMSInvalidStateException"},
		{&types.NotFoundException{}, broker.ErrKeyUnavailable, "NotFoundException"},
		{&types.IncorrectKeyException{}, broker.ErrKeyUnavailable, "IncorrectKeyException"},
		{&types.InvalidCiphertextException{}, broker.ErrKeyUnavailable, "InvalidCiphertextException"},
		{&types.InvalidKeyUsageException{}, broker.ErrKeyUnavailable, "InvalidKeyUsageException"},
		{answered("AccessDeniedException", 400), broker.ErrKeyUnavailable, "AccessDeniedException"},
		{answered("canary https://x/?y", 400), broker.ErrKeyUnavailable, "unknown code"},
		{&types.KeyUnavailableException{}, broker.ErrUnavailable, "KeyUnavailableException"},
		{&types.KMSInternalException{}, broker.ErrUnavailable, "KMSInternalException"},
		{&types.DependencyTimeoutException{}, broker.ErrUnavailable, "DependencyTimeoutException"},
		{answered("ThrottlingException", 400), broker.ErrUnavailable, "ThrottlingException"},
		{answered("Anything", 500), broker.ErrUnavailable, "Anything"},
		{answered("Anything", 429), broker.ErrUnavailable, "Anything"},
		{errors.New("Post \"https://canary/\": connection reset"), broker.ErrUnavailable, "no answer"},
		{context.Canceled, broker.ErrUnavailable, "canceled"},
	} {
		f := newKMS()
		e := New(f, f.createKey(t), 0)
		sealed := mustSeal(t, e, bound, plain)
		f.err = c.err
		_, opened := e.Open(t.Context(), bound, sealed)
		_, closed := e.Seal(t.Context(), bound, secret.New(plain))
		for _, err := range []error{opened, closed} {
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v became %v, want %v with %q", c.err, err, c.want, c.text)
			}
		}
	}
}

// hanging answers nothing until its caller gives up.
type hanging struct{}

func (hanging) GenerateDataKey(ctx context.Context, _ *kms.GenerateDataKeyInput, _ ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hanging) Decrypt(ctx context.Context, _ *kms.DecryptInput, _ ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hanging) ReEncrypt(ctx context.Context, _ *kms.ReEncryptInput, _ ...func(*kms.Options)) (*kms.ReEncryptOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestHangingKMSIsUnavailableAfterTheTimeout(t *testing.T) {
	f := newKMS()
	sealed := mustSeal(t, New(f, f.createKey(t), 0), bound, plain)
	e := New(hanging{}, "key", time.Millisecond)
	if _, err := e.Open(t.Context(), bound, sealed); !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open: %v, want ErrUnavailable by deadline", err)
	}
	if _, err := e.Seal(t.Context(), bound, secret.New(plain)); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("seal: %v, want ErrUnavailable", err)
	}
}

// Nothing but what Seal made opens, and nothing panics.
func FuzzOpen(f *testing.F) {
	k := newKMS()
	e := New(k, k.createKey(f), 0)
	sealed := mustSeal(f, e, bound, plain)
	f.Add([]byte{})
	f.Add(sealed)
	f.Add(sealed[:40])
	f.Add(append([]byte{1, 0, 36}, make([]byte, 100)...))
	f.Fuzz(func(t *testing.T, text []byte) {
		value, err := e.Open(t.Context(), bound, text)
		if bytes.Equal(text, sealed) {
			return
		}
		if err == nil || !value.IsZero() {
			t.Error("a text that was not sealed opened")
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	f := newKMS()
	e := New(f, f.createKey(b), 0)
	sealed := mustSeal(b, e, bound, plain)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Open(b.Context(), bound, sealed); err != nil {
			b.Fatal(err)
		}
		f.contexts, f.plain = nil, nil
	}
}
