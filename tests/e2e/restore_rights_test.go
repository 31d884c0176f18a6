//go:build e2e && !nonode

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"bindery/shared/brokertest/iam"
)

// restorers is the endpoint as the role of infra/restore sees it: what
// infra/restore/policy.json does not allow is denied.
type restorers struct {
	*httptest.Server
	mu     sync.Mutex
	denied []string
	used   map[string]bool // statement and action
	breaks int             // after so many puts the next one is refused, once
}

func newRestorers(t *testing.T, endpoint, prefix string) *restorers {
	t.Helper()
	text, err := os.ReadFile("../../infra/restore/policy.json")
	must(t, err)
	policy, err := iam.Parse(text, false)
	must(t, err)
	at, err := url.Parse(endpoint)
	must(t, err)
	s := &restorers{used: map[string]bool{}}
	onwards := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) }}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil || !s.allows(policy, r.Header.Get("X-Amz-Target"), body, prefix) {
			http.Error(w, `{"__type":"AccessDeniedException"}`, http.StatusBadRequest)
			return
		}
		onwards.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *restorers) allows(p iam.Policy, target string, body []byte, prefix string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, operation, _ := strings.Cut(target, ".")
	action, tables := "dynamodb:"+operation, tablesIn(body)
	if operation == "TransactWriteItems" && !bytes.Contains(body, []byte(`"Delete"`)) && !bytes.Contains(body, []byte(`"Update"`)) {
		action = "dynamodb:PutItem" // which is what AWS asks for
	}
	for _, table := range tables {
		name := strings.Replace(table, prefix, "bindery-prod-", 1)
		by := slices.IndexFunc(p.Statements, func(one iam.Statement) bool {
			return slices.Contains(one.Actions, action) && slices.ContainsFunc(one.Resources, func(arn string) bool {
				_, allowed, _ := strings.Cut(arn, ":table/")
				start, wild := strings.CutSuffix(allowed, "*")
				return name == allowed || wild && strings.HasPrefix(name, start)
			})
		})
		if by < 0 {
			s.denied = append(s.denied, action+" on "+table)
			return false
		}
		s.used[p.Statements[by].Sid+" "+action] = true
		if action == "dynamodb:PutItem" && s.breaks > 0 {
			if s.breaks--; s.breaks == 0 {
				return false
			}
		}
	}
	return len(tables) > 0
}

// tablesIn are the tables that a request names.
func tablesIn(body []byte) (tables []string) {
	var one struct {
		TableName     string
		RequestItems  map[string]any
		TransactItems []map[string]struct{ TableName string }
	}
	if json.Unmarshal(body, &one) != nil {
		return nil
	}
	if one.TableName != "" {
		tables = append(tables, one.TableName)
	}
	for table := range one.RequestItems {
		tables = append(tables, table)
	}
	for _, item := range one.TransactItems {
		for _, part := range item {
			tables = append(tables, part.TableName)
		}
	}
	return tables
}

// breaksAfter has the program end in the middle.
func (s *restorers) breaksAfter(puts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks = puts
}

// held: the program asked for nothing that its policy does not allow.
func (s *restorers) held(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.denied) > 0 {
		t.Errorf("denied: %v", s.denied)
	}
	for _, use := range []string{"ReadCopies dynamodb:DescribeTable", "ReadCopies dynamodb:Scan", "ReadWhatHappenedSince dynamodb:Scan", "ReadMarkers dynamodb:BatchGetItem",
		"PutWhatIsMissing dynamodb:GetItem", "PutWhatIsMissing dynamodb:PutItem"} {
		if !s.used[use] {
			t.Errorf("nothing needed %s", use)
		}
	}
}
