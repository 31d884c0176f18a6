package seal

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"bindery/shared/broker"
)

// Reseal puts the data key of a sealed text under the Envelope's key, inside KMS:
// neither the data key nor the text comes out, and what the text is bound to
// stays what it was. It reports whether the data key was under another key. A
// text of another environment, and one that was altered, is
// broker.ErrKeyUnavailable.
func (e *Envelope) Reseal(ctx context.Context, environment string, sealed []byte) (resealed []byte, moved bool, err error) {
	t, err := decode(sealed)
	if err != nil {
		return nil, false, err
	}
	if t.context[0] != environment {
		return nil, false, fmt.Errorf("%w: the text was sealed for another environment", broker.ErrKeyUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	bound := encryptionContext(t.context)
	out, err := e.kms.ReEncrypt(ctx, &kms.ReEncryptInput{
		CiphertextBlob: t.dataKey, DestinationKeyId: aws.String(e.key),
		SourceEncryptionContext: bound, DestinationEncryptionContext: bound,
	})
	if err != nil {
		return nil, false, translate("ask KMS to encrypt a data key anew", err)
	}
	if from := aws.ToString(out.SourceKeyId); from == "" || from == aws.ToString(out.KeyId) {
		return nil, false, nil
	}
	t.dataKey = out.CiphertextBlob
	header, err := t.header()
	if err != nil {
		return nil, false, err
	}
	return append(header, t.box...), true, nil
}
