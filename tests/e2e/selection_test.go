//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
)

// carried requires that the latest request to the upstream carried a credential.
func (u *upstream) carried(t *testing.T, credential string) {
	t.Helper()
	if u.last(t).Header.Get("Authorization") != "Bearer "+credential {
		t.Error("the upstream got another credential than the one that is bound")
	}
}

func TestGroupsHaveTheirOwnCredentialForOneServer(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.server("notes", u.URL)
	dev, devReference := d.secret("dev")
	ops, opsReference := d.secret("ops")
	d.bind(d.card("notes", "dev-notes", group("dev"), devReference))
	d.bind(d.card("notes", "ops-notes", group("ops"), opsReference))

	for who, want := range map[string]struct{ binding, key string }{alice: {"dev-notes", dev}, bob: {"ops-notes", ops}} {
		a := d.post(who, "notes")
		a.want(t, http.StatusOK, "[masked:"+want.binding+"]")
		u.carried(t, want.key)
		if r := d.ended(a, ""); r.Binding != want.binding {
			t.Errorf("recorded binding %s for %s", r.Binding, who)
		}
	}

	// carol is in both groups: neither credential is hers more than the other.
	before := len(u.arrivals())
	a := d.post(carol, "notes")
	a.want(t, http.StatusForbidden, forbidden)
	if r := d.refused(a, broker.BindingTie); len(r.Candidates) != 2 {
		t.Errorf("candidates %v", r.Candidates)
	}
	if len(u.arrivals()) != before {
		t.Error("a tie was decided all the same")
	}
	d.post(carol, "notes", naming("ops-notes")).want(t, http.StatusOK, "[masked:ops-notes]")
	u.carried(t, ops)
	d.post(carol, "notes", naming("dev-notes")).want(t, http.StatusOK, "[masked:dev-notes]")
	u.carried(t, dev)
}

func TestOneCredentialServesTwoGroups(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.server("notes", u.URL)
	key, reference := d.secret("both")
	d.bind(d.card("notes", "dev-notes", group("dev"), reference))
	d.bind(d.card("notes", "ops-notes", group("ops"), reference))
	for who, binding := range map[string]string{alice: "dev-notes", bob: "ops-notes"} {
		a := d.post(who, "notes")
		a.want(t, http.StatusOK, "[masked:"+binding+"]")
		u.carried(t, key)
		r := d.ended(a, "")
		if r.Binding != binding || r.Principal != person(who).Principal || r.References[0] != "token="+reference {
			t.Errorf("record %+v", r)
		}
	}
}

func TestACallerMayNameOneOfTheirOwnBindingsAndNoOther(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.server("notes", u.URL)
	work, workReference := d.secret("work")
	spare, spareReference := d.secret("spare")
	team, teamReference := d.secret("team")
	_, bobReference := d.secret("bob")
	d.bind(d.card("notes", "alice-work", person(alice), workReference))
	low := d.bind(d.card("notes", "alice-spare", person(alice), spareReference))
	d.bind(d.card("notes", "dev-notes", group("dev"), teamReference))
	d.bind(d.card("notes", "bob-notes", person(bob), bobReference))

	d.refused(d.post(alice, "notes"), broker.BindingTie)
	for binding, key := range map[string]string{"alice-work": work, "alice-spare": spare, "dev-notes": team} {
		d.post(alice, "notes", naming(binding)).want(t, http.StatusOK, "[masked:"+binding+"]")
		u.carried(t, key)
	}
	for _, name := range []string{"bob-notes", "no-such-binding", "../alice-work", "ALICE-WORK"} {
		a := d.post(alice, "notes", naming(name))
		a.want(t, http.StatusForbidden, forbidden)
		d.refused(a, broker.NotOwnBinding)
	}

	d.bind(low, func(b *broker.Binding) { b.Priority = 1 })
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:alice-spare]")
	u.carried(t, spare)
}

