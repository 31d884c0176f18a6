package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
	texttemplate "text/template"

	"bindery/shared/secret"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/google/go-cmp/cmp"
)

const canary = "canary-7f3a9c51e2d84b06"

// spellings are the forms in which printing or marshaling could show the
// canary. Its first half is enough to count as shown.
func spellings() map[string]string {
	half := []byte(canary[:12])
	padded := append([]byte("xxx"), half...)
	return map[string]string{
		"raw":             string(half),
		"hex":             hex.EncodeToString(half),
		"HEX":             strings.ToUpper(hex.EncodeToString(half)),
		"spaced hex":      strings.TrimSpace(fmt.Sprintf("% x", half)),
		"Go bytes":        strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", half), "[]byte{"), "}"),
		"decimal bytes":   strings.Trim(fmt.Sprint(half), "[]"),
		"octal bytes":     strings.Trim(fmt.Sprintf("%o", half), "[]"),
		"base64":          base64.RawStdEncoding.EncodeToString(half),
		"base64, shift 1": base64.RawStdEncoding.EncodeToString(padded[2:])[2:16],
		"base64, shift 2": base64.RawStdEncoding.EncodeToString(padded[1:])[3:16],
	}
}

func wantNoCanary(t *testing.T, how, shown string) {
	t.Helper()
	for name, spelling := range spellings() {
		if strings.Contains(shown, spelling) {
			t.Errorf("%s shows the material (%s)", how, name)
		}
	}
}

type open struct {
	Name  string
	Value secret.Value
}

type closed struct {
	name  string
	value secret.Value
}

type nested struct {
	Open   open
	closed closed
	Any    any
	any    any
	List   []secret.Value
	list   []secret.Value
	Map    map[string]secret.Value
	byName map[string]closed
	Array  [2]secret.Value
	Ptr    *secret.Value
	ptr    *closed
	secret.Value
}

// holders puts the canary everywhere a program can keep a value.
func holders() map[string]any {
	v := secret.New(canary)
	c := closed{name: "n", value: v}
	n := nested{
		Open: open{"n", v}, closed: c, Any: v, any: v, List: []secret.Value{v}, list: []secret.Value{v},
		Map: map[string]secret.Value{"k": v}, byName: map[string]closed{"k": c}, Array: [2]secret.Value{v, v},
		Ptr: &v, ptr: &c, Value: v,
	}
	return map[string]any{
		"Value": v, "*Value": &v, "struct": open{"n", v}, "*struct": &open{"n", v},
		"unexported field": c, "*unexported field": &c, "nested": n, "*nested": &n,
		"slice": []secret.Value{v}, "slice of pointers": []*secret.Value{&v}, "any slice": []any{v, c, &c},
		"map": map[string]secret.Value{"k": v}, "any map": map[string]any{"k": v, "c": c, "p": &c},
		"map in field": map[string]closed{"k": c}, "reflect.Value": reflect.ValueOf(c), "array": [1]closed{c},
		"method value": v.String, "channel": make(chan secret.Value), "error": holderError{c},
	}
}

// holderError prints its fields, the way a careless error type does.
type holderError struct{ c closed }

func (e holderError) Error() string { return fmt.Sprintf("%v %+v %#v", e.c, e.c, e.c) }

// attempt is what f returns, or the text of its panic: some marshalers refuse
// a type that way.
func attempt(f func() string) (shown string) {
	defer func() {
		if p := recover(); p != nil {
			shown = fmt.Sprintf("%v %+v %#v", p, p, p)
		}
	}()
	return f()
}

func TestTheScanSeesALeak(t *testing.T) {
	for name, shown := range map[string]string{
		"raw": canary, "hex": fmt.Sprintf("%x", canary), "HEX": fmt.Sprintf("%X", canary),
		"spaced hex": fmt.Sprintf("% x", canary), "Go bytes": fmt.Sprintf("%#v", []byte(canary)),
		"decimal bytes": fmt.Sprint([]byte(canary)), "octal bytes": fmt.Sprintf("%o", []byte(canary)),
		"base64":          base64.StdEncoding.EncodeToString([]byte(canary)),
		"base64, shift 1": base64.StdEncoding.EncodeToString([]byte("a" + canary)),
		"base64, shift 2": base64.StdEncoding.EncodeToString([]byte("ab" + canary)),
	} {
		if !strings.Contains(shown, spellings()[name]) {
			t.Errorf("%s: not seen", name)
		}
	}
}

