// Package drill revokes everything, at a provider that answers over HTTP, and
// counts how long it takes. It is for tests only.
package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/functions/cleanup/handler"
	"bindery/shared/broker"
	"bindery/shared/brokertest/plainseal"
	"bindery/shared/credential"
	"bindery/shared/egress"
	"bindery/shared/memory"
	"bindery/shared/oauth"
	"bindery/shared/revoke"
	"bindery/shared/secret"
	"bindery/shared/session"
	"bindery/shared/stores/sealed"
)

// tables is what a drill needs of a backend.
type tables interface {
	broker.Catalogue
	broker.CatalogueWriter
	broker.CatalogueReader
	broker.Providers
	broker.Markers
	broker.MarkerReader
	broker.Revocations
	broker.Grants
	broker.GrantScanner
	broker.LiveSessions
	broker.Uses
	broker.SealedValues
	broker.RollingKeys
	broker.AuditLog
}

const apiURL = "https://api.example.com/mcp"

// provider honours tokens until they are revoked (RFC 7009).
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	honoured map[string]bool
	asked    int
}

func newProvider(tb testing.TB) *provider {
	p := &provider{honoured: map[string]bool{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.PostFormValue("token")
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked++
		delete(p.honoured, token)
		w.WriteHeader(http.StatusOK)
	}))
	tb.Cleanup(p.Close)
	return p
}

func (p *provider) row() broker.Provider {
	return broker.Provider{Environment: "prod", Name: "acme", State: broker.Active, Issuer: p.URL, Registration: broker.Preregistered, ClientID: "bindery", ClientAuth: "none",
		Endpoints: broker.Endpoints{Authorization: p.URL + "/authorize", Token: p.URL + "/token", Revocation: p.URL + "/revoke"}}
}

// drill is a deployment whose people have all consented.
type drill struct {
	testing.TB
	db       tables
	provider *provider
	mu       sync.Mutex
	ahead    time.Duration // the clock is moved on where somebody would wait
	log      bytes.Buffer
}

func newDrill(tb testing.TB, backend func(now func() time.Time) tables, grants int) *drill {
	tb.Helper()
	d := &drill{TB: tb, provider: newProvider(tb)}
	d.db = backend(d.now)
	row := d.provider.row()
	d.must(d.db.PutEnvironment(tb.Context(), broker.Environment{Name: "prod", State: broker.Active}))
	d.must(d.db.PutServer(tb.Context(), broker.Server{Environment: "prod", Name: "files", State: broker.Active, Owner: "platform", URL: apiURL}))
	d.must(d.db.PutProvider(tb.Context(), row))
	origin, err := broker.OriginDigest(apiURL)
	d.must(err)
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for n := range grants {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			d.consent(broker.Grant{GrantKey: broker.GrantKey{Environment: "prod", Principal: broker.PrincipalID("https://issuer.example", strconv.Itoa(n)), Server: "files", Origin: origin},
				Provider: "acme", Authority: row.Authority(), Resource: apiURL, Scopes: []string{"read"}, Consented: d.now(), Expires: d.now().Add(time.Hour), Refreshes: true}, n)
		})
	}
	all.Wait()
	return d
}

func (d *drill) consent(g broker.Grant, n int) {
	set := credential.TokenSet{Access: secret.New(fmt.Sprintf("made-up-access-token-%06d", n)), Refresh: secret.New(fmt.Sprintf("made-up-refresh-token-%06d", n)), Expires: g.Expires}
	t, err := credential.SealTokens(d.Context(), plainseal.Sealer{}, g.GrantKey, set, g.Scopes)
	if err == nil {
		g.Sealed = t.Sealed
		err = d.db.BeginGrant(d.Context(), g, broker.Consent{At: g.Consented})
	}
	if err != nil {
		d.Errorf("consent %d: %v", n, err)
	}
	d.provider.mu.Lock()
	defer d.provider.mu.Unlock()
	d.provider.honoured[set.Access.Reveal()], d.provider.honoured[set.Refresh.Reveal()] = true, true
}

func (d *drill) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *drill) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Add(d.ahead).UTC()
}

func (d *drill) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ahead += by
}

func (d *drill) fresh() string { return ulid.MustNew(ulid.Timestamp(d.now()), rand.Reader).String() }

