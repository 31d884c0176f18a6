package mask

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"bindery/shared/secret"
)

const plain = "gkp_16C7e42F292c6912E7710c838347Ae178B4a"

// password has something for every encoding to trip over.
const password = `p"ss\w/rd +&%<` + "\n" + `é🔑`

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func goJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryListedSpellingIsReplaced(t *testing.T) {
	once := goJSON(t, password)
	twice := goJSON(t, once)
	thrice := goJSON(t, twice)
	escaped := `\u0070\u0022s\u0073\u005cw\/rd \u002B\u0026%\u003C\n\u00e9\ud83d\udd11`
	url64 := strings.NewReplacer("+", "-", "/", "_")
	for name, c := range map[string]struct{ value, in, out string }{
		"raw":                        {plain, "token " + plain + ".", "token [masked:a]."},
		"raw inside a word":          {plain, "x" + plain + "x", "x[masked:a]x"},
		"raw twice":                  {plain, plain + " " + plain, "[masked:a] [masked:a]"},
		"raw, not UTF-8":             {"\xff\xfe\x00\x01\x80bin", "<\xff\xfe\x00\x01\x80bin>", "<[masked:a]>"},
		"hex lower":                  {plain, "0" + hex.EncodeToString([]byte(plain)), "0[masked:a]"},
		"hex upper":                  {plain, strings.ToUpper(hex.EncodeToString([]byte(plain))), "[masked:a]"},
		"JSON by encoding/json":      {password, once, `"[masked:a]"`},
		"JSON twice":                 {password, twice, `"\"[masked:a]\""`},
		"JSON thrice":                {password, thrice, `"\"\\\"[masked:a]\\\"\""`},
		"JSON, any legal escape":     {password, escaped, "[masked:a]"},
		"JSON, escaped escapes":      {"A\"bcdefg", `\u005c\u0075\u0030041\\\u0022bcdefg`, "[masked:a]"},
		"JSON twice, no backslash":   {"abcd\nefgh", `abcd\\nefgh`, "[masked:a]"},
		"JSON thrice, one character": {"abcd\nefgh", `abcd\\\\u000aefgh`, "[masked:a]"},
		"JSON, nothing but escapes":  {"日本語", `\u65e5\u672c\u8a9e`, "[masked:a]"},
		"JSON, ends inside a letter": {"abcdefg\xc3", `abcdefg\u00e9`, "[masked:a]"},
		"JSON key":                   {plain, `{"` + plain + `":1}`, `{"[masked:a]":1}`},
		"percent, query":             {password, url.QueryEscape(password), "[masked:a]"},
		"percent, path":              {password, url.PathEscape(password), "[masked:a]"},
		"percent, every byte, lower": {"abcdABCD", "%61%62%63%64%41%42%43%44", "[masked:a]"},
		"percent, mixed case":        {"a/b+c?d=", "a%2fb%2Bc%3fd%3D", "[masked:a]"},
		"percent, plus for space":    {"correct horse battery", "correct+horse+battery", "[masked:a]"},
		"percent, plus and %20":      {"correct horse battery", "correct+horse%20battery", "[masked:a]"},
		"percent inside JSON":        {password, goJSON(t, url.QueryEscape(password)), `"[masked:a]"`},
		"percent, sign JSON-escaped": {"a/bcdefgh", `a\u00252fbcdefgh`, "[masked:a]"},
		"base64":                     {plain, b64(plain), "[masked:a]"},
		"base64, two pads":           {plain[:10], b64(plain[:10]) + "!", "[masked:a]!"},
		"base64, no pads":            {plain[:10], strings.TrimRight(b64(plain[:10]), "=") + "!", "[masked:a]!"},
		"base64 of basic auth":       {plain, "Basic " + b64("octocat:"+plain), "Basic b2N0b2NhdD[masked:a]"},
		"base64, shifted by one":     {plain, b64("x" + plain + "y"), "e[masked:a]5"},
		"base64, shifted by two":     {plain, b64("xy" + plain + "z"), "eH[masked:a]eg=="},
		"base64url":                  {password, url64.Replace(b64("?" + password)), "P[masked:a]"},
		"base64 in JSON, slash":      {"???>>>~~~:", strings.ReplaceAll(b64("???>>>~~~:"), "/", `\/`), "[masked:a]"},
		"base64 in JSON, unicode":    {"???>>>~~~~:", strings.NewReplacer("/", `\u002f`, "+", `\u002B`, "=", `\u003d`).Replace(b64("???>>>~~~~:")), "[masked:a]"},
		"base64 in a query":          {"???>>>~~~~:", url.QueryEscape(b64("???>>>~~~~:")), "[masked:a]"},
		"base64, edge escaped":       {"\xf0abcdefg", strings.ReplaceAll(b64("\xff\xf0abcdefg"), "/", `\u002f`), `\u002f[masked:a]`},
		"hex in JSON":                {plain, `\u00` + hex.EncodeToString([]byte("6"))[:2] + hex.EncodeToString([]byte(plain))[1:], "[masked:a]"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, n := maskerFor(t, c.value).String(c.in); out != c.out || n == 0 {
				t.Errorf("%q\nbecame %q (%d)\nwant   %q", c.in, out, n, c.out)
			}
		})
	}
}

