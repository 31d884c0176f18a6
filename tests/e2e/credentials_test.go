//go:build e2e && !nonode

package e2e

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// sealFor stores a new canary as a sealed value for an upstream.
func (d *deployment) sealFor(u *upstream, id string) string {
	d.t.Helper()
	origin, err := broker.OriginDigest(u.URL)
	must(d.t, err)
	canary := d.canary()
	_, err = d.Sealed.Put(d.t.Context(), d.env, id, origin, secret.New(canary))
	must(d.t, err)
	return canary
}

// field adds a reference to a card, or replaces the one of that name.
func (d *deployment) field(name, reference string) func(*broker.Binding) {
	r, err := broker.ParseReference(reference)
	must(d.t, err)
	return func(b *broker.Binding) {
		for i := range b.Fields {
			if b.Fields[i].Name == name {
				b.Fields[i].Reference = r
				return
			}
		}
		b.Fields = append(b.Fields, broker.Field{Name: name, Reference: r})
	}
}

func TestASealedValueReachesItsUpstreamAndNobodyElse(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	former := ""
	u := d.upstream(func(w http.ResponseWriter, r *http.Request) { echo("former", former)(w, r) })
	d.server("notes", u.URL)
	key := d.sealFor(u, "typed-in")
	d.bind(d.card("notes", "dev-notes", group("dev"), "sealed:typed-in"))
	a := d.post(alice, "notes")
	a.want(t, http.StatusOK, "[masked:dev-notes]")
	u.carried(t, key)
	if r := d.ended(a, ""); r.Accesses[0].Reference != "sealed:typed-in" || r.Accesses[0].Version != "1" {
		t.Errorf("accesses %+v", r.Accesses)
	}

	former, key = key, d.sealFor(u, "typed-in")
	a = d.post(alice, "notes")
	a.want(t, http.StatusOK, `"former":"[masked:dev-notes]"`)
	u.carried(t, key)
	if r := d.ended(a, ""); r.Accesses[0].Version != "2" || r.Masked != 2 {
		t.Errorf("record %+v", r)
	}
}

