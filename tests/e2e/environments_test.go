//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/brokertest/enforce"
	"bindery/shared/brokertest/idp"
	"bindery/shared/config"
)

// staged is two deployments on one endpoint: staging and production.
func staged(t *testing.T) (staging, production *deployment) {
	staging = deploy(t)
	return staging, deploy(t)
}

// item reads one raw item.
func (d *deployment) item(table, pk, sk string) map[string]types.AttributeValue {
	d.t.Helper()
	out, err := d.direct.GetItem(d.t.Context(), &dynamodb.GetItemInput{TableName: &table,
		Key: map[string]types.AttributeValue{"pk": text(pk), "sk": text(sk)}})
	must(d.t, err)
	if out.Item == nil {
		d.t.Fatalf("no item %s %s", pk, sk)
	}
	return out.Item
}

// plant puts a raw item, as somebody with access to the table would.
func (d *deployment) plant(table string, item map[string]types.AttributeValue) {
	d.t.Helper()
	_, err := d.direct.PutItem(d.t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item})
	must(d.t, err)
}

func TestAStagingTokenIsUselessInProduction(t *testing.T) {
	t.Parallel()
	staging := deploy(t)
	own := idp.New(t)
	production := deploy(t, func(p *plan) {
		p.issuers = []any{
			issuer(staging.env, nil), // known, and good in staging only
			issuer(p.env, map[string]any{"name": "own", "issuer": own.Issuer(), "algorithms": []string{"ES256"}, "agents": "ignored"}),
		}
	})
	u, v := staging.upstream(echo()), production.upstream(echo())
	staging.simple(u)
	production.simple(v)
	staging.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")

	a := production.post(alice, "notes")
	a.want(t, http.StatusUnauthorized, badToken)
	if production.audited() != 0 {
		t.Error("an unauthenticated request was written to the audit table")
	}
	claims := map[string]any{"iss": own.Issuer(), "sub": "dana", "aud": audience, "groups": []string{"g-dev"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	genuine := own.Sign("k1", nil, claims)
	with := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	production.post(alice, "notes", with(genuine)).want(t, http.StatusOK, "[masked:dev-notes]")
	v.carried(t, production.canaries[0])
	claims["iss"] = shared.oidc.URL // production's issuer may not speak for staging's
	production.post(alice, "notes", with(own.Sign("k1", nil, claims))).want(t, http.StatusUnauthorized, badToken)
	staging.post(alice, "notes", with(genuine)).want(t, http.StatusUnauthorized, badToken)

	// Nor is there a route from one to the other.
	production.post(alice, "notes", with(genuine), func(r *http.Request) {
		r.URL.Path = strings.Replace(r.URL.Path, production.env, staging.env, 1)
	}).want(t, http.StatusNotFound, `"code":14040`)
	if len(u.arrivals()) != 1 || len(v.arrivals()) != 1 {
		t.Error("a request reached an upstream that it should not have")
	}
}

// TestAStagingSealedRowIsUselessInProduction, even rewritten for its new place,
// and even if both were sealed under one key.
func TestAStagingSealedRowIsUselessInProduction(t *testing.T) {
	t.Parallel()
	for name, oneKey := range map[string]bool{"a key for each": false, "one key for both": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			staging := deploy(t)
			production := deploy(t, func(p *plan) {
				p.config = func(c *config.Config) {
					if oneKey {
						c.ValuesKey = staging.Config.ValuesKey
					}
				}
				p.keys = map[string]string{staging.Config.ValuesKey: enforce.OpenToAll()} // worse than any that the template makes
			})
			u := production.upstream(echo())
			for _, d := range []*deployment{staging, production} {
				d.server("notes", u.URL)
				d.sealFor(u, "token")
				d.sealFor(u, "second")
				d.bind(d.card("notes", "dev-notes", group("dev"), "sealed:token"))
			}
			production.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")

			row := staging.item(staging.Config.Tables.Grants, "sealed/"+staging.env+"/token", "value")
			row["pk"], row["environment"] = text("sealed/"+production.env+"/token"), text(production.env)
			production.plant(production.Config.Tables.Grants, row)
			a := production.post(alice, "notes")
			a.want(t, http.StatusBadGateway, credentialFailed)
			production.ended(a, broker.KeyUnavailable)

			row = production.item(production.Config.Tables.Grants, "sealed/"+production.env+"/second", "value")
			row["pk"], row["id"] = text("sealed/"+production.env+"/token"), text("token")
			production.plant(production.Config.Tables.Grants, row)
			production.ended(production.post(alice, "notes"), broker.KeyUnavailable)
			if n := len(u.arrivals()); n != 1 {
				t.Errorf("the upstream got %d requests", n)
			}
		})
	}
}

func TestAStagingBindingIsUselessInProduction(t *testing.T) {
	t.Parallel()
	staging, production := staged(t)
	u := production.upstream(echo())
	staging.simple(u)
	production.server("notes", u.URL)
	row := staging.item(staging.Config.Tables.Catalogue, "server/"+staging.env+"/notes", "binding/dev-notes")
	for _, step := range []struct {
		name   string
		change func()
		code   string
		reason broker.Reason
	}{
		{"copied as it is", func() {}, forbidden, broker.NoBinding},
		{"the key rewritten", func() { row["pk"] = text("server/" + production.env + "/notes") }, undecided, broker.CatalogueUnread},
		{"the row rewritten too", func() { row["environment"] = text(production.env) }, forbidden, broker.ReferenceOutside},
	} {
		step.change()
		production.plant(production.Config.Tables.Catalogue, row)
		a := production.post(alice, "notes")
		if !strings.Contains(a.body, step.code) {
			t.Errorf("%s: answered %d %s", step.name, a.status, a.body)
		}
		production.refused(a, step.reason)
	}
	if n := production.faults.Count("GetSecretValue"); n != 0 {
		t.Errorf("%d requests left for Secrets Manager", n)
	}
	u.untouched(t)
}

// TestAClosedEnvironmentServesNothing: its row must say positively that it lives.
func TestAClosedEnvironmentServesNothing(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.simple(u)
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	must(t, d.DB.PutEnvironment(t.Context(), broker.Environment{Name: d.env, Version: 1, State: broker.Suspended}))
	for range 4 { // each call reads one of several copies
		d.refused(d.post(alice, "notes"), broker.EnvironmentClosed)
	}
	if n := len(u.arrivals()); n != 1 {
		t.Errorf("the upstream got %d requests", n)
	}
}
