package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// fakeKMS encrypts data keys under keys of its own, bound to the encryption
// context, and refuses in the words of KMS.
type fakeKMS struct {
	mu       sync.Mutex
	keys     map[string]cipher.AEAD
	disabled map[string]bool
	calls    int
	contexts []map[string]string
	plain    [][]byte // data keys as handed out, to see that they are wiped
	err      error
	alterKey func(dataKey []byte) []byte
}

func newKMS() *fakeKMS { return &fakeKMS{keys: map[string]cipher.AEAD{}, disabled: map[string]bool{}} }

func (f *fakeKMS) createKey(t testing.TB) string {
	t.Helper()
	material := make([]byte, 32)
	_, _ = rand.Read(material)
	block, err := aes.NewCipher(material)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id := fmt.Sprintf("%036d", len(f.keys))
	f.keys[id] = aead
	return id
}

func aad(context map[string]string) []byte {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(context)) {
		parts = append(parts, name, context[name])
	}
	return []byte(strings.Join(parts, "\x00"))
}

func (f *fakeKMS) usable(ctx context.Context, id *string) (cipher.AEAD, error) {
	f.calls++
	aead, known := f.keys[aws.ToString(id)]
	switch {
	case f.err != nil:
		return nil, f.err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("canceled, %w", ctx.Err())
	case !known:
		return nil, &types.NotFoundException{Message: aws.String("canary-in-message")}
	case f.disabled[*id]:
		return nil, &types.DisabledException{Message: aws.String("canary-in-message")}
	}
	return aead, nil
}

func (f *fakeKMS) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, _ ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	aead, err := f.usable(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	dataKey := make([]byte, 32)
	_, _ = rand.Read(dataKey)
	blob := aead.Seal([]byte(*in.KeyId), nil, dataKey, aad(in.EncryptionContext))
	f.contexts = append(f.contexts, in.EncryptionContext)
	return &kms.GenerateDataKeyOutput{KeyId: in.KeyId, Plaintext: f.handOut(dataKey), CiphertextBlob: blob}, nil
}

func (f *fakeKMS) Decrypt(ctx context.Context, in *kms.DecryptInput, _ ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	aead, err := f.usable(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	n := len(*in.KeyId)
	if len(in.CiphertextBlob) < n || f.keys[string(in.CiphertextBlob[:n])] == nil {
		return nil, &types.InvalidCiphertextException{}
	}
	if string(in.CiphertextBlob[:n]) != *in.KeyId {
		return nil, &types.IncorrectKeyException{}
	}
	dataKey, err := aead.Open(nil, nil, in.CiphertextBlob[n:], aad(in.EncryptionContext))
	if err != nil {
		return nil, &types.InvalidCiphertextException{}
	}
	f.contexts = append(f.contexts, in.EncryptionContext)
	return &kms.DecryptOutput{KeyId: in.KeyId, Plaintext: f.handOut(dataKey)}, nil
}

// ReEncrypt finds the source's key by the text, as KMS does.
func (f *fakeKMS) ReEncrypt(ctx context.Context, in *kms.ReEncryptInput, _ ...func(*kms.Options)) (*kms.ReEncryptOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	to, err := f.usable(ctx, in.DestinationKeyId)
	if err != nil {
		return nil, err
	}
	n := len(*in.DestinationKeyId)
	if len(in.CiphertextBlob) < n {
		return nil, &types.InvalidCiphertextException{}
	}
	source := string(in.CiphertextBlob[:n])
	from, err := f.usable(ctx, &source)
	if err != nil {
		return nil, err
	}
	dataKey, err := from.Open(nil, nil, in.CiphertextBlob[n:], aad(in.SourceEncryptionContext))
	if err != nil {
		return nil, &types.InvalidCiphertextException{}
	}
	blob := to.Seal([]byte(*in.DestinationKeyId), nil, dataKey, aad(in.DestinationEncryptionContext))
	return &kms.ReEncryptOutput{KeyId: in.DestinationKeyId, SourceKeyId: &source, CiphertextBlob: blob}, nil
}

func (f *fakeKMS) handOut(dataKey []byte) []byte {
	if f.alterKey != nil {
		dataKey = f.alterKey(dataKey)
	}
	f.plain = append(f.plain, dataKey)
	return dataKey
}

func TestSuiteOnTheFake(t *testing.T) {
	runSuite(t, func(t *testing.T) backend {
		f := newKMS()
		return backend{client: f, createKey: f.createKey, disable: func(_ *testing.T, key string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.disabled[key] = true
		}}
	})
}