func TestEachAttachmentCarriesItsFields(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	user, password := d.canary(), d.canary()
	must(t, d.PutSecret(t.Context(), d.env+"/pair", object("user", user, "password", password)))
	references := map[string]string{"user": "aws-sm:" + d.env + "/pair#user", "password": "aws-sm:" + d.env + "/pair#password"}
	whole := d.canary()
	must(t, d.PutSecret(t.Context(), d.env+"/whole", whole))
	for name, c := range map[string]struct {
		attach []broker.Attachment
		url    string
		fields map[string]string
		got    func(arrival) string
		want   string
	}{
		"basic": {[]broker.Attachment{{In: broker.InBasic, Template: "{user}:{password}"}}, "", references,
			func(a arrival) string { return a.Header.Get("Authorization") }, "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))},
		"query": {[]broker.Attachment{{In: broker.InQuery, Name: "key", Template: "{password}"}}, "?region=eu&key=placeholder&x=%2F",
			map[string]string{"password": references["password"]},
			func(a arrival) string { return a.URL.RawQuery }, "region=eu&x=%2F&key=" + url.QueryEscape(password)},
		"template": {[]broker.Attachment{{In: broker.InHeader, Name: "X-Api-Key", Template: "v1/{user}/{password};end"}}, "", references,
			func(a arrival) string { return a.Header.Get("X-Api-Key") }, "v1/" + user + "/" + password + ";end"},
		"whole-secret": {[]broker.Attachment{{In: broker.InHeader, Name: "X-Api-Key", Template: "{key}"}}, "", map[string]string{"key": "aws-sm:" + d.env + "/whole"},
			func(a arrival) string { return a.Header.Get("X-Api-Key") }, whole},
		"two-places": {[]broker.Attachment{{In: broker.InHeader, Name: "X-User", Template: "{user}"}, {In: broker.InHeader, Name: "X-Password", Template: "{password}"}}, "", references,
			func(a arrival) string { return a.Header.Get("X-User") + " " + a.Header.Get("X-Password") }, user + " " + password},
	} {
		u := d.upstream(echo())
		d.server(name, u.URL+c.url, func(s *broker.Server) { s.Attach = c.attach })
		card := d.card(name, "card", group("dev"), "aws-sm:"+d.env+"/pair#user")
		card.Fields = nil
		for field, reference := range c.fields {
			d.field(field, reference)(&card)
		}
		d.bind(card)
		reads := d.faults.Count("GetSecretValue")
		a := d.post(alice, name, func(r *http.Request) { // a caller's own copies lose
			r.Header.Set("X-Api-Key", "mine")
			r.Header.Set("X-User", "mine")
			r.URL.RawQuery = "key=mine"
		})
		a.want(t, http.StatusOK, "[masked:card]")
		if got := c.got(u.last(t)); got != c.want {
			t.Errorf("%s: the upstream did not get the credential in its place", name)
		}
		if n := d.faults.Count("GetSecretValue") - reads; n > 2 { // current and previous
			t.Errorf("%s: %d reads of one secret", name, n)
		}
		if r := d.ended(a, ""); len(r.Accesses) != 1 {
			t.Errorf("%s: accesses %+v", name, r.Accesses)
		}
	}
}

// TestACredentialIsWholeOrNotAtAll: one of two fields is missing.
func TestACredentialIsWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.server("notes", u.URL, func(s *broker.Server) {
		s.Attach = []broker.Attachment{{In: broker.InBasic, Template: "{user}:{token}"}}
	})
	_, reference := d.secret("notes")
	sealed := d.sealFor(u, "user")
	card := d.card("notes", "dev-notes", group("dev"), reference)
	if d.Registry.Bind(t.Context(), card) == nil {
		t.Error("a card without one of the fields was made")
	}
	d.bind(card, d.field("user", "sealed:user"))
	a := d.post(alice, "notes")
	a.want(t, http.StatusOK, "[masked:dev-notes]")
	if user, _, _ := u.last(t).BasicAuth(); user != sealed {
		t.Error("the upstream got another user")
	}
	if r := d.ended(a, ""); len(r.Accesses) != 2 {
		t.Errorf("accesses %+v", r.Accesses)
	}

	d.rotate("notes", object("renamed", d.canary())) // the first field's secret is still there
	a = d.post(alice, "notes")
	a.want(t, http.StatusBadGateway, credentialFailed)
	if r := d.ended(a, broker.SecretMissing); len(r.Accesses) != 0 {
		t.Errorf("accesses %+v", r.Accesses)
	}
	d.rotate("notes", object("token", d.canary()))
	_, err := d.direct.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &d.Config.Tables.Grants,
		Key: map[string]types.AttributeValue{"pk": text("sealed/" + d.env + "/user"), "sk": text("value")}})
	must(t, err)
	a = d.post(alice, "notes")
	a.want(t, http.StatusBadGateway, credentialFailed)
	d.ended(a, broker.SecretMissing)
	if n := len(u.arrivals()); n != 1 {
		t.Errorf("the upstream got %d requests", n)
	}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// TestAValueThatCannotBeMaskedCannotBeBound, nor one that its place cannot carry.
func TestAValueThatCannotBeMaskedCannotBeBound(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.server("notes", u.URL)
	for name, c := range map[string]struct{ value, reason string }{
		"short":    {"seven77", "8 bytes"},
		"uniform":  {"aaaaaaaaaaaaaaaa", "at least 4 different bytes"},
		"line-end": {"canary-with-a-line-end\n", "a header carries no control characters"},
	} {
		must(t, d.PutSecret(t.Context(), d.env+"/"+name, object("token", c.value)))
		err := d.Registry.Bind(t.Context(), d.card("notes", name, group("dev"), "aws-sm:"+d.env+"/"+name+"#token"))
		if err == nil || !strings.Contains(err.Error(), c.reason) || strings.Contains(err.Error(), c.value) {
			t.Errorf("%s: %v, want a refusal because of %q", name, err, c.reason)
		}
	}
	d.refused(d.post(alice, "notes"), broker.NoBinding)
}
