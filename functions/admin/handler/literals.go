package handler

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bindery/shared/admin"
	"bindery/shared/egress"
	"bindery/shared/literal"
)

// meantFor is the member that is meant for secrets, by the request's address.
// Nothing of a request to such an address is kept, not even a digest.
func meantFor(path string) string {
	switch {
	case strings.HasPrefix(path, base+"/values/"):
		return "body.value"
	case path == base+"/import":
		return "body.document"
	case path == base+"/principals/lookup":
		return "body.claims"
	}
	return ""
}

// namesOfOthers are members that hold names which an issuer gave, and texts with
// such names in them.
var namesOfOthers = map[string]bool{"agent": true, "agents": true, "group": true, "groups": true, "owner": true, "team": true, "teams": true,
	"principal": true, "subject": true, "name": true, "value": true, "text": true, "tests": true, "id": true}

// clientID is a member that holds a name which a provider gave. It is public,
// and often random.
const clientID = "client_id"

// maxFindings is how many places an answer lists.
const maxFindings = 16

// admitText refuses a change that holds what looks like a secret in a place that
// is not meant for one, before anything keeps the request or a digest of it. Of
// a question only the address is looked at: what an auditor searches for was
// chosen by whoever is searched for, and must be found.
// What cannot be read goes to the operation, which says so, and is not
// remembered.
func (h *Handler) admitText(w http.ResponseWriter, r *http.Request, c admin.Caller) {
	s := scan{h: h, meant: meantFor(r.URL.Path)}
	s.text(r.URL.Path, "path", true)
	if r.Method == http.MethodGet {
		h.answer(w, r, s.found, h.mux.ServeHTTP)
		return
	}
	body, err := egress.ReadBounded(r.Body, largestBody(r.URL.Path), r.ContentLength)
	if err != nil {
		writeProblem(w, problem(tooLarge, ""))
		return
	}
	var request any
	readable := len(body) == 0
	if !readable {
		err = unmarshal(body, &request)
		readable = err == nil
	}
	if errors.Is(err, errTooMuch) {
		writeProblem(w, problem(tooLarge, errTooMuch.Error()))
		return
	}
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = readCloser{bytes.NewReader(body)}
	}
	s.query(r.URL.RawQuery)
	s.value(request, "body", false)
	if !readable || s.meant != "" {
		h.answer(w, r, s.found, h.mux.ServeHTTP)
		return
	}
	h.answer(w, r, s.found, func(w http.ResponseWriter, r *http.Request) { h.once(w, r, c) })
}

// answer refuses what was found, or else goes on.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, found []Wrong, next http.HandlerFunc) {
	if len(found) == 0 {
		next(w, r)
		return
	}
	p := problem(literalSecret, "")
	p.Errors = found
	writeProblem(w, p)
}

// scan looks through a request.
type scan struct {
	h     *Handler
	meant string // place that is left out
	found []Wrong
}

// value looks at a JSON value, in names of issuers where names is true.
func (s *scan) value(v any, at string, names bool) {
	switch v := v.(type) {
	case string:
		s.text(v, at, names)
	case []any:
		for i, item := range v {
			switch item.(type) {
			case string, []any, map[string]any:
				s.value(item, fmt.Sprintf("%s[%d]", at, i), names)
			}
		}
	case map[string]any:
		for _, name := range sortedKeys(v) {
			s.member(name, v[name], at)
		}
	}
}

// query looks at the parameters but the place of a page, which is a token of
// this API's own and looks like a key.
func (s *scan) query(raw string) {
	for parameter := range strings.SplitSeq(raw, "&") {
		if plain, err := url.QueryUnescape(parameter); err == nil {
			parameter = plain
		}
		if !strings.HasPrefix(parameter, "after=") {
			s.text(parameter, "query", false)
		}
	}
}

// member looks at a member of an object: its name, which may be a key of
// somebody's choosing, and its value. One that this API does not know may say
// by its name what it is.
func (s *scan) member(name string, v any, at string) {
	here := at + "." + name
	if here == s.meant {
		return
	}
	if known := s.h.location(here); known != here {
		here = known + ".?" // what is below is not named either, however deep and long it is
	}
	s.text(name, at, true)
	if text, ok := v.(string); ok && name == clientID {
		s.text("client:"+text, here, true)
		return
	}
	if text, ok := v.(string); ok && !s.h.names[name] {
		s.text(name+"="+text, at, false)
		return
	}
	s.value(v, here, namesOfOthers[name])
}

func (s *scan) text(text, at string, names bool) {
	find := literal.Find
	if names {
		find = literal.FindInNames
	}
	finding, found := find(text)
	if !found || len(s.found) == maxFindings {
		return
	}
	w := Wrong{Location: s.h.location(at), Message: "it looks like " + string(finding.Rule)}
	if !slices.Contains(s.found, w) {
		s.found = append(s.found, w)
	}
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
