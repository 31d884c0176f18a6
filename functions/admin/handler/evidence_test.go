package handler

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
)

// called is one call that ended, as the proxy records it.
type called struct {
	principal, agent, server, binding, reference, version string
	reason                                                broker.Reason
	requestID                                             string
	at                                                    time.Time
}

// happened records a call and has it indexed. It gives the receipt.
func (f *fixture) happened(t testing.TB, c called) string {
	t.Helper()
	r := f.record(c)
	f.keep(t, r)
	return r.Receipt
}

func (f *fixture) record(c called) broker.Record {
	r := broker.Record{Schema: broker.RecordSchema, Receipt: ulid.MustNew(ulid.Timestamp(c.at), ulid.DefaultEntropy()).String(),
		Phase: broker.Outcome, At: c.at.UTC(), Writer: "w", Sequence: 1, Nonce: "n", RequestID: c.requestID, Environment: "prod", Server: c.server,
		Principal: c.principal, Kind: broker.User, Agent: c.agent, Method: "tools/call", Action: broker.CallTool, Target: "whoami",
		Binding: c.binding, BindingVersion: 1, Reason: c.reason, Status: 200}
	if c.reference != "" {
		r.References = []string{"token=" + c.reference}
		r.Accesses = []broker.Access{{Reference: strings.TrimSuffix(c.reference, "#token"), Version: c.version}}
	}
	return r
}

func (f *fixture) keep(t testing.TB, r broker.Record) {
	t.Helper()
	if err := f.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := f.tables.IndexRecords(t.Context(), []broker.Record{r}); err != nil {
		t.Fatal(err)
	}
}

// bind makes a card of the server notes.
func (f *fixture) bind(t testing.TB, server, name, actor string) {
	t.Helper()
	f.call(t, "root", "PUT", "/servers/"+server+"/bindings/"+name, strings.Replace(bindingBody, `{"group":"dev"}`, actor, 1), "If-None-Match", "*").want(t, 200, "")
}

func (f *fixture) server(t testing.TB, name, owner string) {
	t.Helper()
	f.call(t, "root", "PUT", "/servers/"+name, strings.Replace(serverBody, "team-notes", owner, 1), "If-None-Match", "*").want(t, 200, "")
}

// items gives one member of each item of an answer.
func (a answer) items(member string) (list []string) {
	items, _ := a.body["items"].([]any)
	for _, item := range items {
		list = append(list, fmt.Sprint(item.(map[string]any)[member]))
	}
	return list
}

// pages goes through all pages and gives one member of each item.
func (f *fixture) pages(t testing.TB, who, path, member string) (all []string) {
	t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	after := ""
	for range 1000 {
		a := f.call(t, who, "GET", path+separator+"after="+after, nil).want(t, 200, "")
		all = append(all, a.items(member)...)
		next, more := a.body["next"].(string)
		if !more {
			return all
		}
		after = url.QueryEscape(next)
	}
	t.Fatal("the pages do not end")
	return nil
}

// cells asks for CSV and gives its rows with the header of the answer.
func (f *fixture) cells(t testing.TB, who, path string, header ...string) ([][]string, http.Header) {
	t.Helper()
	r := httptest.NewRequest("GET", "https://mcp.example.com"+base+path, nil)
	r.Header.Set("Authorization", "Bearer "+who)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != 200 || w.Header().Get("Content-Type") != mediaCSV {
		t.Fatalf("%s answered %d %s %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	f.seen.Write(w.Body.Bytes())
	rows, err := csv.NewReader(strings.NewReader(w.Body.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows, w.Header()
}

// evidence exercises what the contract has of the audit, once as JSON and once
// as CSV.
func (c *contract) evidence(t *testing.T) {
	t.Helper()
	receipt := c.happened(t, called{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes#token", version: "v1", at: time.Now()})
	c.happened(t, called{principal: "p-bobaaaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "dev-notes", reason: broker.UpstreamFailed, at: time.Now()})
	c.good(t, "auditor", "GET", "/audit/"+receipt, "")
	for _, path := range []string{"/audit?limit=1", "/exposure/bindings?store=aws-sm", "/exposure/people?server=notes&binding=dev-notes", "/posture"} {
		for _, accept := range []string{"application/json", "text/csv"} {
			c.good(t, "auditor", "GET", path, "", "Accept", accept)
		}
	}
	c.bad(t, invalid, "auditor", "GET", "/exposure/people", "")
	c.bad(t, notFound, "auditor", "GET", "/audit/01ARZ3NDEKTSV4RRFFQ69G5FAV", "")
	c.bad(t, forbidden, "admin", "GET", "/audit", "")
}
