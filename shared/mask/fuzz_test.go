package mask

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"bindery/shared/secret"
)

// Values with everything that matters to an encoding: quotes, backslashes,
// spaces, plus and slash, base64's and hex's own letters, other scripts.
var seedValues = []string{
	"gkp_16C7e42F292c6912E7710c838347Ae178B4a",
	`p"ss\w/rd +&%<>'`,
	"n\\\"u0041\\u0041",
	"12345678",
	"deadBEEF00112233",
	"correct horse battery staple",
	"-----BEGIN KEY-----\nMIIB+/==\n-----END KEY-----\n",
	"schl\u00fcssel \U0001f511 \ufffd",
	"\xff\xfe\x00\x01binary\x80",
	`"},{"a":"b"`,
	"]]masked:[[",
	"abcdabcdabcdabcdabcdabce",
	"%41%5c%22 +",
}

func maskerFor(t testing.TB, values ...string) *Masker {
	t.Helper()
	var secrets []Secret
	for i, v := range values {
		secrets = append(secrets, Secret{secret.New(v), "[masked:" + string(rune('a'+i%26)) + "]"})
	}
	m, err := New(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkMasked holds the promises that are true of every input.
func checkMasked(t *testing.T, m *Masker, src string, values ...string) string {
	t.Helper()
	before := strings.Clone(src)
	out, n := m.Bytes([]byte(src))
	if src != before {
		t.Fatal("the source was written to")
	}
	for _, v := range values {
		if where := refFind(string(out), v); where != "" {
			t.Fatalf("%s:\nvalue %q\nin    %q\nout   %q", where, v, src, out)
		}
	}
	if again, n := m.Bytes(out); n != 0 {
		t.Fatalf("masking twice changes something:\nvalues %q\nin    %q\nout   %q\nagain %q", values, src, out, again)
	}
	if json.Valid([]byte(src)) && !json.Valid(out) {
		t.Fatalf("no longer JSON:\nvalues %q\nin  %q\nout %q", values, src, out)
	}
	if (n == 0) != (string(out) == src) {
		t.Fatalf("n = %d for %q -> %q", n, src, out)
	}
	return string(out)
}

func isMaskable(values ...string) bool {
	for _, v := range values {
		if len(v) > 200 || Check(secret.New(v)) != nil {
			return false
		}
	}
	return true
}

func FuzzNothingGetsThrough(f *testing.F) {
	for i, v := range seedValues {
		f.Add(v, seedValues[(i+1)%len(seedValues)], `{"a":"`, `"}`, uint64(i))
		f.Add(v, v[1:], `\`, `\n`, uint64(i))
		f.Add(v, v+v, `\u00`, `41`, uint64(i))
	}
	f.Fuzz(func(t *testing.T, v1, v2, before, after string, seed uint64) {
		if !isMaskable(v1, v2) || len(before)+len(after) > 2000 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		m := maskerFor(t, v1, v2)
		alone := spelling(r, v1)
		if where := refFind(alone, v1); where == "" {
			t.Fatalf("the test's own speller is wrong: %q for %q", alone, v1)
		}
		if _, n := m.String(alone); n == 0 {
			t.Fatalf("value %q not found in %q", v1, alone)
		}
		checkMasked(t, m, before+alone+after, v1, v2)
		checkMasked(t, m, before+alone+spelling(r, v2)+after+spelling(r, v1), v1, v2)
		checkMasked(t, m, spellJSON(r, strings.ToValidUTF8(before+alone+after, "?")), v1, v2)
	})
}

func FuzzNothingElseChanges(f *testing.F) {
	for i, v := range seedValues {
		f.Add(v, "around "+v+" text\\"+v[:7], uint64(i))
		f.Add(v, v[1:]+"\\\\"+v[:len(v)-1], uint64(i))
		f.Add(v, `{"token":"\u00e9 \\\"%41+`+v+`"}`, uint64(i))
	}
	f.Fuzz(func(t *testing.T, v, text string, seed uint64) {
		if !isMaskable(v) || len(text) > 2000 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		m := maskerFor(t, v)
		almost := []byte(spelling(r, v))
		almost[r.IntN(len(almost))] ^= 1 << r.IntN(7)
		for _, src := range []string{text, text + string(almost), string(almost) + text, string(almost)} {
			checkUntouched(t, m, []byte(src), v)
		}
	})
}

// checkUntouched holds that every stretch taken out holds the value, and that
// a text without it is returned as it is.
func checkUntouched(t *testing.T, m *Masker, src []byte, v string) {
	t.Helper()
	out, n := m.Bytes(src)
	if n == 0 && refFind(string(src), v) != "" || n > 0 && !refAllows(string(src), v) {
		t.Fatalf("n = %d, but the reference says %q:\nvalue %q\nin  %q\nout %q", n, refFind(string(src), v), v, src, out)
	}
	if n == 0 {
		if len(src) > 0 && &out[0] != &src[0] {
			t.Fatal("nothing found, but a copy returned")
		}
		return
	}
	w := &work{}
	m.tables().locate(src, w)
	spans := union(w.spans)
	for _, s := range spans {
		if removed := string(src[s.lo:s.hi]); !refAllows(removed, v) {
			t.Fatalf("taken out without need: %q\nvalue %q\nin %q", removed, v, src)
		}
	}
	if json.Valid(src) {
		return // may have grown to a whole JSON value
	}
	at := 0
	for _, s := range spans {
		kept := src[at:s.lo]
		if !bytes.HasPrefix(out, kept) {
			t.Fatalf("text outside a match changed: %q", kept)
		}
		out, at = out[len(kept)+len(m.tables().placeholders[0]):], s.hi
	}
	if !bytes.Equal(out, src[at:]) {
		t.Fatalf("text after the last match changed: %q", src[at:])
	}
}

func FuzzJSONStaysValid(f *testing.F) {
	docs := []string{
		`{"pin":12345678,"list":[1.25e10,true,null,-0.5],"text":"a\nb\u00e9\\nabcdefgh"}`,
		`{"content":[{"type":"text","text":"{\"token\":\"n\\\"x\\\\y\\u0041bcdefgh\"}"}],"isError":false}`,
		`["\ud83d\udd11key-material\/\/","%41%20+%5c","\\\\\\\"abcdefgh\\"]`,
		` "12345678abc" `,
		`{"abcdefgh":"abcdefgh","ijklmnop":{"abcdefgh":[]}}`,
	}
	for i, doc := range docs {
		for k := range 6 {
			f.Add(doc, uint16(3+k*7), uint16(9+k), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, doc string, at, length uint16, seed uint64) {
		if len(doc) > 2000 || !json.Valid([]byte(doc)) {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		at %= uint16(len(doc))
		v := doc[at:min(int(at)+8+int(length%40), len(doc))]
		if seed%4 == 0 {
			v = refUnescape(v)
		}
		if !isMaskable(v) {
			return
		}
		m := maskerFor(t, v)
		checkMasked(t, m, doc, v)
		quoted := `"` + spellJSON(r, strings.ToValidUTF8(doc+v, "?")) + `"`
		for _, src := range []string{doc, quoted, `{` + quoted + `:[` + doc + `,` + quoted + `]}`} {
			var decoded any
			out := checkMasked(t, m, src, v)
			decoder := json.NewDecoder(strings.NewReader(out))
			decoder.UseNumber()
			if err := decoder.Decode(&decoded); err != nil {
				t.Fatal(err)
			}
			checkLeaves(t, decoded, v)
		}
	})
}

func checkLeaves(t *testing.T, node any, v string) {
	switch node := node.(type) {
	case string:
		if where := refFindPlain(node, v); where != "" {
			t.Fatalf("leaf %q has %q (%s)", node, v, where)
		}
	case json.Number:
		checkLeaves(t, node.String(), v)
	case []any:
		for _, child := range node {
			checkLeaves(t, child, v)
		}
	case map[string]any:
		for key, child := range node {
			checkLeaves(t, key, v)
			checkLeaves(t, child, v)
		}
	}
}
