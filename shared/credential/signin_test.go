package credential

import (
	"context"
	"errors"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// remote is a store that signs in when it is asked to read.
type remote struct {
	fakeStore
	credential secret.Value
}

func (r *remote) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	var err error
	if r.credential, err = w.Credential(ctx); err != nil {
		return broker.Secret{}, err
	}
	return r.fakeStore.Fetch(ctx, w)
}

func remoteAsk(t *testing.T, credential string, changes ...func(*broker.Ask)) broker.Ask {
	t.Helper()
	a := ask(t, "token=vault:kv/x#token")
	for i := range a.Stores {
		if a.Stores[i].Name == "vault" {
			r, err := broker.ParseReference(credential)
			if err != nil {
				t.Fatal(err)
			}
			a.Stores[i].Address = "https://vault.example.com"
			a.Stores[i].Auth = broker.StoreAuth{Method: broker.AuthToken, Credential: r}
		}
	}
	for _, change := range changes {
		change(&a)
	}
	return a
}

func TestCredentialOfAStoreIsReadByReferenceForItsAddress(t *testing.T) {
	local := &fakeStore{secrets: map[string]map[string]string{"prod/vault": {"token": value(1)}}}
	far := &remote{fakeStore: fakeStore{secrets: map[string]map[string]string{"kv/x": {"token": value(2)}}}}
	s := NewStatic(map[string]broker.SecretStore{"fake": local, "vault": far}, check)
	c, err := s.Obtain(t.Context(), remoteAsk(t, "aws-sm:prod/vault#token"))
	if err != nil {
		t.Fatal(err)
	}
	if !far.credential.Equal(secret.New(value(1))) || !c.Fields["token"].Equal(secret.New(value(2))) {
		t.Error("another credential or value")
	}
	origin, err := broker.OriginDigest("https://vault.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if w := local.wants[0]; w.Origin != origin || w.Store.Name != "aws-sm" || w.Credential != nil {
		t.Errorf("asked for origin %q of store %q", w.Origin, w.Store.Name)
	}
	if w := far.wants[0]; w.Origin != "digest-of-origin" || w.Store.Name != "vault" {
		t.Errorf("asked for origin %q of store %q", w.Origin, w.Store.Name)
	}
	if len(c.Previous) != 0 || len(c.Access) != 1 {
		t.Error("the credential of the store is part of the credential of the call")
	}
}

func TestCredentialOfAStoreCannotComeFromAnywhere(t *testing.T) {
	signsIn := func(a *broker.Ask) { // the store of the credential needs one itself
		a.Stores[0].Address, a.Stores[0].Auth = "https://other.example.com", a.Stores[3].Auth
	}
	for name, a := range map[string]broker.Ask{
		"outside the paths of its store":  remoteAsk(t, "aws-sm:finance/vault#token"),
		"a store that is revoked":         remoteAsk(t, "old:prod/vault#token"),
		"a store of another environment":  remoteAsk(t, "foreign:prod/vault#token"),
		"a store that does not exist":     remoteAsk(t, "none:prod/vault#token"),
		"the store itself":                remoteAsk(t, "vault:kv/x#token"),
		"a store that signs in by itself": remoteAsk(t, "aws-sm:prod/vault#token", signsIn),
	} {
		local := &fakeStore{secrets: map[string]map[string]string{"prod/vault": {"token": value(1)}}}
		far := &remote{}
		c, err := NewStatic(map[string]broker.SecretStore{"fake": local, "vault": far}, check).Obtain(t.Context(), a)
		mustRefuse(t, name, c, err, broker.ErrStoreDenied)
		if len(local.wants) > 0 || !errors.Is(err, broker.ErrStoreDenied) {
			t.Errorf("%s: it was read", name)
		}
	}
}
