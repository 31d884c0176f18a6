package secret_test

import (
	"errors"
	"strings"
	"testing"

	"bindery/shared/secret"
)

func TestOneMemberIsChangedAndTheOthersStayAsTheyAre(t *testing.T) {
	was := secret.New("{\"token\":\"made-up-old\", \"port\": 5432.00, \"nested\":{\"b\":[1,2e3]}, \"odd\":\"<&>\\u00e9\\u2028\", \"note\":null}")
	now, err := was.WithMember("token", secret.New("made-up \"<new>\" & \\ \u2028 value"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"nested":{"b":[1,2e3]},"note":null,"odd":"<&>` + `\u00e9\u2028` + `","port":5432.00,"token":"made-up \"<new>\" & \\ ` + `\u2028` + ` value"}`
	if now.Reveal() != want {
		t.Errorf("it became %s", now.Reveal())
	}
	members, err := now.Members()
	if err != nil || members["token"].Reveal() != "made-up \"<new>\" & \\ \u2028 value" {
		t.Errorf("the member does not read as it was given: %v", err)
	}
}

func TestAMemberThatCouldNotBeReadBackIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ whole, member string }{
		"no object": {"made-up-text", "x"}, "a list": {`["a"]`, "x"}, "a repeated name": {`{"a":"1","a":"2"}`, "x"}, "nothing": {"", "x"},
		"an empty member": {`{"a":"1"}`, ""}, "no UTF-8": {`{"a":"1"}`, "made-up-\xff"}, "a damaged one": {`{"a":"1"}`, "made-up-\ufffd"},
	} {
		got, err := secret.New(c.whole).WithMember("a", secret.New(c.member))
		if !errors.Is(err, secret.ErrNotObject) || !got.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "made-up") {
			t.Errorf("%s: the error repeats the material", name)
		}
	}
}