func (d *drill) cleanup() *handler.Handler {
	client := egress.New(egress.Policy{Loopback: true}).HTTP()
	known := &oauth.Known{Registered: d.db, Sealer: plainseal.Sealer{}, HTTP: func([]netip.Prefix) *http.Client { return client }, Now: d.now, Loopback: true,
		Secret: func(context.Context, broker.Provider, []broker.Store) (secret.Value, error) {
			return secret.Value{}, errors.New("there is none")
		}}
	return &handler.Handler{Parts: handler.Parts{Environment: "prod", Cases: d.db, Markers: d.db, Catalogue: d.db, Uses: d.db, Sessions: d.db, Grants: d.db, Scanner: d.db,
		Values: sealed.New(d.db, plainseal.Sealer{}, d.now), Sources: map[broker.SourceKind]broker.Source{}, Sealer: plainseal.Sealer{},
		Wrapped: session.New(d.db, plainseal.Sealer{}, "prod", d.now), Providers: &handler.Parties{Now: d.now, Find: handler.FindParty(known)},
		Journal: broker.NewJournal(d.db, rand.Text), Now: d.now, Fresh: d.fresh, Log: slog.New(slog.NewJSONHandler(&d.log, nil))}}
}

// run revokes everything and has the schedule go on until the case is done. It
// gives the time from the acknowledgement to the last token, without the pauses
// between passes.
func (d *drill) run() (broker.Revocation, time.Duration) {
	d.Helper()
	r := &revoke.Revoker{Environment: "prod", Markers: d.db, Reader: d.db, Cases: d.db, Journal: broker.NewJournal(d.db, rand.Text), Now: d.now}
	a, err := r.Revoke(d.Context(), revoke.Order{ID: d.fresh(), Kind: broker.EverythingMarker, Subject: "prod", By: "p-aaaaaaaaaaaaaaaaaaaaaaaaaa", Reason: "a drill of the tests"})
	d.must(err)
	began, last := time.Now(), time.Duration(0)
	for range 10 {
		if _, err := d.cleanup().Handle(d.Context(), json.RawMessage(`{"task":"continue"}`)); err != nil {
			d.Fatal(err)
		}
		c, err := d.db.Revocation(d.Context(), "prod", a.Case)
		d.must(err)
		if last == 0 && c.Tries > 0 {
			last = time.Since(began)
		}
		if c.Work == broker.WorkDone {
			return c, last
		}
		d.pass(2 * time.Minute)
	}
	d.Fatalf("it does not end: %s", d.log.String())
	return broker.Revocation{}, 0
}

// check holds what there is when all is over.
func (d *drill) check(c broker.Revocation, grants int) {
	d.Helper()
	d.provider.mu.Lock()
	defer d.provider.mu.Unlock()
	if c.Grants != (broker.Tally{Found: grants, Ended: grants}) || len(d.provider.honoured) > 0 || d.provider.asked != 2*grants || len(c.Unreached) > 0 {
		d.Errorf("%+v, %d tokens are honoured, the provider was asked %d times", c, len(d.provider.honoured), d.provider.asked)
	}
}

func inMemory(now func() time.Time) tables { return memory.New(now) }

// TestDrill is the drill at a size for every day.
func TestDrill(t *testing.T) {
	const grants = 500
	d := newDrill(t, inMemory, grants)
	c, _ := d.run()
	d.check(c, grants)
}

// BenchmarkDrill is the drill at the size that is asked for.
func BenchmarkDrill(b *testing.B) { measure(b, "in memory", inMemory) }

func measure(b *testing.B, where string, backend func(now func() time.Time) tables) {
	grants := 1000
	if n, err := strconv.Atoi(os.Getenv("BINDERY_DRILL_GRANTS")); err == nil {
		grants = n
	}
	for b.Loop() {
		b.StopTimer()
		d := newDrill(b, backend, grants)
		b.StartTimer()
		c, took := d.run()
		d.check(c, grants)
		fmt.Printf("drill: %d grants revoked, %d tokens at the provider, tables %s: %s (%.0f grants a second)\n",
			grants, 2*grants, where, took.Round(100*time.Millisecond), float64(grants)/took.Seconds())
	}
}
