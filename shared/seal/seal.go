// Package seal is broker.Sealer over AWS KMS: envelope encryption, so that a
// table row alone is worth nothing and KMS never sees what is sealed.
//
// Every sealed text has its own AES-256 data key. KMS keeps the data key
// encrypted under an encryption context, and the text itself is AES-256-GCM
// with the same context as associated data. Whoever moves a sealed text to
// another row, environment, purpose or upstream origin is refused twice: by
// KMS, which logs it, and by the local check.
//
// The encryption context shows in CloudTrail, so it holds the environment and
// the purpose in clear (for IAM conditions) and the rest only as a digest.
//
// The package never stores anything, never keeps a data key longer than one
// operation, never asks KMS under another key than the one it was given, and
// never says in an error more than the code that KMS gave.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// MaxPlain is the longest material that can be sealed, in bytes: what fits a
// DynamoDB item with room to spare.
const MaxPlain = 256 << 10

// DefaultTimeout bounds one operation, retries of the AWS SDK included.
const DefaultTimeout = 3 * time.Second

// KMS is what is used of the AWS client.
type KMS interface {
	GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, options ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error)
	Decrypt(ctx context.Context, in *kms.DecryptInput, options ...func(*kms.Options)) (*kms.DecryptOutput, error)
	ReEncrypt(ctx context.Context, in *kms.ReEncryptInput, options ...func(*kms.Options)) (*kms.ReEncryptOutput, error)
}

// Envelope seals under one KMS key. It is safe for concurrent use.
type Envelope struct {
	kms     KMS
	key     string
	former  []string
	timeout time.Duration
}

// New makes an Envelope. key is the id, ARN or alias of a symmetric KMS key. What
// was sealed under another (or under the one that an alias named before) opens
// only where that is among the former ones, at the price of a further request;
// KMS's own rotation of a key's material needs no such thing. A timeout of 0
// means DefaultTimeout.
func New(client KMS, key string, timeout time.Duration, former ...string) *Envelope {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Envelope{kms: client, key: key, former: former, timeout: timeout}
}

// Seal implements broker.Sealer. It makes one call to KMS. Material that is
// empty or longer than MaxPlain, and a context without environment, purpose or
// id, fail with broker.ErrInvalid.
func (e *Envelope) Seal(ctx context.Context, c broker.SealContext, plain secret.Value) ([]byte, error) {
	if err := checkContext(c); err != nil {
		return nil, err
	}
	if plain.IsZero() || plain.Len() > MaxPlain {
		return nil, fmt.Errorf("%w material to seal: it must have 1 to %d bytes", broker.ErrInvalid, MaxPlain)
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	out, err := e.kms.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId: aws.String(e.key), KeySpec: types.DataKeySpecAes256, EncryptionContext: encryptionContext(contextOf(c)),
	})
	if err != nil {
		return nil, translate("ask KMS for a data key", err)
	}
	defer clear(out.Plaintext)
	aead, err := newAEAD(out.Plaintext)
	if err != nil {
		return nil, err
	}
	header, err := sealedText{dataKey: out.CiphertextBlob, context: contextOf(c)}.header()
	if err != nil {
		return nil, err
	}
	text := []byte(plain.Reveal())
	defer clear(text)
	return aead.Seal(header, nil, text, associatedData(c)), nil
}

// Open implements broker.Sealer. It makes one call to KMS, one more for each
// former key that it has to try, and none for what was not made by Seal.
func (e *Envelope) Open(ctx context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	if err := checkContext(c); err != nil {
		return secret.Value{}, err
	}
	t, err := decode(sealed)
	if err != nil {
		return secret.Value{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	dataKey, err := e.decrypt(ctx, c, t.dataKey)
	if err != nil {
		return secret.Value{}, err
	}
	defer clear(dataKey)
	aead, err := newAEAD(dataKey)
	if err != nil {
		return secret.Value{}, err
	}
	text, err := aead.Open(nil, nil, t.box, associatedData(c))
	if err != nil {
		return secret.Value{}, fmt.Errorf("%w: the sealed text was altered or sealed for something else", broker.ErrKeyUnavailable)
	}
	defer clear(text)
	return secret.New(string(text)), nil
}

// decrypt has KMS decrypt a data key: under the key, or, where that is not its
// own, under a former one. It fails as the first did.
func (e *Envelope) decrypt(ctx context.Context, c broker.SealContext, dataKey []byte) ([]byte, error) {
	var first error
	for _, key := range append([]string{e.key}, e.former...) {
		out, err := e.kms.Decrypt(ctx, &kms.DecryptInput{
			KeyId: aws.String(key), CiphertextBlob: dataKey, EncryptionContext: encryptionContext(contextOf(c)),
		})
		if err == nil {
			return out.Plaintext, nil
		}
		err = translate("ask KMS to decrypt a data key", err)
		if first == nil || !errors.Is(err, broker.ErrKeyUnavailable) {
			first = err
		}
		if !errors.Is(err, broker.ErrKeyUnavailable) {
			break
		}
	}
	return nil, first
}

// newAEAD is AES-256-GCM with a random nonce of 96 bits in front of the
// ciphertext. Each data key encrypts one text, so nonces cannot repeat.
func newAEAD(dataKey []byte) (cipher.AEAD, error) {
	if len(dataKey) != 32 {
		return nil, fmt.Errorf("%w: KMS gave a data key of another length than asked for", broker.ErrKeyUnavailable)
	}
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, fmt.Errorf("%w: the data key cannot be used", broker.ErrKeyUnavailable)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
