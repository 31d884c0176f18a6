package mask

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The slow and obvious other half of every fuzz test: decoders that share no
// code with the package, and spellers that use every freedom an encoding has.

var (
	escapeToken  = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt]`)
	percentToken = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	base64Run    = regexp.MustCompile(`[A-Za-z0-9+/]{8,}`)
	base64URLRun = regexp.MustCompile(`[A-Za-z0-9_-]{8,}`)
)

func refUnescape(text string) string {
	return escapeToken.ReplaceAllStringFunc(text, func(token string) string {
		var s string
		if err := json.Unmarshal([]byte(`"`+token+`"`), &s); err != nil {
			panic(err)
		}
		return s
	})
}

func refPercent(text string) string {
	return percentToken.ReplaceAllStringFunc(text, func(token string) string {
		b, err := hex.DecodeString(token[1:])
		if err != nil {
			panic(err)
		}
		return string(b)
	})
}

// refFind names the first listed encoding in which text holds value.
func refFind(text, value string) string {
	for level := 0; level <= 3; level++ {
		forms := []string{text, refPercent(text), refPercent(strings.ReplaceAll(text, "+", " "))}
		for i, form := range forms {
			if where := refFindPlain(form, value); where != "" {
				return fmt.Sprintf("JSON level %d, %s, %s", level, []string{"no percent", "percent", "form"}[i], where)
			}
		}
		text = refUnescape(text)
	}
	return ""
}

// refAllows is refFind that also takes base64 which lacks its first characters
// or mixes the two alphabets. That is not promised, but taking it out is no
// fault.
func refAllows(text, value string) bool {
	if refFind(text, value) != "" {
		return true
	}
	for level := 0; level <= 3; level++ {
		for _, form := range []string{text, refPercent(text)} {
			form = base64Run.ReplaceAllStringFunc(mixedAlphabets.Replace(form), func(run string) string { return "AAA" + run })
			if refFindPlain(form, value) != "" {
				return true
			}
		}
		text = refUnescape(text)
	}
	return false
}

var mixedAlphabets = strings.NewReplacer("-", "+", "_", "/")

func refFindPlain(text, value string) string {
	switch h := hex.EncodeToString([]byte(value)); {
	case strings.Contains(text, value):
		return "raw"
	case strings.Contains(text, h), strings.Contains(text, strings.ToUpper(h)):
		return "hex"
	}
	for run, encoding := range map[*regexp.Regexp]*base64.Encoding{
		base64Run: base64.RawStdEncoding, base64URLRun: base64.RawURLEncoding,
	} {
		for _, found := range run.FindAllString(text, -1) {
			for skip := range 4 {
				group := found[skip:]
				if len(group)%4 == 1 {
					group = group[:len(group)-1]
				}
				if b, err := encoding.DecodeString(group); err == nil && strings.Contains(string(b), value) {
					return "base64"
				}
			}
		}
	}
	return ""
}

// spelling is one random way to write value that the package promises to find.
func spelling(r *rand.Rand, value string) string {
	text := value
	switch r.IntN(5) {
	case 0:
		text = hex.EncodeToString([]byte(text))
	case 1:
		text = strings.ToUpper(hex.EncodeToString([]byte(text)))
	case 2, 3:
		encodings := []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding}
		around := func() string { return strings.Repeat("u:~\xff", 3)[:r.IntN(12)] }
		text = encodings[r.IntN(4)].EncodeToString([]byte(around() + text + around()))
	}
	if r.IntN(2) == 0 {
		text = spellPercent(r, text)
	}
	for range r.IntN(4) {
		if utf8.ValidString(text) {
			text = spellJSON(r, text)
		}
	}
	return text
}

// spellPercent encodes a random subset, and always what would be misread.
func spellPercent(r *rand.Rand, text string) string {
	var b strings.Builder
	form, density := r.IntN(2) == 0, r.IntN(4)
	for i := range len(text) {
		c := text[i]
		switch {
		case c == ' ' && form && r.IntN(2) == 0:
			b.WriteByte('+')
		case c == '%' || c == '+' && form || r.IntN(4) < density:
			b.WriteString(fmt.Sprintf([]string{"%%%02x", "%%%02X"}[r.IntN(2)], c))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func spellJSON(r *rand.Rand, text string) string {
	var b strings.Builder
	density := r.IntN(4)
	for _, char := range text {
		short := strings.IndexRune("\"\\/\b\f\n\r\t", char)
		must := char < 0x20 || char == '"' || char == '\\'
		switch {
		case short >= 0 && r.IntN(4) < 3:
			b.WriteByte('\\')
			b.WriteByte(`"\/bfnrt`[short])
		case must || r.IntN(4) < density:
			for _, unit := range utf16.Encode([]rune{char}) {
				b.WriteString(fmt.Sprintf([]string{`\u%04x`, `\u%04X`}[r.IntN(2)], unit))
			}
		default:
			b.WriteRune(char)
		}
	}
	return b.String()
}
