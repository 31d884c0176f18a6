//go:build e2e && !nonode

package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/policy"
)

const (
	approvalRequired = `"code":14036`

	notToProduction = `@id("not-to-production")
forbid (principal, action == Action::"call_tool", resource) when { context.arguments has to && context.arguments.to == "production" };
`
	noDeletes = `@id("no-deletes")
forbid (principal, action == Action::"call_tool", resource) when { context.tool like "delete_*" };
`
	fourEyes = `@id("four-eyes") @demand("approval")
forbid (principal, action == Action::"call_tool", resource) when { context.tool == "merge" };
`
	notInShadow = `@id("nobody-at-all")
forbid (principal, action, resource);
`
)

// set stores a set of policies and gives its id; no text is no set.
func (d *deployment) set(text string) string {
	d.t.Helper()
	if text == "" {
		return ""
	}
	id := policy.DocumentID(text, "")
	must(d.t, d.DB.AddPolicySet(d.t.Context(), broker.PolicySet{Environment: d.env, ID: id, Text: text, At: time.Now(), By: "test"}))
	return id
}

// govern puts one set into force and another into shadow.
func (d *deployment) govern(inForce, shadow string) {
	d.t.Helper()
	e, err := d.DB.Environment(d.t.Context(), d.env)
	must(d.t, err)
	e.Policies, e.Shadow = inForce, shadow
	must(d.t, d.DB.PutEnvironment(d.t.Context(), e))
}

// tool calls a tool with arguments, in an era, and gives the body that was sent.
func (d *deployment) tool(account, era, name, arguments string) (answer, string) {
	d.t.Helper()
	body := strings.Replace(toolCall(era), `"name":"whoami","arguments":{}`, `"name":"`+name+`", "arguments" : `+arguments+` `, 1)
	r := d.request(account, "notes", era, body)
	if era == modern {
		r.Header.Set("Mcp-Name", name)
	}
	return d.send(r), body
}

// TestAPolicyDecidesByArguments, in both eras, on the very bytes that reach the
// upstream; the records say which policy decided, and never hold an argument.
func TestAPolicyDecidesByArguments(t *testing.T) {
	t.Parallel()
	d, u := warmed(t)
	id, shadow := d.set(notToProduction+noDeletes+fourEyes), d.set(notInShadow)
	d.govern(id, shadow)
	would := &broker.Shadowed{Set: shadow, Effect: broker.WouldForbid, Policies: []string{"nobody-at-all"}}
	private := `"note":` + strings.TrimSuffix(strings.TrimPrefix(object("n", d.canary()), `{"n":`), "}")
	for _, era := range []string{legacy, modern} {
		a, body := d.tool(alice, era, "deploy", `{"to":"test",`+private+`}`)
		a.want(t, http.StatusOK, "[masked:dev-notes]")
		if got := u.last(t).body; got != body {
			t.Errorf("%s: the upstream got another body", era)
		}
		for _, r := range d.records(a) {
			if diff := cmp.Diff(would, r.Shadow); diff != "" || r.Policy != id || r.Policies != nil {
				t.Errorf("%s, %s: policy %s %v (-want +got):\n%s", era, r.Phase, r.Policy, r.Policies, diff)
			}
		}
		d.ended(a, "")

		reached := len(u.arrivals())
		for _, c := range []struct {
			tool, arguments, code string
			reason                broker.Reason
			policies              []string
		}{
			{"deploy", `{"to":"production",` + private + `}`, forbidden, broker.PolicyForbids, []string{"not-to-production"}},
			{"deploy", `{"to":"pro\u0064uction",` + private + `}`, forbidden, broker.PolicyForbids, []string{"not-to-production"}},
			{"deploy", `["production"]`, forbidden, broker.PolicyForbids, []string{"not-to-production"}},
			{"delete_all", `{"to":"production"}`, forbidden, broker.PolicyForbids, []string{"no-deletes", "not-to-production"}},
			{"merge", `{}`, approvalRequired, broker.ApprovalRequired, []string{"four-eyes"}},
		} {
			a, _ := d.tool(alice, era, c.tool, c.arguments)
			a.want(t, http.StatusForbidden, c.code)
			r := d.refused(a, c.reason)
			if r.Policy != id || !slices.Equal(r.Policies, c.policies) || r.Binding != "dev-notes" || !cmp.Equal(r.Shadow, would) {
				t.Errorf("%s %s: recorded %+v", era, c.tool, r)
			}
			for _, secret := range []string{id, c.policies[0]} {
				if strings.Contains(a.body, secret) {
					t.Errorf("%s %s: the caller was told %s", era, c.tool, a.body)
				}
			}
		}
		if n := len(u.arrivals()); n != reached {
			t.Errorf("%s: %d refused calls reached the upstream", era, n-reached)
		}
	}
	if n := d.faults.Count("GetSecretValue"); n > 2*3 { // two values, current and before, for each call that was made
		t.Errorf("%d secrets were read", n)
	}
}

