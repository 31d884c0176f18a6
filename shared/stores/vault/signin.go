package vault

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

const signingIn = "sign in to Vault"

// signIn gets a client token and how long it lives.
func (s *Store) signIn(ctx context.Context, w *broker.Want) (secret.Value, time.Duration, error) {
	auth := &w.Store.Auth
	login := map[string]string{"role": auth.Role}
	switch auth.Method {
	case broker.AuthToken, broker.AuthJWT:
		credential, err := readCredential(ctx, w)
		if err != nil {
			return secret.Value{}, 0, err
		}
		if auth.Method == broker.AuthToken {
			return credential, staticLife, nil
		}
		login["jwt"] = credential.Reveal()
	case broker.AuthAWSIAM:
		if err := s.signIdentity(ctx, auth.ServerID, login); err != nil {
			return secret.Value{}, 0, err
		}
	default:
		return secret.Value{}, 0, fmt.Errorf("%s: %w: the way to sign in is unknown", signingIn, broker.ErrStoreDenied)
	}
	body, err := json.Marshal(login)
	if err != nil {
		return secret.Value{}, 0, fmt.Errorf("%s: %w: the request cannot be made", signingIn, broker.ErrStoreDenied)
	}
	defer clear(body)
	a, err := s.send(ctx, signingIn, &w.Store, request{method: http.MethodPost, path: "auth/" + auth.Mount + "/login", body: body})
	if err != nil {
		return secret.Value{}, 0, err
	}
	defer clear(a.body)
	return clientToken(a)
}

// readCredential reads the token or JWT by its reference. It is held to what a
// header can carry; a line end after it is a common slip and told as such.
func readCredential(ctx context.Context, w *broker.Want) (secret.Value, error) {
	if w.Credential == nil {
		return secret.Value{}, fmt.Errorf("%s: %w: there is no credential", signingIn, broker.ErrStoreDenied)
	}
	credential, err := w.Credential(ctx)
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: %w", signingIn, err)
	}
	if credential.IsZero() || !printable(credential.Reveal()) {
		return secret.Value{}, fmt.Errorf("%s: %w: the credential is empty or holds a space or line end", signingIn, broker.ErrSecretMalformed)
	}
	return credential, nil
}

// clientToken reads the answer to a login. Whatever Vault has against it, a
// missing mount or role included, is a refusal of Bindery.
func clientToken(a answer) (secret.Value, time.Duration, error) {
	if a.status == http.StatusNotFound {
		a.status = http.StatusForbidden
	}
	if a.status != http.StatusOK {
		return secret.Value{}, 0, refusal(signingIn, a.status)
	}
	var in struct {
		Auth struct {
			ClientToken   string `json:"client_token"`
			LeaseDuration int64  `json:"lease_duration"` // seconds; 0: it does not end
		} `json:"auth"`
	}
	if json.Unmarshal(a.body, &in) != nil || !printable(in.Auth.ClientToken) || in.Auth.LeaseDuration < 0 {
		return secret.Value{}, 0, fmt.Errorf("%s: %w: the answer could not be read", signingIn, broker.ErrUnavailable)
	}
	if in.Auth.ClientToken == "" { // Vault wants a second factor
		return secret.Value{}, 0, fmt.Errorf("%s: %w: it gave no token", signingIn, broker.ErrStoreDenied)
	}
	life := maxLife
	if d := in.Auth.LeaseDuration; d > 0 && d < int64(maxLife/time.Second) {
		life = time.Duration(d) * time.Second
	}
	return secret.New(in.Auth.ClientToken), life, nil
}

// What is signed for Vault: a question about who the function is, which Vault
// itself puts to AWS. It is signed for the global endpoint, which is where
// Vault asks unless it is told otherwise.
const (
	stsURL    = "https://sts.amazonaws.com/"
	stsRegion = "us-east-1"
	stsBody   = "Action=GetCallerIdentity&Version=2011-06-15"
)

// signIdentity adds a signed request to login. The server id is under the
// signature, so that the request is of no use at another Vault.
func (s *Store) signIdentity(ctx context.Context, serverID string, login map[string]string) error {
	credentials, err := s.aws.Retrieve(ctx)
	if err != nil {
		return &fault{signingIn + ": " + broker.ErrUnavailable.Error() + ": the function has no AWS credentials", []error{broker.ErrUnavailable}}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, stsURL, strings.NewReader(stsBody))
	if err != nil {
		return fmt.Errorf("%s: %w: the request cannot be made", signingIn, broker.ErrStoreDenied)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Vault-AWS-IAM-Server-ID", serverID)
	sum := sha256.Sum256([]byte(stsBody))
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), "sts", stsRegion, s.now()); err != nil {
		return fmt.Errorf("%s: %w: the request cannot be signed", signingIn, broker.ErrStoreDenied)
	}
	headers, err := json.Marshal(r.Header)
	if err != nil {
		return fmt.Errorf("%s: %w: the request cannot be made", signingIn, broker.ErrStoreDenied)
	}
	login["iam_http_request_method"] = http.MethodPost
	login["iam_request_url"] = base64.StdEncoding.EncodeToString([]byte(stsURL))
	login["iam_request_body"] = base64.StdEncoding.EncodeToString([]byte(stsBody))
	login["iam_request_headers"] = base64.StdEncoding.EncodeToString(headers)
	return nil
}