func TestRevealIsTheOnlyWayOut(t *testing.T) {
	v, zero := secret.New(canary), secret.New("")
	if v.Reveal() != canary || v.Len() != len(canary) || v.IsZero() {
		t.Error("Reveal, Len or IsZero disagree with New")
	}
	if !zero.IsZero() || zero.Reveal() != "" || zero.Len() != 0 || !zero.Equal(secret.Value{}) {
		t.Error("the empty material is not the zero Value")
	}
	if !v.Equal(secret.New(canary)) || v.Equal(secret.New(canary+"x")) || v.Equal(zero) {
		t.Error("Equal is wrong")
	}
	if reflect.TypeFor[secret.Value]().Comparable() {
		t.Error("== compiles, and compares in a time that depends on the material")
	}
}

func TestFmtShowsNothing(t *testing.T) {
	for holder, x := range holders() {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "# ", "100", ".3", "-40.2", "#+0 "} {
				format := "%" + flags + string(verb)
				wantNoCanary(t, format+" of "+holder, fmt.Sprintf(format, x))
			}
		}
		wantNoCanary(t, "Sprint of "+holder, fmt.Sprint(x)+fmt.Sprintln(x)+fmt.Sprintf("%[1]*[1]v", x))
		wantNoCanary(t, "Quote of "+holder, strconv.Quote(fmt.Sprint(x))+strconv.QuoteToASCII(fmt.Sprintf("%#v", x)))
	}
}

func TestErrorsShowNothing(t *testing.T) {
	for holder, x := range holders() {
		err := fmt.Errorf("read %v %+v %#v %q: %w", x, x, x, x, errors.Join(fmt.Errorf("inner %v", x), holderError{}))
		wantNoCanary(t, "Errorf of "+holder, fmt.Sprintf("%v %+v %#v", err, err, err))
		if e, ok := x.(error); ok {
			wantNoCanary(t, "wrapped "+holder, fmt.Sprintf("%+v", fmt.Errorf("wrap: %w", e)))
		}
	}
}

func TestSlogShowsNothing(t *testing.T) {
	options := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	for holder, x := range holders() {
		var b bytes.Buffer
		for _, h := range []slog.Handler{slog.NewJSONHandler(&b, options), slog.NewTextHandler(&b, options)} {
			log := slog.New(h).With("with", x).WithGroup("group").With("grouped", x)
			log.Info("message", "attr", x, slog.Any("any", x), slog.Group("inner", "x", x, "list", []any{x}))
			log.Error("message", "err", fmt.Errorf("%v", x), "value", slog.AnyValue(x), "!", x)
			log.Debug(fmt.Sprint(x), x)
		}
		wantNoCanary(t, "slog of "+holder, b.String())
	}
}

func TestEncodersShowNothing(t *testing.T) {
	encoders := map[string]func(any) (string, error){
		"json": func(x any) (string, error) { b, err := json.Marshal(x); return string(b), err },
		"json indent": func(x any) (string, error) {
			b, err := json.MarshalIndent(x, "", " ")
			return string(b), err
		},
		"xml": func(x any) (string, error) { b, err := xml.Marshal(x); return string(b), err },
		"gob": func(x any) (string, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(x)
			return b.String(), err
		},
	}
	for holder, x := range holders() {
		for name, encode := range encoders {
			shown, err := encode(x)
			wantNoCanary(t, name+" of "+holder, shown+fmt.Sprint(err))
		}
	}
	if b, err := json.Marshal(secret.New(canary)); err != nil || string(b) != `"`+secret.Redacted+`"` {
		t.Errorf("json of a Value: %s, %v", b, err)
	}
}

