package secret

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestMembersAreTheTopLevelStrings(t *testing.T) {
	members, err := New(` { "a" : "one", "A":"two", "\u0062":"\u00e9\n", "n":1, "t":true, "z":null, "l":["x"], "o":{"a":"x","a":"y"}, "e":"", "s":"\ud800", "r":"\ufffd" } `).Members()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "one", "A": "two", "b": "\u00e9\n"} {
		if !members[name].Equal(New(want)) {
			t.Errorf("member %q has another value", name)
		}
		delete(members, name)
	}
	if len(members) != 8 {
		t.Errorf("%d other members, want 8", len(members))
	}
	for name, value := range members {
		if !value.IsZero() {
			t.Errorf("member %q counts as a usable string", name)
		}
	}
	if members, err := New("{}").Members(); err != nil || len(members) != 0 {
		t.Errorf("an empty object: %d members, %v", len(members), err)
	}
}

// Two readers of the same bytes must not see different secrets.
func TestMaterialThatIsNotExactlyOneObjectIsRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "null", "17", `"a"`, `["a"]`, "{", "}", `{"a"}`, `{"a":}`, `{"a":"b",}`, `{,}`, `{"a":"b"`, `{"a":"b"}}`, `{"a":"b"} {}`,
		`{"a":"b"}x`, `{"a":"b"}` + "\x00", `{"a":"b","a":"b"}`, `{"a":"b","\u0061":"c"}`, `{"a":"b" "c":"d"}`, `{"a":'b'}`, `{a:"b"}`,
		`{"a":"b"/**/}`, "\ufeff{}", "{\"a\":\"\xff\"}", "{\"a\":\"b\n\"}", `{"a":{"b":}}`, `{"a":01}`,
	} {
		if members, err := New(text).Members(); !errors.Is(err, ErrNotObject) || members != nil {
			t.Errorf("%q: %v, want ErrNotObject", text, err)
		}
	}
}

func FuzzMembers(f *testing.F) {
	for _, seed := range []string{`{"a":"b","c":{"d":[1,2,{}]}}`, `{"a":"b","a":"c"}`, `{"a":"\ud83d\ude00"}`, "{\"\xff\":1}", "nul", `{"a":"b"} `} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		members, err := New(text).Members()
		if err != nil {
			if err != ErrNotObject || members != nil {
				t.Fatalf("the refusal says %q", err)
			}
			return
		}
		var plain map[string]any
		if json.Unmarshal([]byte(text), &plain) != nil || len(plain) != len(members) {
			t.Fatalf("encoding/json reads %d members, Members %d", len(plain), len(members))
		}
		for name, value := range members {
			if s, ok := plain[name].(string); !value.IsZero() && (!ok || s != value.Reveal()) {
				t.Fatalf("member %q is another one", name)
			}
		}
	})
}
