package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// TestAFailureIsLoggedWithItsCause: with a receipt, and what failed at what.
func TestAFailureIsLoggedWithItsCause(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.reader = unread{f.reader, fmt.Errorf("read an agent: %w: ProvisionedThroughputExceededException (HTTP 400)", broker.ErrUnavailable)}
	a := f.call(t, "admin", "GET", "/agents/corp:ide", nil).want(t, 503, "unavailable")
	for _, want := range []string{"request failed", a.Header().Get("Bindery-Receipt"), `"status":503`, "read an agent", "ProvisionedThroughputExceededException"} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("the log does not hold %q: %s", want, f.log)
		}
	}
}

type unread struct {
	broker.CatalogueReader
	fault error
}

func (u unread) Agent(context.Context, string, string) (broker.Agent, error) {
	return broker.Agent{}, u.fault
}

// TestNothingUnforeseenIsLogged: who wrote such an error is not known, so its
// text may be anything.
func TestNothingUnforeseenIsLogged(t *testing.T) {
	strange := errors.New(canary)
	for name, c := range map[string]struct {
		fault error
		want  string
	}{
		"a known fault":                {broker.ErrUnavailable, broker.ErrUnavailable.Error()},
		"known faults, put into words": {fmt.Errorf("read: %w: %w", broker.ErrUnavailable, context.DeadlineExceeded), "context deadline exceeded"},
		"an unknown one":               {strange, "*errors.errorString"},
		"an unknown one, wrapped":      {fmt.Errorf("read %s: %w", canary, strange), "*fmt.wrapError, *errors.errorString"},
		"one beside a known fault":     {errors.Join(strange, broker.ErrUnavailable), "*errors.joinError"},
	} {
		got := failureOf(c.fault)
		if !strings.Contains(got, c.want) || strings.Contains(got, canary) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestRefusalsOfOnePrincipalAreCounted: who asks in a loop for what they may not
// have does not fill the audit table, and nobody else's refusals are held back.
func TestRefusalsOfOnePrincipalAreCounted(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	now := time.Now()
	f.desk.Now = func() time.Time { return now }
	refused := func(who string) int {
		before := bytes.Count(f.recorded.Bytes(), []byte(`"phase":"refusal"`))
		f.call(t, who, "GET", "/servers/notes", nil).want(t, 403, "forbidden")
		return bytes.Count(f.recorded.Bytes(), []byte(`"phase":"refusal"`)) - before
	}
	recorded := 0
	for range 100 {
		recorded += refused("nobody")
	}
	if recorded == 0 || recorded > 50 {
		t.Errorf("%d refusals recorded of 100", recorded)
	}
	if refused("other") != 1 {
		t.Error("another principal's refusal was not recorded")
	}
	now = now.Add(time.Minute)
	a := f.call(t, "nobody", "GET", "/servers/notes", nil)
	if last := f.records(a); len(last) != 1 || last[0].Suppressed != 100-recorded {
		t.Errorf("of %d refusals that were held back the next record says: %+v", 100-recorded, last)
	}
}