// TestAListShowsNothingThatPoliciesForbid whatever the arguments; what some
// arguments or an approval would allow is there.
func TestAListShowsNothingThatPoliciesForbid(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"deploy"},{"name":"delete_all"},{"name":"merge"}]}}`)
	})
	d.simple(u)
	d.govern(d.set(notToProduction+noDeletes+fourEyes), d.set(notInShadow))
	for _, era := range []string{legacy, modern} {
		a := d.ask(alice, "notes", era, "tools/list", "")
		a.want(t, http.StatusOK, `"result"`)
		if diff := cmp.Diff([]string{"deploy", "merge"}, elementsOf(t, a.body, "tools", "name").names); diff != "" {
			t.Errorf("%s: shown (-want +got):\n%s", era, diff)
		}
	}
}

// TestAnActivationCountsFromTheNextCall at a process that is warm, and so does
// its end.
func TestAnActivationCountsFromTheNextCall(t *testing.T) {
	t.Parallel()
	d, u := warmed(t)
	first, second := d.set(noDeletes), d.set(notInShadow)
	for i, c := range []struct {
		inForce, shadow string
		policy          string
		reason          broker.Reason
	}{
		{"", "", "none", ""}, {first, second, first, ""}, {second, first, second, broker.PolicyForbids},
		{first, "", first, ""}, {second, "", second, broker.PolicyForbids}, {"", second, "none", ""},
	} {
		d.govern(c.inForce, c.shadow)
		for range 3 { // each call reads one of several copies of the environment's row
			a := d.post(alice, "notes")
			last := d.records(a)[len(d.records(a))-1]
			if last.Policy != c.policy || last.Reason != c.reason || (last.Shadow == nil) != (c.shadow == "") {
				t.Errorf("step %d: recorded %+v", i, last)
			}
		}
	}
	if n := len(u.arrivals()); n != 1+4*3 {
		t.Errorf("the upstream got %d requests", n)
	}
}

// TestASetThatWasTamperedWithRefusesEveryCall, and so does one that is gone or
// belongs to another environment. Who holds the true one goes by that.
func TestASetThatWasTamperedWithRefusesEveryCall(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(d *deployment, table, pk, sk string){
		"text changed": func(d *deployment, table, pk, sk string) {
			row := d.item(table, pk, sk)
			row["text"] = text(fourEyes)
			d.plant(table, row)
		},
		"tests added": func(d *deployment, table, pk, sk string) {
			row := d.item(table, pk, sk)
			row["tests"] = text("[]")
			d.plant(table, row)
		},
		"another set in its place": func(d *deployment, table, pk, sk string) {
			row := d.item(table, pk, "set/"+d.set(fourEyes))
			row["sk"], row["id"] = text(sk), text(strings.TrimPrefix(sk, "set/"))
			d.plant(table, row)
		},
		"gone": func(d *deployment, table, pk, sk string) {
			_, err := d.direct.DeleteItem(d.t.Context(), &dynamodb.DeleteItemInput{TableName: &table,
				Key: map[string]types.AttributeValue{"pk": text(pk), "sk": text(sk)}})
			must(d.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, u := warmed(t)
			id := d.set(noDeletes)
			d.govern(id, "")
			d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
			spoil(d, d.Config.Tables.Catalogue, "policies/"+d.env, "set/"+id)
			d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
			a, _ := d.tool(alice, legacy, "delete_all", "{}")
			d.refused(a, broker.PolicyForbids)

			d.another()
			secrets, reached := d.faults.Count("GetSecretValue"), len(u.arrivals())
			for range 3 {
				a := d.post(alice, "notes")
				a.want(t, http.StatusServiceUnavailable, undecided)
				if r := d.refused(a, broker.PoliciesUnread); r.Policy != id {
					t.Errorf("recorded %+v", r)
				}
			}
			if d.faults.Count("GetSecretValue") != secrets || len(u.arrivals()) != reached {
				t.Error("a secret was read, or the upstream was called")
			}
			// The same set in shadow refuses nothing.
			d.govern("", id)
			a = d.post(alice, "notes")
			a.want(t, http.StatusOK, "[masked:dev-notes]")
			if r := d.ended(a, ""); r.Shadow == nil || r.Shadow.Effect != broker.WouldBeUnread || r.Shadow.Set != id {
				t.Errorf("recorded %+v", r.Shadow)
			}
		})
	}
}
