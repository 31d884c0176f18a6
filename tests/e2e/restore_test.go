//go:build e2e && !nonode

package e2e

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/revoke"
	joined "bindery/shared/wire"
)

// rehearsal is a deployment of which tables are lost and refilled, as
// docs/backup.md has it.
type rehearsal struct {
	*desk
	program  string     // the compiled one
	copied   time.Time  // when the older copies were made
	endpoint *restorers // of the program alone
}

func rehearse(t *testing.T) *rehearsal {
	t.Helper()
	program := filepath.Join(t.TempDir(), "restore")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./infra/restore")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := &rehearsal{desk: administered(t), program: program}
	r.endpoint = newRestorers(t, shared.moto.URL, r.env, r.prefix())
	return r
}

// prefix is what the names of the deployment's tables begin with.
func (r *rehearsal) prefix() string {
	return strings.TrimSuffix(r.Config.Tables.Catalogue, "catalogue")
}

const copies = "copy-"

// back restores tables to a point in time, under other names.
func (r *rehearsal) back(tables ...string) {
	r.t.Helper()
	for _, name := range tables {
		_, err := r.direct.RestoreTableToPointInTime(r.t.Context(), &dynamodb.RestoreTableToPointInTimeInput{
			SourceTableName: aws.String(r.prefix() + name), TargetTableName: aws.String(copies + r.prefix() + name), UseLatestRestorableTime: aws.Bool(true)})
		must(r.t, err)
	}
}

// lose deletes tables and makes them anew, empty.
func (r *rehearsal) lose(tables ...string) {
	r.t.Helper()
	for _, name := range tables {
		_, err := r.direct.DeleteTable(r.t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String(r.prefix() + name)})
		must(r.t, err)
	}
	must(r.t, dynamo.Create(r.t.Context(), r.direct, joined.TableNames(r.Config.Tables)))
}

// restore runs the program.
func (r *rehearsal) restore(args ...string) (string, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, r.program, append([]string{"-environment", r.env, "-to", r.prefix(), "-from", copies + r.prefix()}, args...)...)
	run.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+r.endpoint.URL, "AWS_REGION="+stack.Region, "AWS_ACCESS_KEY_ID="+restorer, "AWS_SECRET_ACCESS_KEY=local", "AWS_EC2_METADATA_DISABLED=true")
	out, err := run.CombinedOutput()
	r.t.Logf("restore %s\n%s", strings.Join(args, " "), out)
	return string(out), err
}

// order invokes the revocation function, as an operator does.
func (r *rehearsal) order(request revoke.Request) revoke.Acknowledgement {
	r.t.Helper()
	h, err := r.Revocation(slog.New(slog.DiscardHandler))
	must(r.t, err)
	text, err := json.Marshal(request)
	must(r.t, err)
	answer, err := h.Invoke(r.t.Context(), text)
	must(r.t, err)
	var a revoke.Answer
	must(r.t, json.Unmarshal(answer, &a))
	if a.Acknowledged == nil {
		r.t.Fatalf("the revocation function answers %s", answer)
	}
	return *a.Acknowledged
}

func (r *rehearsal) stop(kind broker.MarkerKind, subject string) revoke.Acknowledgement {
	return r.order(revoke.Request{Revoke: &revoke.Order{Kind: kind, Subject: subject, By: "operator/on-call", Reason: "the rehearsal of a restore"}})
}

func (r *rehearsal) lift(a revoke.Acknowledgement) {
	r.order(revoke.Request{Lift: &revoke.Lifting{Case: a.Case, By: "operator/on-call", Reason: "looked at"}})
}

func said(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), line) {
			t.Errorf("the program does not say %q", line)
		}
	}
}

