// Package kmssign signs with an asymmetric key that never leaves AWS KMS: the
// key by which Bindery is known to a provider as a client (private_key_jwt, RFC
// 7523). It signs what it is given in the forms of JWS (RFC 7518), and tells the
// public half, for the document in which a provider looks it up.
//
// The package never sees private key material, never chooses the algorithm by
// what is to be signed, and says no more in an error than the code KMS gave.
package kmssign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

// DefaultTimeout bounds one operation, retries of the AWS SDK included.
const DefaultTimeout = 3 * time.Second

// KMS is what is used of the AWS client.
type KMS interface {
	Sign(ctx context.Context, in *kms.SignInput, options ...func(*kms.Options)) (*kms.SignOutput, error)
	GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, options ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

// Key is one KMS key with what its public half says. It is safe for concurrent
// use.
type Key struct {
	ID        string // RFC 7638 thumbprint: the kid
	Algorithm string // ES256 for P-256, PS256 for RSA
	JWK       []byte // the public key as JSON (RFC 7517)

	kms     KMS
	key     string
	timeout time.Duration
}

// Open reads the public half of a key for signing: P-256, or RSA with 2048 bits
// or more. Any other key is broker.ErrInvalid. A timeout of 0 means
// DefaultTimeout.
func Open(ctx context.Context, client KMS, key string, timeout time.Duration) (*Key, error) {
	const doing = "read the signing key"
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(key)})
	if err != nil {
		return nil, awsfault.Of(err).Wrap(doing, broker.ErrKeyUnavailable)
	}
	public, err := x509.ParsePKIXPublicKey(out.PublicKey)
	algorithm := algorithmOf(public)
	if err != nil || algorithm == "" || out.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, fmt.Errorf("%s: %w: it must sign with P-256, or RSA of 2048 bits or more", doing, broker.ErrInvalid)
	}
	jwk := jose.JSONWebKey{Key: public, Algorithm: algorithm, Use: "sig"}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: it has no thumbprint", doing, broker.ErrInvalid)
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	text, err := jwk.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: it does not encode", doing, broker.ErrInvalid)
	}
	return &Key{ID: jwk.KeyID, Algorithm: algorithm, JWK: text, kms: client, key: key, timeout: timeout}, nil
}

func algorithmOf(public any) string {
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		if public.Curve.Params().BitSize == 256 && public.Curve.Params().Name == "P-256" {
			return "ES256"
		}
	case *rsa.PublicKey:
		if public.N.BitLen() >= 2048 {
			return "PS256"
		}
	}
	return ""
}

// maxInput is the longest text that KMS hashes itself.
const maxInput = 4096

// Sign signs as the Key's Algorithm says, at most 4096 bytes.
func (k *Key) Sign(ctx context.Context, input []byte) ([]byte, error) {
	const doing = "sign"
	if len(input) > maxInput {
		return nil, fmt.Errorf("%s: %w: more than 4096 bytes", doing, broker.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	how := types.SigningAlgorithmSpecRsassaPssSha256
	if k.Algorithm == "ES256" {
		how = types.SigningAlgorithmSpecEcdsaSha256
	}
	out, err := k.kms.Sign(ctx, &kms.SignInput{
		KeyId: aws.String(k.key), Message: input, MessageType: types.MessageTypeRaw, SigningAlgorithm: how,
	})
	if err != nil {
		return nil, awsfault.Of(err).Wrap(doing, broker.ErrKeyUnavailable)
	}
	if k.Algorithm != "ES256" {
		return out.Signature, nil
	}
	return joined(doing, out.Signature)
}

// joined makes of an ASN.1 signature the two numbers side by side that JWS wants
// (RFC 7518, 3.4).
func joined(doing string, signature []byte) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &numbers)
	if err != nil || len(rest) > 0 || !short(numbers.R) || !short(numbers.S) {
		return nil, fmt.Errorf("%s: %w: no signature of the key's kind", doing, broker.ErrKeyUnavailable)
	}
	return append(numbers.R.FillBytes(make([]byte, 32)), numbers.S.FillBytes(make([]byte, 32))...), nil
}

func short(n *big.Int) bool { return n.Sign() > 0 && n.BitLen() <= 256 }