func TestDynamoDBMarshalerShowsNothing(t *testing.T) {
	text := func(o *attributevalue.EncoderOptions) { o.UseEncodingMarshalers = true }
	for holder, x := range holders() {
		for _, options := range [][]func(*attributevalue.EncoderOptions){nil, {text}} {
			wantNoCanary(t, "attributevalue of "+holder, attempt(func() string {
				av, err := attributevalue.MarshalWithOptions(x, options...)
				shown, _ := json.Marshal(av)
				return fmt.Sprintf("%s %v %#v", shown, err, av)
			}))
			wantNoCanary(t, "attributevalue map of "+holder, attempt(func() string {
				m, err := attributevalue.MarshalMapWithOptions(x, options...)
				shown, _ := json.Marshal(m)
				return fmt.Sprintf("%s %v", shown, err)
			}))
		}
	}
}

func TestTemplatesShowNothing(t *testing.T) {
	const source = `{{.}} {{printf "%v %+v %#v %s %q %x" . . . . . .}} {{print .}} {{html .}} {{js .}} {{urlquery .}}`
	plain := texttemplate.Must(texttemplate.New("").Parse(source))
	page := htmltemplate.Must(htmltemplate.New("").Parse(
		`<a href="/?q={{.}}" onclick="f({{.}})">{{.}}</a><script>var x = {{.}}</script><style>p{color:{{.}}}</style>`))
	for holder, x := range holders() {
		var b bytes.Buffer
		err := errors.Join(plain.Execute(&b, x), page.Execute(&b, x))
		wantNoCanary(t, "template of "+holder, b.String()+fmt.Sprint(err))
	}
}

func TestCmpDiffShowsNothing(t *testing.T) {
	everything := cmp.Exporter(func(reflect.Type) bool { return true })
	other := secret.New("something else")
	for name, diff := range map[string]func() string{
		"Value":                 func() string { return cmp.Diff(secret.New(canary), other) },
		"exported field":        func() string { return cmp.Diff(open{"n", secret.New(canary)}, open{"m", other}) },
		"slice":                 func() string { return cmp.Diff([]secret.Value{secret.New(canary)}, []secret.Value{other}) },
		"unexported, no option": func() string { return cmp.Diff(closed{"n", secret.New(canary)}, closed{"m", other}) },
		"unexported, allowed": func() string {
			return cmp.Diff(closed{"n", secret.New(canary)}, closed{"m", other}, cmp.AllowUnexported(closed{}))
		},
		"unexported, Value opened": func() string {
			return cmp.Diff(closed{"n", secret.New(canary)}, closed{"m", other}, cmp.AllowUnexported(closed{}, secret.Value{}))
		},
		"unexported, everything": func() string { return cmp.Diff(closed{"n", secret.New(canary)}, closed{"m", other}, everything) },
		"in any":                 func() string { return cmp.Diff(map[string]any{"k": secret.New(canary)}, map[string]any{"k": 1}) },
	} {
		shown := attempt(diff) // go-cmp panics at unexported fields it may not see
		if shown == "" {
			t.Errorf("%s: no difference shown", name)
		}
		wantNoCanary(t, "cmp.Diff of "+name, shown)
	}
}

// A dying process prints what it was thrown, and a trace of its goroutines.
func TestUncaughtPanicShowsNothing(t *testing.T) {
	const variable = "SECRET_TEST_PANIC"
	if holder := os.Getenv(variable); holder != "" {
		dieWith(holders()[holder], secret.New(canary))
	}
	for holder := range holders() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestUncaughtPanicShowsNothing$")
		cmd.Env = append(os.Environ(), variable+"="+holder, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("panic:")) || !bytes.Contains(out, []byte("goroutine ")) {
			t.Fatalf("%s: the process did not panic: %v", holder, err)
		}
		wantNoCanary(t, "panic with "+holder, string(out))
	}
}

//go:noinline
func dieWith(x any, v secret.Value) {
	defer func() { panic(fmt.Errorf("second: %v: %w", v, holderError{closed{value: v}})) }()
	panic(x)
}
