package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/infra/local/stack"
)

// The pilot's own store, server and card, beside those of the one call.
const (
	pilotName = "pilot"
	pilotCard = "alice-pilot"
)

// pilot is the life of one credential: an administrator connects a store and
// binds a secret of it, alice calls, the secret is rotated, alice calls, her card
// is revoked, and she is refused. An auditor reads what is recorded of all of it.
type pilot struct {
	*story
	*world
	admin    *desk
	auditor  *desk
	alice    *stack.Caller
	receipts []string // of what happened, in order
	keys     []string // that the secret had, the present one last
}

func (w *world) pilot(ctx context.Context) (*story, error) {
	p := &pilot{story: &story{}, world: w}
	token, err := w.issuer.Token(stack.Alice)
	if err != nil {
		return nil, err
	}
	p.alice = &stack.Caller{Token: token}
	if p.admin, err = w.desk(stack.Admin); err != nil {
		return nil, err
	}
	if p.auditor, err = w.desk("auditor"); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{p.connect, p.bind, p.call, p.rotate, p.call, p.revoke, p.refused, p.audit} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("the pilot: %w", err)
		}
	}
	return p.story, nil
}

// connect registers a store of the secrets under one path, and the server that
// takes one of them.
func (p *pilot) connect(ctx context.Context) error {
	path := p.name + "/" + pilotName
	if err := p.deployment.PutSecret(ctx, path+"/key", stack.RandomSecret("key-of-the-pilot-")); err != nil {
		return err
	}
	if err := p.admin.ask(ctx, http.MethodPut, "stores/"+pilotName, map[string]any{"kind": "aws-sm", "paths": []string{path + "/*"}, "state": "active"}, nil); err != nil {
		return err
	}
	p.receipts = append(p.receipts, p.admin.last())
	var checked struct{ Connected bool }
	if err := p.admin.ask(ctx, http.MethodPost, "stores/"+pilotName+"/check", nil, &checked); err != nil {
		return err
	}
	p.require(checked.Connected, "the store is not connected")
	p.tell("connect a store", "%q reads Secrets Manager under %s/*: connected %t", pilotName, path, checked.Connected)
	server := map[string]any{"owner": "platform", "url": p.notesURL, "state": "active",
		"attach": []map[string]string{{"in": "header", "name": "Authorization", "template": "Bearer {token}"}}}
	return p.admin.ask(ctx, http.MethodPut, "servers/"+pilotName, server, nil)
}

func (p *pilot) bind(ctx context.Context) error {
	var alice struct{ Principal string }
	who := map[string]any{"issuer": stack.DemoIssuerName, "claims": []string{"user-" + stack.Alice}}
	if err := p.admin.ask(ctx, http.MethodPost, "principals/lookup", who, &alice); err != nil {
		return err
	}
	card := map[string]any{"actor": map[string]string{"principal": alice.Principal}, "allow": map[string]any{"tools": []string{"whoami"}},
		"mode": "service_account", "source": "static", "owner": "platform", "state": "active",
		"fields": []map[string]string{{"name": "token", "reference": p.reference()}}}
	if err := p.admin.ask(ctx, http.MethodPut, "servers/"+pilotName+"/bindings/"+pilotCard, card, nil); err != nil {
		return err
	}
	p.receipts = append(p.receipts, p.admin.last())
	p.tell("bind", "%s: %s may use the tool whoami of %q with %s", pilotCard, stack.Alice, pilotName, p.reference())
	return nil
}

func (p *pilot) reference() string { return pilotName + ":" + p.name + "/" + pilotName + "/key" }

// call calls as alice. The upstream gets the present key, and she sees none.
func (p *pilot) call(ctx context.Context) error {
	name, current := p.name+"/"+pilotName+"/key", "AWSCURRENT"
	stored, err := p.deployment.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &current})
	if err != nil {
		return fmt.Errorf("look at the secret: %w", err)
	}
	p.require(!slices.Contains(p.keys, *stored.SecretString), "the secret has the value that it had")
	p.keys = append(p.keys, *stored.SecretString)
	answer, _, err := callTool(ctx, p.alice, p.endpoint(pilotName), "whoami")
	if err != nil {
		return err
	}
	p.receipts = append(p.receipts, p.alice.LastReceipt())
	got, _ := p.notes.Last()
	p.require(got.Get("Authorization") == "Bearer "+*stored.SecretString, "the upstream did not get the present key")
	p.require(strings.Contains(answer, "[masked:"+pilotCard+"]"), "alice's answer is not masked")
	p.require(!slices.ContainsFunc(p.keys, func(key string) bool { return strings.Contains(answer, key) }), "alice saw a key")
	p.tell("call", "upstream saw Bearer %s…, and %s [masked:%s]", fingerprint(*stored.SecretString), stack.Alice, pilotCard)
	return nil
}

