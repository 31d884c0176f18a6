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
}

// Envelope seals under one KMS key. It is safe for concurrent use.
type Envelope struct {
	kms     KMS
	key     string
	timeout time.Duration
}

// New makes an Envelope. key is the id, ARN or alias of a symmetric KMS key. An
// alias that is moved to another key makes all that was sealed before
// unreadable; KMS's own rotation of a key's material does not. A timeout of 0
// means DefaultTimeout.
func New(client KMS, key string, timeout time.Duration) *Envelope {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Envelope{kms: client, key: key, timeout: timeout}
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
		KeyId: aws.String(e.key), KeySpec: types.DataKeySpecAes256, EncryptionContext: encryptionContext(c),
	})
	if err != nil {
		return nil, translate("ask KMS for a data key", err)
	}
	defer clear(out.Plaintext)
	aead, err := newAEAD(out.Plaintext)
	if err != nil {
		return nil, err
	}
	header, err := encodeHeader(out.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	text := []byte(plain.Reveal())
	defer clear(text)
	return aead.Seal(header, nil, text, associatedData(c)), nil
}

// Open implements broker.Sealer. It makes one call to KMS, and none for what
// was not made by Seal.
func (e *Envelope) Open(ctx context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	if err := checkContext(c); err != nil {
		return secret.Value{}, err
	}
	dataKey, box, err := decode(sealed)
	if err != nil {
		return secret.Value{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	out, err := e.kms.Decrypt(ctx, &kms.DecryptInput{
		KeyId: aws.String(e.key), CiphertextBlob: dataKey, EncryptionContext: encryptionContext(c),
	})
	if err != nil {
		return secret.Value{}, translate("ask KMS to decrypt a data key", err)
	}
	defer clear(out.Plaintext)
	aead, err := newAEAD(out.Plaintext)
	if err != nil {
		return secret.Value{}, err
	}
	text, err := aead.Open(nil, nil, box, associatedData(c))
	if err != nil {
		return secret.Value{}, fmt.Errorf("%w: the sealed text was altered or sealed for something else", broker.ErrKeyUnavailable)
	}
	defer clear(text)
	return secret.New(string(text)), nil
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