func (r *rehearsal) grant(who string) broker.GrantKey {
	k := broker.GrantKey{Environment: r.env, Principal: broker.PrincipalID(shared.oidc.URL, who), Server: "notes", Origin: broker.Digest("origin")}
	now := time.Now()
	must(r.t, r.DB.BeginGrant(r.t.Context(), broker.Grant{GrantKey: k, State: broker.Active, Provider: "acme", Consented: now, Until: now.Add(time.Hour),
		Sealed: []byte("sealed"), Expires: now.Add(time.Hour)}, broker.Consent{At: now}))
	return k
}

// pastAndFuture registers what is in the copies, makes them, and goes on living.
func (r *rehearsal) pastAndFuture() (bobsCase revoke.Acknowledgement) {
	t, u := r.t, r.upstream(echo())
	registered(t, u, r.desk)
	card := func(name string, priority int) (string, string) {
		return "/servers/notes/bindings/" + name, body(sealedCard(), "actor", map[string]string{"group": "ops"}, "priority", priority)
	}
	for i, name := range []string{"suspended-since", "deleted-since", "untouched"} {
		r.made(card(name, i+1))
	}
	r.ask(bob, "PUT", "/values/other", object("server", "notes", "value", r.canary())).want(t, 200, "sealed:other")
	r.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
	r.post(bob, "notes").want(t, 200, "[masked:untouched]")
	r.grant(alice)
	r.grant(bob)
	r.copied = time.Now()
	r.back("catalogue", "grants")

	path, text := card("suspended-since", 1)
	r.changed(path, strings.Replace(text, `"state":"active"`, `"state":"suspended"`, 1), 1)
	path, _ = card("deleted-since", 2)
	r.ask(bob, "DELETE", path, "", "If-Match", `"v1"`).want(t, 204, "")
	r.made(card("made-since", 9))
	r.ask(bob, "PUT", "/values/other", object("server", "notes", "value", r.canary())).want(t, 200, `"version":2`)
	return r.stop(broker.PrincipalMarker, broker.PrincipalID(shared.oidc.URL, bob))
}

// TestARestoreBringsNothingBackThatWasStopped: tables are lost, and refilled from
// copies that are older than a revocation, a suspension, a deletion and another
// value.
func TestARestoreBringsNothingBackThatWasStopped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lost, late []string // late: copied after all that happened
		args       []string
	}{
		"the audit is there": {lost: []string{"catalogue", "revocations", "grants"}, late: []string{"revocations"}, args: []string{"-tables", "catalogue,revocations,grants"}},
		"markers are lost":   {lost: []string{"catalogue", "revocations", "grants"}, args: []string{"-tables", "catalogue,grants"}},
		"everything is lost": {lost: []string{"catalogue", "revocations", "grants", "audit"}, late: []string{"revocations", "audit"}, args: []string{"-tables", "catalogue,revocations,grants,audit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rehearse(t)
			bobs := r.pastAndFuture()
			r.back(c.late...)
			before := r.audited()
			r.lose(c.lost...)
			r.restored(c.args, before, bobs)
		})
	}
}