// TestADeadCredentialNeverFallsBackToAnother: a wider binding with a working
// credential always stands beside the one that is missing or dead.
func TestADeadCredentialNeverFallsBackToAnother(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		status int
		code   string
		reason broker.Reason
		kill   func(*deployment, broker.Binding)
	}{
		"the secret is deleted": {http.StatusBadGateway, credentialFailed, broker.SecretMissing, func(d *deployment, _ broker.Binding) {
			d.deleteSecret(&secretsmanager.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)})
		}},
		"the secret is marked for deletion": {http.StatusBadGateway, credentialFailed, broker.SecretMissing, func(d *deployment, _ broker.Binding) {
			d.deleteSecret(&secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7)})
		}},
		"the member is gone": {http.StatusBadGateway, credentialFailed, broker.SecretMissing, func(d *deployment, _ broker.Binding) {
			d.rotate("own", object("other", d.canary()))
		}},
		"the value became too short to mask": {http.StatusBadGateway, credentialFailed, broker.SecretMalformed, func(d *deployment, _ broker.Binding) {
			d.rotate("own", object("token", "short"))
		}},
		"the binding is suspended": {http.StatusForbidden, forbidden, broker.BindingClosed, func(d *deployment, b broker.Binding) {
			d.bind(b, func(b *broker.Binding) { b.State = broker.Suspended })
		}},
		"the binding is revoked": {http.StatusForbidden, forbidden, broker.BindingClosed, func(d *deployment, b broker.Binding) {
			d.bind(b, func(b *broker.Binding) { b.State = broker.Revoked })
		}},
		"the binding has expired": {http.StatusForbidden, forbidden, broker.BindingExpired, func(d *deployment, b broker.Binding) {
			d.bind(b, func(b *broker.Binding) { b.Expires = time.Now().Add(-time.Second) })
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			u := d.upstream(echo())
			d.simple(u)
			_, reference := d.secret("own")
			own := d.bind(d.card("notes", "alice-own", person(alice), reference))
			d.post(alice, "notes").want(t, http.StatusOK, "[masked:alice-own]")
			c.kill(d, own)
			for _, change := range []func(*http.Request){func(*http.Request) {}, naming("alice-own")} {
				a := d.post(alice, "notes", change)
				a.want(t, c.status, c.code)
				var r broker.Record
				if c.status == http.StatusForbidden {
					r = d.refused(a, c.reason)
				} else {
					r = d.ended(a, c.reason)
				}
				if len(r.Candidates) != 2 || r.Candidates[0].Binding != "alice-own" {
					t.Errorf("candidates %v", r.Candidates)
				}
			}
			if n := len(u.arrivals()); n != 1 {
				t.Errorf("the upstream got %d requests, want the first alone", n)
			}
		})
	}
}

// deleteSecret deletes the secret "own".
func (d *deployment) deleteSecret(in *secretsmanager.DeleteSecretInput) {
	d.t.Helper()
	in.SecretId = aws.String(d.env + "/own")
	_, err := d.Secrets.DeleteSecret(d.t.Context(), in)
	must(d.t, err)
}

// rotate puts a new version of a secret.
func (d *deployment) rotate(name, value string) {
	d.t.Helper()
	_, err := d.Secrets.PutSecretValue(d.t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(d.env + "/" + name), SecretString: aws.String(value)})
	must(d.t, err)
}

// TestARotatedSecretIsUsedByTheNextCall: nothing is told to Bindery, and an
// upstream that still shows the version before shows it to nobody.
func TestARotatedSecretIsUsedByTheNextCall(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	previous := ""
	u := d.upstream(func(w http.ResponseWriter, r *http.Request) { echo("cached", previous)(w, r) })
	current := d.simple(u)
	for range 3 { // so that whatever is remembered between calls is remembered
		d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
		u.carried(t, current)
	}
	versions := map[string]bool{d.ended(d.post(alice, "notes"), "").Accesses[0].Version: true}
	for range 3 { // an emulator allows what Secrets Manager wants at most every ten minutes
		previous, current = current, d.canary()
		d.rotate("notes", object("token", current))
		a := d.post(alice, "notes")
		a.want(t, http.StatusOK, `"cached":"[masked:dev-notes]"`)
		u.carried(t, current)
		r := d.ended(a, "")
		if r.Masked != 2 || versions[r.Accesses[0].Version] {
			t.Errorf("%d masked, version %s, after %v", r.Masked, r.Accesses[0].Version, versions)
		}
		versions[r.Accesses[0].Version] = true
		d.post(alice, "notes").want(t, http.StatusOK, `"cached":"[masked:dev-notes]"`)
	}
}

// TestCallsSideBySideNeverMixTheirCredentials. It has the machine to itself, so
// that each of its calls is answered within the limits of the hot path.
func TestCallsSideBySideNeverMixTheirCredentials(t *testing.T) {
	d := deploy(t)
	u := d.upstream(echo())
	d.server("notes", u.URL)
	keys := map[string]string{}
	for _, who := range []string{alice, bob, carol} {
		key, reference := d.secret(who)
		keys[who+"@example.com"] = "Bearer " + key
		d.bind(d.card("notes", who+"-notes", person(who), reference))
	}
	var all sync.WaitGroup
	for _, who := range []string{alice, bob, carol, alice, bob, carol} {
		request := d.request(who, "notes", modern, toolCall(modern))
		all.Go(func() {
			for range 8 {
				again := request.Clone(t.Context())
				again.Body, _ = request.GetBody()
				if a := d.send(again); a.status != http.StatusOK || !strings.Contains(a.body, who+"@example.com") || !strings.Contains(a.body, "[masked:"+who+"-notes]") {
					t.Errorf("%s was answered %d %s", who, a.status, a.body)
				}
			}
		})
	}
	all.Wait()
	for _, a := range u.arrivals() {
		if a.Header.Get("Authorization") != keys[a.Header.Get("X-User-Email")] {
			t.Errorf("a request for %s carried another person's credential", a.Header.Get("X-User-Email"))
		}
	}
	if n := len(u.arrivals()); n != 48 {
		t.Errorf("%d requests reached the upstream", n)
	}
}