func TestEscapeSequencesAreNeverCut(t *testing.T) {
	for name, c := range map[string]struct{ value, in, out string }{
		"value begins inside a short escape":   {"nabcdefgh", `"x\nabcdefgh"`, `"x[masked:a]"`},
		"value begins after an escaped slash":  {"nabcdefgh", `"x\\ \\nabcdefgh"`, `"x\\ [masked:a]"`},
		"value begins inside a unicode escape": {"41abcdefg", `"\u0041abcdefg"`, `"[masked:a]"`},
		"value ends inside a unicode escape":   {`abcdefg\u00`, `"abcdefg\u0041"`, `"[masked:a]"`},
		"value ends in a backslash":            {`abcdefg\`, `"abcdefg\" ok"`, `"[masked:a] ok"`},
		"value ends in an escaped backslash":   {`abcdefg\`, `"abcdefg\\ ok"`, `"[masked:a] ok"`},
		"value begins inside a percent escape": {"41abcdefg", `%41abcdefg`, `[masked:a]`},
		"value ends inside a percent escape":   {"abcdefg%4", `abcdefg%41`, `[masked:a]`},
		"value begins inside a nested escape":  {"nabcdefgh", `"{\"a\":\"\\nabcdefgh\"}"`, `"{\"a\":\"[masked:a]\"}"`},
	} {
		t.Run(name, func(t *testing.T) {
			if out := checkMasked(t, maskerFor(t, c.value), c.in, c.value); out != c.out {
				t.Errorf("%q\nbecame %q\nwant   %q", c.in, out, c.out)
			}
		})
	}
}

func TestValidJSONStaysValid(t *testing.T) {
	for name, c := range map[string]struct{ value, in, out string }{
		"a number":               {"12345678", `{"pin":12345678,"n":[1]}`, `{"pin":"[masked:a]","n":[1]}`},
		"part of a number":       {"12345678", `[-123456789.5e3, 1]`, `["[masked:a]", 1]`},
		"the whole document":     {"12345678", " 12345678\n", " \"[masked:a]\"\n"},
		"a string with quotes":   {`"abcdefgh"`, `{"k":"abcdefgh"}`, `{"k":"[masked:a]"}`},
		"an object":              {`{"a":1,"b":2}`, `{"x":[{"a":1,"b":2}]}`, `{"x":["[masked:a]"]}`},
		"across members":         {`":"abcd","`, `{"o":{"k":"abcd","l":1},"p":2}`, `{"o":"[masked:a]","p":2}`},
		"beyond the document":    {"12345678\n", "12345678\n", `"[masked:a]"`},
		"in an object and apart": {`1,"b":"x`, `{"a":1,"b":"x","c":"1,\"b\":\"x"}`, `"[masked:a]"`},
	} {
		t.Run(name, func(t *testing.T) {
			if out := checkMasked(t, maskerFor(t, c.value), c.in, c.value); out != c.out {
				t.Errorf("%q\nbecame %q\nwant   %q", c.in, out, c.out)
			}
		})
	}
}

func TestSeveralValues(t *testing.T) {
	for name, c := range map[string]struct {
		values  []string
		in, out string
	}{
		"one is a prefix":         {[]string{"abcdefgh", "abcdefghijkl"}, "abcdefghijkl abcdefghij", "[masked:b] [masked:a]ij"},
		"one is a part":           {[]string{"cdefghij", "abcdefghijkl"}, "abcdefghijkl cdefghij", "[masked:b] [masked:a]"},
		"they overlap":            {[]string{"efghijkl", "abcdefgh"}, "-abcdefghijkl-", "-[masked:b]-"},
		"they touch":              {[]string{"abcdefgh", "12345678"}, "12345678abcdefgh", "[masked:b]"},
		"the same, twice":         {[]string{"abcdefgh", "abcdefgh"}, "abcdefgh", "[masked:a]"},
		"one overlaps itself":     {[]string{"abcdabcd"}, "abcdabcdabcdab", "[masked:a]ab"},
		"apart":                   {[]string{"abcdefgh", "12345678"}, "12345678 abcdefgh", "[masked:b] [masked:a]"},
		"one in the other's hex":  {[]string{"61626364", "abcdefgh"}, "<6162636465666768>", "<[masked:b]>"},
		"a string makes a second": {[]string{"12345678", `","abcdefgh`}, `[1,[12345678,"abcdefgh"]]`, `[1,"[masked:b]"]`},
		"none":                    {nil, "abcdefgh", "abcdefgh"},
		"cut would make a second": {[]string{"abcdefg\\", `nabc"efgh`}, `abcdefg\\nabc\\"efgh`, `[masked:a]abc\\"efgh`},
	} {
		t.Run(name, func(t *testing.T) {
			if out := checkMasked(t, maskerFor(t, c.values...), c.in, c.values...); out != c.out {
				t.Errorf("%q\nbecame %q\nwant   %q", c.in, out, c.out)
			}
		})
	}
}

