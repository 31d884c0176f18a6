package mask

import (
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestWorkIsLinearInHostileText counts steps, not time: what a text makes the
// Masker do must stay within a fixed number of steps for each of its bytes.
func TestWorkIsLinearInHostileText(t *testing.T) {
	periodic := strings.Repeat("abcd", 1000) + "x"
	values := map[string][]string{
		"token":          {plain},
		"token and word": {plain, "s3cr3t42"},
		"password":       {password},
		"backslashes":    {`\\\\\\\\abc`},
		"periodic":       {periodic, "12345678"},
		"everything":     {`{"a": 1, "b": "\\ %+/=\n"}`},
	}
	units := map[string]string{
		"backslashes":         `\`,
		"percents":            `%`,
		"plus":                `+`,
		"escaped backslashes": `\u005c`,
		"nested backslashes":  `\u005c\u0075\u0030\u0030`,
		"lone surrogates":     `\ud83d`,
		"torn escapes":        `\u00\u0`,
		"percent 25":          `%25`,
		"near-matches":        plain[:39] + "!",
		"near, in base64":     b64(plain)[:50],
		"near, escaped":       `\u0067` + plain[1:39] + "!",
		"matches":             plain,
		"a period":            "abcd",
		"a period, escaped":   `\u0061bcd`,
		"a live run":          "AAAAAAAAAAAAAAAAAAAAAAAAAAA%41",
	}
	const stepsPerByte = 60
	for valueName, v := range values {
		tables := maskerFor(t, v...).tables()
		for name, unit := range units {
			src := []byte(strings.Repeat(unit, 200_000/len(unit)+1))
			w := &work{}
			tables.mask(src, w)
			if perByte := w.steps / len(src); perByte > stepsPerByte {
				t.Errorf("%s against %s: %d steps per byte", name, valueName, perByte)
			}
		}
	}
}

func TestTenMegabytesOfEscapes(t *testing.T) {
	m := maskerFor(t, plain, password)
	for _, unit := range []string{`\`, `%`, `\u005c`, `\\\"`, plain[:39]} {
		src := strings.Repeat(unit, 10<<20/len(unit)) + " " + plain
		if _, n := m.String(src); n != 1 {
			t.Errorf("%q: %d matches, want 1", unit, n)
		}
	}
}

// TestLongWayFromTheNextEscape puts a match everywhere around the places where
// the surroundings of an escape end.
func TestLongWayFromTheNextEscape(t *testing.T) {
	const value = "nabc/defghijklmnop"
	m := maskerFor(t, value)
	reach := m.tables().alphabet.reach
	hexed, percents := hex.EncodeToString([]byte(value)), ""
	for _, c := range []byte(hexed) {
		percents += "%" + hex.EncodeToString([]byte{c})
	}
	spellings := []string{value, hexed, `nabc\/defghijklmnop`, `\u006eabc\u005c/defghijklmnop`, hexed[:35] + `\u0030`, percents}
	for _, before := range []string{`\u0061`, `\\`, `\u005c`, `\u005c\u005cu006`, `\u005cu005cu00`, `\u`, `%6`, `%\u0036`} {
		for _, filler := range []string{"A", `\`, `\u005c`} {
			for _, base := range []int{0, reach, 2 * reach, 3 * reach} {
				for n := max(0, base-40); n < base+10; n++ {
					src := before + strings.Repeat(filler, n/len(filler)) + spellings[n%len(spellings)]
					checkLong(t, m, src, value)
					if base == 0 {
						checkLong(t, m, before+spellings[n%len(spellings)], value)
					}
				}
			}
		}
	}
}

func checkLong(t *testing.T, m *Masker, src, value string) {
	t.Helper()
	out, _ := m.String(src)
	if want := refFind(src, value) != ""; want == (out == src) {
		t.Fatalf("%q: value there %v, became %q", src, want, out)
	}
	if again, n := m.String(out); n != 0 {
		t.Fatalf("%q became %q became %q", src, out, again)
	}
	for level := 0; level < maxNesting && json.Valid([]byte(`"`+src+`"`)); level++ {
		if !json.Valid([]byte(`"` + out + `"`)) {
			t.Fatalf("at level %d %q: cut an escape: %q", level, src, out)
		}
		src, out = refUnescape(src), refUnescape(out)
	}
}

// TestTornSpellings joins whole and torn spellings of awkward values at random.
func TestTornSpellings(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 26))
	parts := []string{`\`, `\\`, `"`, "/", "n", "u", "0", "4", "1", "u0041", "u005c", "%", "41", "%5C", "+", " ",
		"a", "b", "c", "\n", `\u00`, `\n`, "=", "-", "é", "\U0001f511", "\xff", "[", "]", "{", "}", ":", ","}
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		return b.String()
	}
	for range 1500 {
		values := []string{word(5 + r.IntN(8))}
		if r.IntN(2) == 0 {
			values = append(values, values[0][len(values[0])/2:]+word(4))
		}
		if !isMaskable(values...) {
			continue
		}
		var b strings.Builder
		for range 1 + r.IntN(5) {
			s := spelling(r, values[r.IntN(len(values))])
			b.WriteString([]string{word(3), s, s[r.IntN(len(s)):], s[:r.IntN(len(s))]}[r.IntN(4)])
		}
		m, src := maskerFor(t, values...), b.String()
		checkMasked(t, m, src, values...)
		checkMasked(t, m, `"`+spellJSON(r, strings.ToValidUTF8(src, "?"))+`"`, values...)
		if len(values) == 1 {
			checkUntouched(t, m, []byte(src), values[0])
		}
	}
}