// restored goes through the procedure and looks at what it led to.
func (r *rehearsal) restored(args []string, before int, bobs revoke.Acknowledgement) {
	t := r.t
	plan, err := r.restore(args...) // what was changed within a minute of the copies counts as changed after them
	must(t, err)
	said(t, plan, "closed value/notes: empty", "nothing was written")
	args = append(args, "-write", "-since", r.copied.Format(time.RFC3339Nano))
	if _, err := r.restore(args...); err == nil {
		t.Fatal("it writes while calls are decided")
	}
	stopped := r.stop(broker.EnvironmentMarker, r.env)
	for _, late := range []time.Duration{0, time.Hour} { // what was stopped before would come back
		if out, err := r.restore(args[0], args[1], "-write", "-since", time.Now().Add(late).Format(time.RFC3339Nano)); err == nil || !strings.Contains(out, "-since is") {
			t.Fatal("it takes a time that is later than the copies")
		}
	}
	if out, err := r.restore(args[0], args[1], "-since", "2020-01-01T00:00:00Z"); err == nil || !strings.Contains(out, "the audit records begin after") {
		t.Fatal("it takes copies that are older than all that is known of what was stopped")
	}
	r.endpoint.breaksAfter(30) // in the middle of a table
	if _, err := r.restore(args...); err == nil {
		t.Fatal("it does not notice that it is refused")
	}
	out, err := r.restore(args...) // tells, too, what the one before has put
	must(t, err)
	if strings.Contains(out, "value/notes") || strings.Contains(out, "untouched") || strings.Contains(out, "server/") {
		t.Error("what was not changed since comes back closed")
	}
	said(t, out, "closed binding/notes/suspended-since: suspended", "closed binding/notes/deleted-since: deleted", "closed value/other: empty", "left out grant/"+bobs.Subject+"/notes")
	again, err := r.restore(args...)
	must(t, err)
	if said(t, again, " 0 missing and put"); strings.Contains(again, "revoked ") || strings.Count(again, " 0 missing and put") != len(strings.Split(args[1], ",")) {
		t.Error("the second time something is still missing")
	}
	r.another() // processes that know nothing of before
	r.post(alice, "notes").want(t, 403, forbidden)
	r.lift(stopped)
	r.post(alice, "notes").want(t, 200, "[masked:dev-notes]")

	refusal := r.post(bob, "notes")
	refusal.want(t, 403, forbidden)
	r.refused(refusal, broker.PrincipalRevoked)
	r.cards(bobs)
	r.kept(before, bobs)
}

// cards looks at what administrators find.
func (r *rehearsal) cards(bobs revoke.Acknowledgement) {
	t := r.t
	const cards = "/servers/notes/bindings/"
	r.ask(carol, "GET", cards+"untouched", "").want(t, 200, `"version":1`)
	r.ask(carol, "GET", cards+"suspended-since", "").want(t, 200, `"version":2`)
	r.ask(carol, "GET", cards+"deleted-since", "").want(t, 404, "")
	r.ask(carol, "GET", cards+"made-since", "").want(t, 404, "")
	// A card that came back closed is an administrator's to open, under a version it never had.
	r.ask(carol, "PUT", cards+"suspended-since", body(sealedCard()), "If-Match", `"v2"`).want(t, 200, `"version":3`)
	r.ask(carol, "PUT", "/values/other", object("server", "notes", "value", r.canary())).want(t, 200, `"version":3`)
	r.ask(carol, "GET", "/revocations/"+bobs.Case, "").want(t, 200, `"open"`)
	_, err := r.DB.Grant(t.Context(), broker.GrantKey{Environment: r.env, Principal: bobs.Subject, Server: "notes", Origin: broker.Digest("origin")})
	if err == nil {
		t.Error("a grant that was revoked since came back")
	}
	_, err = r.DB.Grant(t.Context(), broker.GrantKey{Environment: r.env, Principal: broker.PrincipalID(shared.oidc.URL, alice), Server: "notes", Origin: broker.Digest("origin")})
	must(t, err)
}

// kept looks at the audit: nothing of it is lost, it goes on, and the revocation
// was not told twice. And the program did no more than its policy lets it.
func (r *rehearsal) kept(before int, bobs revoke.Acknowledgement) {
	t := r.t
	if after := r.audited(); after < before {
		t.Errorf("%d records, and there were %d", after, before)
	}
	told := 0
	for page, of := (dynamo.ScanPage{}), (dynamo.Segment{Segments: 1}); ; of.After = page.Next {
		var err error
		page, err = r.DB.ScanRecords(t.Context(), of, 500)
		must(t, err)
		for _, record := range page.Records {
			if record.Method == string(broker.RevocationAcknowledged) && record.Object == "principal/"+bobs.Subject {
				told++
			}
		}
		if page.Next == nil {
			break
		}
	}
	if told != 1 {
		t.Errorf("the revocation was told %d times", told)
	}
	r.endpoint.held(t)
}