func TestPlaceholderCannotCompleteAValue(t *testing.T) {
	const placeholder = "[masked:github-work]"
	for name, c := range map[string]struct{ value, in string }{
		"value is the placeholder":        {placeholder, "x" + placeholder},
		"value holds the placeholder":     {"ab" + placeholder + "cd", "abab" + placeholder + "cdcd"},
		"value is inside the placeholder": {"github-work", "github-work"},
		"value begins as it ends":         {"work]abcdef", "work]abcdefabcdef"},
		"value ends as it begins":         {"abcdef[mask", "abcdefabcdef[mask"},
		"its letters are base64":          {"\x82+a\x86\xef\xa8\xb0\x8a\xe4", "\x82+a\x86\xef\xa8\xb0\x8a\xe4"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := New(Secret{secret.New(c.value), placeholder})
			if err != nil {
				t.Fatal(err)
			}
			out := checkMasked(t, m, c.in, c.value)
			if out == c.in {
				t.Errorf("%q was not masked", c.in)
			}
		})
	}
	secrets := []Secret{{secret.New("]bcdefgh["), placeholder}}
	for _, edge := range []string{"*", "~", "!", "|", "^", ".", "(", ")"} {
		secrets = append(secrets, Secret{secret.New(edge + "bcdefgh"), placeholder})
	}
	if _, err := New(secrets...); !errors.Is(err, ErrPlaceholder) {
		t.Errorf("no placeholder is left, but New says %v", err)
	}
}

func TestCheckRefusesWhatCannotBeMasked(t *testing.T) {
	for value, want := range map[string]error{
		"": ErrTooShort, "abcdefg": ErrTooShort, "aaaaaaaa": ErrTooUniform,
		strings.Repeat("abc", 50): ErrTooUniform, "abcdabcd": nil, plain: nil,
	} {
		err := Check(secret.New(value))
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("Check of %d bytes: %v, want %v", len(value), err, want)
		}
		if err != nil && value != "" && strings.Contains(err.Error(), value) {
			t.Errorf("the error shows the value")
		}
		if _, newErr := New(Secret{secret.New(plain), "[masked:a]"}, Secret{secret.New(value), "[masked:b]"}); !errors.Is(newErr, want) {
			t.Errorf("New: %v, want %v", newErr, want)
		}
	}
	if err := Check(secret.New("1234567")); !strings.Contains(err.Error(), "8 bytes") {
		t.Errorf("%v does not name the limit", err)
	}
}

func TestNewRefusesUnsafePlaceholders(t *testing.T) {
	for _, p := range []string{"", "[]", "masked", "[Masked]", `[a"]`, "[a b]", "[a\n]", "[é]", "[a", "a]"} {
		if _, err := New(Secret{secret.New(plain), p}); !errors.Is(err, ErrPlaceholder) {
			t.Errorf("placeholder %q: %v", p, err)
		}
	}
}

func TestManyAndLongValues(t *testing.T) {
	long := strings.Repeat("0123456789abcdef-", 4000)
	values := append(tokens(300), long)
	m := maskerFor(t, values...)
	for _, v := range []string{values[0], values[299], long} {
		if out, n := m.String("<" + b64("x"+v) + v + ">"); n != 1 || strings.Contains(out, v[:20]) {
			t.Errorf("%d bytes: %d replaced, %d bytes left", len(v), n, len(out))
		}
	}
}

func TestMaskerDoesNotPrintMaterial(t *testing.T) {
	m := maskerFor(t, plain)
	type holder struct {
		m *Masker
		v Masker
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{m, *m, holder{m, *m}, []*Masker{m}} {
			if out := fmt.Sprintf(verb, v); refFind(out, plain[:12]) != "" {
				t.Errorf("%s of %T prints material", verb, v)
			}
		}
	}
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
		if out, _ := marshal(m); refFind(string(out), plain[:12]) != "" {
			t.Error("marshals material")
		}
	}
}

func TestMaskerIsSafeForConcurrentUse(t *testing.T) {
	m := maskerFor(t, plain, password)
	in := goJSON(t, map[string]string{"a": plain, "b": password, "c": b64("x" + password)})
	want, _ := m.String(in)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if out, _ := m.String(in); out != want {
					t.Error("a different result")
				}
			}
		})
	}
	group.Wait()
}
