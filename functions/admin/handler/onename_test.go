package handler

import (
	"context"
	"strings"
	"sync"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// TestASecretIsWrittenByOneName: whoever writes another is told which to write.
func TestASecretIsWrittenByOneName(t *testing.T) {
	const name, arn = "aws-sm:prod/notes", "aws-sm:arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/notes-AbCdEf"
	spelled := func(body, as string) string { return strings.ReplaceAll(body, name, as) }
	vault := `{"kind":"vault","paths":["kv/*"],"address":"https://vault.example.com","auth":{"method":"token","credential":"` + name + `#token"},"state":"active"}`
	provider := `{"issuer":"https://idp.example.com","registration":"preregistered","client_id":"bindery","client_auth":"client_secret_basic","client_secret":"` + name + `#secret","state":"active"}`
	for what, c := range map[string]step{
		"a card":               {"PUT", "/servers/notes/bindings/other", bindingBody, "If-None-Match", "*"},
		"a card, dry":          {"PUT", "/servers/notes/bindings/other?dry_run=true", bindingBody, "If-None-Match", "*"},
		"a rotation plan":      {"PUT", "/rotation-plans/other", plainPlan, "If-None-Match", "*"},
		"a provider's secret":  {"PUT", "/providers/other", provider, "If-None-Match", "*"},
		"a store's credential": {"PUT", "/stores/vault", vault, "If-None-Match", "*"},
		"a revocation":         {"POST", "/revocations", `{"kind":"reference","subject":"` + name + `","reason":"it leaked"}`, "", ""},
		"an incident":          {"POST", "/incidents", `{"reference":"` + name + `","reason":"it leaked"}`, "", ""},
		"an exposure":          {"GET", "/exposure/bindings?reference=" + name, "", "", ""},
		"a rotation of a card": {"POST", "/rotations", strings.Replace(repointBody, "aws-sm:prod/spare", name, 1), "", ""},
	} {
		for _, as := range []string{arn, strings.TrimSuffix(arn, "-AbCdEf"), name + "?stage=AWSCURRENT"} {
			t.Run(what+" "+as, func(t *testing.T) {
				f := newFixture(t)
				f.seed(t)
				var header []string
				if c.condition != "" {
					header = []string{c.condition, c.version}
				}
				a := f.call(t, "root", c.method, spelled(c.path, as), spelled(c.body, as), header...).want(t, 422, "invalid")
				detail, _ := a.body["detail"].(string)
				if !strings.Contains(detail, "write the secret's name") && !strings.Contains(detail, "leave it out") {
					t.Errorf("nobody is told what to write: %q", detail)
				}
				if strings.Contains(a.Body.String(), "111122223333") {
					t.Errorf("the answer repeats the reference: %s", a.Body)
				}
			})
		}
	}
}

// TestPathsAreOfNamesOnly: a pattern of ARNs would match nothing.
func TestPathsAreOfNamesOnly(t *testing.T) {
	const arn = `"arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/*"`
	f := newFixture(t)
	f.seed(t)
	for path, body := range map[string]string{
		"/stores/other":              strings.Replace(storeBody, `"prod/*"`, arn, 1),
		"/stores/other?dry_run=true": strings.Replace(storeBody, `"prod/*"`, arn, 1),
		"/assignments/other":         assignmentOf(arn, `"team-notes"`, ``),
	} {
		a := f.call(t, "root", "PUT", path, body, "If-None-Match", "*").want(t, 422, "invalid")
		if detail, _ := a.body["detail"].(string); !strings.Contains(detail, "write the secret's name") {
			t.Errorf("%s: nobody is told what to write: %q", path, detail)
		}
	}
}

// meeting lets writers of plans go on when both have come.
type meeting struct {
	*memory.DB
	both sync.WaitGroup
}

func (m *meeting) PutRotationPlan(ctx context.Context, p broker.RotationPlan) error {
	m.both.Done()
	m.both.Wait()
	return m.DB.PutRotationPlan(ctx, p)
}

// TestOfTwoPlansPutAtOnceOneIsPut, though neither sees the other when it looks.
func TestOfTwoPlansPutAtOnceOneIsPut(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	m := &meeting{DB: f.tables}
	m.both.Add(2)
	f.plans = m
	codes := make([]int, 2)
	var all sync.WaitGroup
	for i, name := range []string{"first", "second"} {
		all.Go(func() {
			codes[i] = f.call(t, "admin", "PUT", "/rotation-plans/"+name, plainPlan, "If-None-Match", "*").Code
		})
	}
	all.Wait()
	plans, err := f.tables.RotationPlans(t.Context(), "prod", broker.Page{Limit: 3})
	if err != nil || len(plans) != 1 {
		t.Errorf("%d plans for one secret, %v", len(plans), err)
	}
	if codes[0]+codes[1] != 200+412 {
		t.Errorf("answered %v, want 200 and 412", codes)
	}
	f.plans = f.tables
	f.call(t, "admin", "PUT", "/rotation-plans/third", plainPlan, "If-None-Match", "*").want(t, 422, "invalid")
}