// rotate has an administrator plan how the secret is rotated, and ask for it. Then
// the new value is made, staged, tried at the upstream, and only then in use.
func (p *pilot) rotate(ctx context.Context) error {
	plan := map[string]any{"reference": p.reference(), "maker": "random", "random": map[string]int{"length": 32}, "every_seconds": 0, "grace_seconds": 3600,
		"server": pilotName, "binding": pilotCard, "owner": "platform", "state": "active"}
	if err := p.admin.ask(ctx, http.MethodPut, "rotation-plans/"+pilotName, plan, nil); err != nil {
		return err
	}
	began := time.Now()
	var run struct{ ID, Step, Reason string }
	if err := p.admin.ask(ctx, http.MethodPost, "rotations", map[string]string{"plan": pilotName}, &run); err != nil {
		return err
	}
	p.receipts = append(p.receipts, p.admin.last())
	for under := true; under; under = run.Step == "ordered" || run.Step == "staged" || run.Step == "probed" {
		if time.Since(began) > time.Minute {
			return errors.New("the rotation takes longer than a minute")
		}
		time.Sleep(200 * time.Millisecond)
		if err := p.admin.ask(ctx, http.MethodGet, "rotations/"+run.ID, nil, &run); err != nil {
			return err
		}
	}
	p.require(run.Step == "promoted", "the rotation is "+run.Step+": "+run.Reason)
	p.tell("rotate", "a new value was made, staged, tried at the upstream and %s in %.1f s; nobody was told", run.Step, time.Since(began).Seconds())
	return nil
}

// revoke has an administrator revoke the card.
func (p *pilot) revoke(ctx context.Context) error {
	began := time.Now()
	order := map[string]string{"kind": "binding", "subject": pilotName + "/" + pilotCard, "reason": "the pilot is over"}
	var stopped struct{ Revoked, Recorded bool }
	if err := p.admin.ask(ctx, http.MethodPost, "revocations", order, &stopped); err != nil {
		return err
	}
	took := time.Since(began)
	p.receipts = append(p.receipts, p.admin.last())
	p.require(stopped.Revoked && stopped.Recorded, "the revocation is not acknowledged")
	p.tell("revoke", "the card: acknowledged after %.1f ms", float64(took.Microseconds())/1000)
	return nil
}

// refused calls as alice, whose call must not get to the upstream.
func (p *pilot) refused(ctx context.Context) error {
	_, before := p.notes.Last()
	began := time.Now()
	_, _, err := callTool(ctx, p.alice, p.endpoint(pilotName), "whoami")
	took := time.Since(began)
	p.receipts = append(p.receipts, p.alice.LastReceipt())
	_, after := p.notes.Last()
	p.require(err != nil, "alice was not refused")
	p.require(before == after, "a call that is refused reached the upstream")
	p.tell("a refused call", "403 after %.1f ms, and the upstream saw nothing", float64(took.Microseconds())/1000)
	return nil
}

// record is what the story needs of one.
type record struct {
	Phase, Method, Target, Principal, Object, Reason string
	Status, Masked                                   int
	Accesses                                         []struct{ Version string }
}

// audit reads the records of all that happened, as an auditor.
func (p *pilot) audit(ctx context.Context) error {
	for i, receipt := range p.receipts {
		r, why, err := p.read(ctx, receipt)
		if err != nil {
			return err
		}
		label := ""
		if i == 0 {
			label = "the audit of it"
		}
		line := fmt.Sprintf("%s %s by %.10s…: %d", r.Method, cmp.Or(r.Object, r.Target, "of "+pilotName), r.Principal, r.Status)
		for _, a := range r.Accesses {
			line += fmt.Sprintf(", with version …%s, %d masked", a.Version[max(0, len(a.Version)-8):], r.Masked)
		}
		if r.Reason != "" {
			line += ", " + r.Reason
			p.require(i == len(p.receipts)-1, "the record of "+r.Method+" says "+why)
		}
		p.tell(label, "%s", line)
	}
	return nil
}

// read waits for the last record of a receipt: that of a streamed answer may
// come after it.
func (p *pilot) read(ctx context.Context, receipt string) (last record, why string, err error) {
	if _, err := p.deployment.Audit(ctx, receipt); err != nil {
		return record{}, "", err
	}
	var found struct {
		Explanation string
		Records     []record
	}
	if err := p.auditor.ask(ctx, http.MethodGet, "audit/"+receipt, nil, &found); err != nil {
		return record{}, "", err
	}
	return found.Records[len(found.Records)-1], found.Explanation, nil
}
