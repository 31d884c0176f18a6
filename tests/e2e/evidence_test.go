//go:build e2e && !nonode

package e2e

import (
	"encoding/csv"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestALeakedSecretIsFollowed: who could use it, who did, and what came of each
// call, asked at the API alone of what real calls left behind.
func TestALeakedSecretIsFollowed(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(echo())
	registered(t, u, d)
	used := d.post(alice, "notes")
	used.want(t, 200, "[masked:dev-notes]")
	refused := d.post(alice, "notes", naming("none"))
	refused.want(t, 403, forbidden)

	const card = "/servers/notes/bindings/dev-notes"
	d.ask(bob, "GET", card, "").want(t, 200, `"use":{"health":"unused"}`)
	for range 2 { // a stream gives a record at least once
		for _, a := range []answer{refused, used} {
			must(t, d.DB.IndexRecords(t.Context(), d.records(a)))
		}
	}
	d.ask(bob, "GET", card, "").want(t, 200, `"health":"good"`)

	who := broker.PrincipalID(shared.oidc.URL, alice)
	d.ask(bob, "GET", "/audit/"+refused.receipt, "").want(t, 200, `"explanation":"The caller named a binding that does not cover them."`)
	d.ask(bob, "GET", "/audit/"+used.receipt, "").want(t, 200, `"explanation":"It went well."`)
	for query, want := range map[string][]string{
		"principal=" + who:                       {refused.receipt, used.receipt},
		"server=notes&binding=dev-notes":         {used.receipt},
		"reference=sealed:notes":                 {used.receipt},
		"reason=not_own_binding":                 {refused.receipt},
		"principal=" + who + "&server=other":     nil,
		"agent=" + url.QueryEscape(shellAgent):   {refused.receipt, used.receipt},
		"server=notes&reason=upstream_unreached": nil,
	} {
		if got := d.column(bob, "/audit?limit=1&"+query, "receipt"); !slices.Equal(got, want) {
			t.Errorf("%s finds %v, want %v", query, got, want)
		}
	}
	for _, subject := range []string{"reference=sealed:notes", "store=sealed", "server=notes&binding=dev-notes", "principal=" + who, "agent=" + url.QueryEscape(shellAgent)} {
		if got := d.column(bob, "/exposure/bindings?"+subject, "binding"); !slices.Equal(got, []string{"dev-notes"}) {
			t.Errorf("%s could be used through %v", subject, got)
		}
		if got := d.column(bob, "/exposure/people?"+subject, "principal"); !slices.Equal(got, []string{who}) {
			t.Errorf("%s was used by %v", subject, got)
		}
	}
	posture, err := csv.NewReader(strings.NewReader(d.ask(bob, "GET", "/posture", "", "Accept", "text/csv").body)).ReadAll()
	if err != nil || len(posture) != 2 || !slices.Contains(posture[1], "local_value") || posture[1][len(posture[1])-1] != "good" {
		t.Errorf("posture is %v %v", posture, err)
	}
	for _, path := range []string{"/audit", "/audit/" + used.receipt, "/exposure/people?store=sealed", "/exposure/bindings?store=sealed"} {
		d.ask(alice, "GET", path, "").want(t, 403, "urn:bindery:problem:forbidden")
	}
}

// column gives one member of every item of a table, over all pages.
func (d *desk) column(who, path, member string) (all []string) {
	d.t.Helper()
	after := ""
	for range 50 {
		a := d.ask(who, "GET", path+after, "")
		a.want(d.t, 200, `"items"`)
		var page struct {
			Items []map[string]any `json:"items"`
			Next  string           `json:"next"`
		}
		must(d.t, json.Unmarshal([]byte(a.body), &page))
		for _, item := range page.Items {
			text, _ := item[member].(string)
			all = append(all, text)
		}
		if page.Next == "" {
			return all
		}
		after = "&after=" + page.Next
	}
	d.t.Fatal("the pages do not end")
	return nil
}
