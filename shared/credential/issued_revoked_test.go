package credential

import (
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// TestATokenIssuedForARevokedSecretIsNotGivenFromMemory: who holds the provider's
// client secret could have it too. Nor is one whose secret's store is not open.
func TestATokenIssuedForARevokedSecretIsNotGivenFromMemory(t *testing.T) {
	for _, source := range []broker.SourceKind{broker.ClientCredentials, broker.TokenExchange} {
		issuing(t, source, func(t *testing.T, s *Issued, i *issuer, p *acme, a broker.Ask) {
			var err error
			if p.secret, err = broker.ParseReference("aws-sm:prod/idp#secret"); err != nil {
				t.Fatal(err)
			}
			tables := memory.New(time.Now)
			s.parts.Markers = tables
			a.Stores = []broker.Store{{Environment: "prod", Name: "aws-sm", Kind: "aws-sm", State: broker.Active}}
			c, err := s.Obtain(t.Context(), a)
			wantToken(t, c, err, 1)

			m := broker.Marker{Environment: "prod", Kind: broker.ReferenceMarker, ID: "aws-sm:prod/idp", Epoch: 1, Revoked: true, At: time.Now().UTC(), By: "p-admin", Reason: "leaked"}
			put := func() {
				t.Helper()
				if err := tables.PutMarker(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			put()
			if c, err := s.Obtain(t.Context(), a); broker.ReasonOf(err) != broker.ReferenceRevoked || c.Fields != nil {
				t.Errorf("%s: gave %d fields, %v", source, len(c.Fields), err)
			}
			m.Epoch, m.Revoked = 2, false
			put()
			tables.Inject(memory.ReadMarkers, memory.Refuse())
			if c, err := s.Obtain(t.Context(), a); broker.ReasonOf(err) != broker.CatalogueUnread || c.Fields != nil {
				t.Errorf("%s: markers unread: %v", source, err)
			}
			c, err = s.Obtain(t.Context(), a)
			wantToken(t, c, err, 1)
			a.Stores = nil
			if c, err := s.Obtain(t.Context(), a); broker.ReasonOf(err) != broker.StoreUnregistered || c.Fields != nil {
				t.Errorf("%s: the store is revoked: %v", source, err)
			}
			if len(i.asks) != 1 {
				t.Errorf("%s: asked %d times", source, len(i.asks))
			}
		})
	}
}
