package kmssign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"bindery/shared/broker"
)

// fake is KMS with keys of this process: what is signed and how is real.
type fake struct {
	signer    crypto.Signer
	usage     types.KeyUsageType
	signature []byte // in place of a real one
	err       error
}

func (f fake) GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	if f.err != nil {
		return nil, f.err
	}
	der, err := x509.MarshalPKIXPublicKey(f.signer.Public())
	return &kms.GetPublicKeyOutput{PublicKey: der, KeyUsage: f.usage}, err
}

func (f fake) Sign(_ context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	if f.err != nil || f.signature != nil {
		return &kms.SignOutput{Signature: f.signature}, f.err
	}
	if in.MessageType != types.MessageTypeRaw {
		return nil, errors.New("a digest")
	}
	digest := sha256.Sum256(in.Message)
	var how crypto.SignerOpts = crypto.SHA256
	if in.SigningAlgorithm == types.SigningAlgorithmSpecRsassaPssSha256 {
		how = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := f.signer.Sign(rand.Reader, digest[:], how)
	return &kms.SignOutput{Signature: signature}, err
}

func ecKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verifies signs a JWT and lets another library check it with the published key.
func verifies(t *testing.T, k *Key) {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(k.Algorithm), jwt.MapClaims{"sub": "x"})
	text, err := token.SigningString()
	if err != nil {
		t.Fatal(err)
	}
	var public jose.JSONWebKey
	if err := public.UnmarshalJSON(k.JWK); err != nil || !public.IsPublic() || public.KeyID != k.ID || public.Algorithm != k.Algorithm {
		t.Fatalf("published %s for %s: %v", k.JWK, k.ID, err)
	}
	for range 20 { // a number with leading zeros comes now and then
		signature, err := k.Sign(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := token.Method.Verify(text, signature, public.Key); err != nil {
			t.Fatal(err)
		}
		if token.Method.Verify(text+"x", signature, public.Key) == nil {
			t.Fatal("the signature fits another text")
		}
	}
}

func TestSignaturesVerifyWithThePublishedKey(t *testing.T) {
	for algorithm, signer := range map[string]crypto.Signer{"ES256": ecKey(t, elliptic.P256()), "PS256": rsaKey(t, 2048)} {
		k, err := Open(t.Context(), fake{signer: signer, usage: types.KeyUsageTypeSignVerify}, "alias/client", 0)
		if err != nil || k.Algorithm != algorithm {
			t.Fatalf("%v", err)
		}
		verifies(t, k)
	}
}

func TestOtherKeysAreRefused(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]fake{
		"P-384": {signer: ecKey(t, elliptic.P384()), usage: types.KeyUsageTypeSignVerify}, "short RSA": {signer: rsaKey(t, 1024), usage: types.KeyUsageTypeSignVerify},
		"Ed25519": {signer: edwards, usage: types.KeyUsageTypeSignVerify}, "for key agreement": {signer: ecKey(t, elliptic.P256()), usage: types.KeyUsageTypeKeyAgreement},
	} {
		if _, err := Open(t.Context(), f, "alias/client", 0); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignaturesThatAreNoneAreRefused(t *testing.T) {
	k, err := Open(t.Context(), fake{signer: ecKey(t, elliptic.P256()), usage: types.KeyUsageTypeSignVerify}, "alias/client", 0)
	if err != nil {
		t.Fatal(err)
	}
	der := func(r, s *big.Int) []byte {
		out, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one, large := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 256)
	if _, err := k.Sign(t.Context(), make([]byte, maxInput+1)); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("a long text: %v", err)
	}
	for _, signature := range [][]byte{{}, {0x30}, der(one, large), der(large, one), der(big.NewInt(-1), one), der(one, big.NewInt(0)), append(der(one, one), 0)} {
		k.kms = fake{signature: signature}
		if _, err := k.Sign(t.Context(), []byte("x")); !errors.Is(err, broker.ErrKeyUnavailable) {
			t.Errorf("%x: %v", signature, err)
		}
	}
}

func TestFaultsOfKMSAreTranslated(t *testing.T) {
	for code, kind := range map[string]error{"DisabledException": broker.ErrKeyUnavailable, "ThrottlingException": broker.ErrUnavailable} {
		f := fake{signer: ecKey(t, elliptic.P256()), err: &smithy.GenericAPIError{Code: code, Message: "made-up arn:aws:kms canary"}}
		_, opened := Open(t.Context(), f, "alias/client", 0)
		_, signed := (&Key{Algorithm: "ES256", kms: f, timeout: DefaultTimeout}).Sign(t.Context(), []byte("x"))
		for _, err := range []error{opened, signed} {
			if !errors.Is(err, kind) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v", code, err)
			}
		}
	}
}
