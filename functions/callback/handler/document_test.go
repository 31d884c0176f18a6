package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/oauth"
)

const signingKey = "arn:aws:kms:eu-west-1:111122223333:key/made-up"

// keyed makes acme a provider that knows Bindery by its document and a key.
func (f *fixture) keyed() broker.Provider {
	f.t.Helper()
	row, err := f.tables.Provider(f.t.Context(), "prod", "acme")
	f.must(err)
	row.Registration, row.ClientID = broker.MetadataDocument, ""
	row.ClientAuth, row.SigningKey = broker.ClientPrivateKeyJWT, signingKey
	f.must(f.tables.PutProvider(f.t.Context(), row))
	f.known.Sign = func(_ context.Context, key string) (oauth.Key, error) {
		if key != signingKey {
			return oauth.Key{}, fmt.Errorf("read the signing key: %w", broker.ErrKeyUnavailable)
		}
		return oauth.Key{ID: "one", Algorithm: "ES256", Public: json.RawMessage(`{"kty":"EC","kid":"one"}`)}, nil
	}
	return row
}

// TestTheClientMetadataDocumentPublishesTheKey with which Bindery signs at this
// provider, so that the provider can hold a client assertion against it.
func TestTheClientMetadataDocumentPublishesTheKey(t *testing.T) {
	f := newFixture(t)
	f.keyed()
	p := f.browser().get(publicURL+"/connect/client/acme.json").want(200, "")
	var got struct {
		Auth string `json:"token_endpoint_auth_method"`
		JWKS struct{ Keys []map[string]string }
	}
	f.must(json.Unmarshal(p.Body.Bytes(), &got))
	if got.Auth != "private_key_jwt" || len(got.JWKS.Keys) != 1 || got.JWKS.Keys[0]["kid"] != "one" {
		t.Errorf("the document is %s", p.Body)
	}
	if strings.Contains(p.Body.String(), "arn:") {
		t.Error("the document says where the key is")
	}
}

// TestNoDocumentNamesAnotherWayToAuthenticate: without its key the document
// would be that of a public client, as which anybody could redeem a code.
func TestNoDocumentNamesAnotherWayToAuthenticate(t *testing.T) {
	for name, fails := range map[string]func(f *fixture){
		"the key cannot be read": func(f *fixture) {
			f.known.Sign = func(context.Context, string) (oauth.Key, error) {
				return oauth.Key{}, errors.Join(broker.ErrKeyUnavailable, errors.New("made-up canary"))
			}
		},
		"the row cannot be read": func(f *fixture) { f.reads.Providers = unreadable{f.tables} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.keyed()
			fails(f)
			p := f.browser().get(publicURL+"/connect/client/acme.json").want(503, "unavailable")
			if strings.Contains(p.Body.String(), "canary") || strings.Contains(p.Body.String(), "redirect_uris") {
				t.Errorf("answered %s", p.Body)
			}
		})
	}
}

// unreadable is a catalogue whose providers cannot be read.
type unreadable struct{ providers }

type providers = broker.Providers

func (unreadable) Provider(context.Context, string, string) (broker.Provider, error) {
	return broker.Provider{}, broker.ErrUnavailable
}

// TestAClosedOrUnknownProviderIsToldByNoDocument: all look like one that does
// not exist, and publish nothing.
func TestAClosedOrUnknownProviderIsToldByNoDocument(t *testing.T) {
	f := newFixture(t)
	row := f.keyed()
	row.Version++
	row.State = broker.Suspended
	f.must(f.tables.PutProvider(t.Context(), row))
	said := map[string]bool{}
	for _, name := range []string{"acme", "other", "nobody"} {
		p := f.browser().get(publicURL+"/connect/client/"+name+".json").want(200, "")
		said[strings.ReplaceAll(p.Body.String(), name, "?")] = true
	}
	if len(said) != 1 {
		t.Errorf("documents differ: %v", said)
	}
}
