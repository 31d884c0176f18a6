//go:build e2e && !nojava

package soak

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/secret"
)

// provider is a token endpoint that rotates refresh tokens: each is good once, and
// a second use of one ends all that was issued since the consent.
type provider struct {
	mu       sync.Mutex
	families map[string]int // by the refresh token that is good
	used     map[string]int // families, by the tokens that were
	dead     map[int]bool
	commits  int
}

// shortly is less than the schedule refreshes ahead, so that all is always due.
const shortly = 60 * time.Second

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	token := p.rotate(r.PostFormValue("refresh_token"))
	if token == "" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "made-up-access-" + rand.Text(), "refresh_token": token, "token_type": "Bearer", "expires_in": int(shortly.Seconds())})
}

func (p *provider) rotate(old string) (token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	family, good := p.families[old]
	if !good {
		if stolen, known := p.used[old]; known {
			p.dead[stolen] = true
		}
		return ""
	}
	delete(p.families, old)
	p.used[old] = family
	if p.dead[family] {
		return ""
	}
	p.commits++
	token = "made-up-refresh-" + rand.Text()
	p.families[token] = family
	return token
}

// refreshing are people's grants that are always due, at a provider of their own.
type refreshing struct {
	*world
	*provider
	station *station
	keys    []broker.GrantKey
}

func (w *world) refreshing(people int) *refreshing {
	w.tb.Helper()
	ctx, now := w.tb.Context(), time.Now().UTC()
	f := &refreshing{world: w, provider: &provider{families: map[string]int{}, used: map[string]int{}, dead: map[int]bool{}}, station: w.station("rotation")}
	s, err := w.DB.Server(ctx, broker.Route{Environment: environment, Server: own})
	must(w.tb, err)
	w.upstream.tokens = f.provider
	origin, err := broker.OriginDigest(s.URL)
	must(w.tb, err)
	for n := range people {
		k := broker.GrantKey{Environment: environment, Principal: broker.PrincipalID(w.issuerAt, "user-made-up-"+fmt.Sprint(n)), Server: own, Origin: origin}
		token := w.canary("refresh")
		f.families[token] = n
		text, err := credential.SealTokens(ctx, w.Sealer, k, credential.TokenSet{Access: secret.New(w.canary("access")), Refresh: secret.New(token), Expires: now.Add(shortly)}, scopes())
		must(w.tb, err)
		must(w.tb, w.DB.BeginGrant(ctx, broker.Grant{GrantKey: k, State: broker.Active, Provider: "acme", Scopes: scopes(), Consented: now,
			Sealed: text.Sealed, Expires: text.Expires, Refreshes: true}, broker.Consent{Agent: agent, At: now}))
		f.keys = append(f.keys, k)
	}
	return f
}

// run refreshes once, while AWS fails or not.
func (f *refreshing) run(r *mathrand.Rand) (err error) {
	f.station.quiet()
	if r != nil {
		f.station.fail(r, 2, false) // who dies between provider and table loses what only they know
	}
	ctx, cancel := context.WithTimeout(f.tb.Context(), scheduled)
	defer cancel()
	_, err = f.station.invoke(ctx, []byte(`{"task":"refresh"}`))
	return err
}

// free ends leases and rests, as time would.
func (f *refreshing) free() {
	f.tb.Helper()
	past := &types.AttributeValueMemberS{Value: time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05.000000000Z")}
	for attribute, of := range map[string]string{"lease_until": "lease", "cool_until": "cool_until"} {
		pages := dynamodb.NewScanPaginator(f.rows, &dynamodb.ScanInput{TableName: &f.Config.Tables.Grants, ConsistentRead: aws.Bool(true),
			FilterExpression: aws.String("size(" + of + ") > :none"), ProjectionExpression: aws.String("pk, sk"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":none": &types.AttributeValueMemberN{Value: "0"}}})
		for pages.HasMorePages() {
			page, err := pages.NextPage(f.tb.Context())
			must(f.tb, err)
			for _, k := range page.Items {
				_, err := f.rows.UpdateItem(f.tb.Context(), &dynamodb.UpdateItemInput{TableName: &f.Config.Tables.Grants, Key: k,
					UpdateExpression: aws.String("SET " + attribute + " = :past"), ExpressionAttributeValues: map[string]types.AttributeValue{":past": past}})
				must(f.tb, err)
			}
		}
	}
}

// lost counts the grants whose refresh token is not the one that is good.
func (f *refreshing) lost() (n int) {
	f.tb.Helper()
	f.free()
	must(f.tb, f.run(nil))
	for family, k := range f.keys {
		view, err := f.DB.Grant(f.tb.Context(), k)
		must(f.tb, err)
		set, err := credential.OpenTokens(f.tb.Context(), f.Sealer, k, view.Grant.Sealed)
		must(f.tb, err)
		f.mu.Lock()
		good := ""
		for token, of := range f.families {
			if of == family {
				good = token
			}
		}
		if f.dead[family] || !view.Grant.Dead.IsZero() || !set.Refresh.Equal(secret.New(good)) {
			n++
			f.tb.Errorf("a grant is lost: dead %v, %+v", f.dead[family], view.Grant.GrantKey)
		}
		f.mu.Unlock()
	}
	return n
}
