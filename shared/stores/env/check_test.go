package env

import (
	"errors"
	"slices"
	"testing"

	"bindery/shared/broker"
)

func registered(paths ...string) broker.Want {
	return broker.Want{Environment: "prod", Store: broker.Store{Name: "env", Kind: "env", Paths: paths}}
}

func TestCheckNamesWhatIsNotSet(t *testing.T) {
	v := variables{"BINDERY_SECRET_A": "made-up", "BINDERY_SECRET_B": ""}
	check, err := New(v.lookup).Check(t.Context(), registered("BINDERY_SECRET_A", "BINDERY_SECRET_B", "BINDERY_SECRET_C"), nil)
	if err != nil || len(check.Warnings) != 1 || check.Warnings[0].Word != broker.VariableOff || check.LeastPolicy == "" ||
		!slices.Equal(check.Warnings[0].Names, []string{"BINDERY_SECRET_B", "BINDERY_SECRET_C"}) {
		t.Errorf("%+v, %v", check, err)
	}
	if check, err := New(v.lookup).Check(t.Context(), registered("BINDERY_SECRET_A"), nil); err != nil || len(check.Warnings) != 0 {
		t.Errorf("%+v, %v", check, err)
	}
}

// TestARowThatNamesOtherVariablesLearnsNothing of them: not even whether they are set.
func TestARowThatNamesOtherVariablesLearnsNothing(t *testing.T) {
	v := variables{"AWS_SECRET_ACCESS_KEY": "made-up-role-key"}
	if _, err := New(v.lookup).Check(t.Context(), registered("AWS_SECRET_ACCESS_KEY"), nil); !errors.Is(err, broker.ErrStoreDenied) {
		t.Errorf("check: %v", err)
	}
	if found, _, err := New(v.lookup).List(t.Context(), registered("*"), "", 10); !errors.Is(err, broker.ErrStoreDenied) || len(found) > 0 {
		t.Errorf("list: %v %v", found, err)
	}
}

func TestListGivesTheVariablesThatAreSetByPages(t *testing.T) {
	v := variables{"BINDERY_SECRET_A": "made-up", "BINDERY_SECRET_B": "made-up", "BINDERY_SECRET_C": "made-up", "BINDERY_SECRET_OTHER": "made-up"}
	w := registered("BINDERY_SECRET_C", "BINDERY_SECRET_D", "BINDERY_SECRET_A", "BINDERY_SECRET_B")
	var got []string
	for after, pages := "", 0; ; pages++ {
		found, next, err := New(v.lookup).List(t.Context(), w, after, 2)
		if err != nil || pages > 2 {
			t.Fatal(pages, err)
		}
		for _, r := range found {
			got = append(got, r.String())
		}
		if after = next; next == "" {
			break
		}
	}
	if !slices.Equal(got, []string{"env:BINDERY_SECRET_A", "env:BINDERY_SECRET_B", "env:BINDERY_SECRET_C"}) {
		t.Errorf("listed %v", got)
	}
}
