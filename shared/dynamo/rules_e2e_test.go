//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

// ruled stores one row of each kind that administrators and policies read.
func ruled(t *testing.T, s *dynamo.DB, env string) {
	t.Helper()
	must(t, s.AddPolicySet(t.Context(), policySet(env)), s.PutAssignment(t.Context(), assignment(env)),
		s.PutBinding(t.Context(), using(env, "card", "aws-sm:a#b")), s.PutSealed(t.Context(), sealed(env, 1)))
}

// testTripsOfRules holds each operation to its number of requests.
func testTripsOfRules(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	ruled(t, s, env)
	another, two := policySet(env), using(env, "two", "aws-sm:a#b")
	another.ID = strings.Repeat("1", 64)
	two.Fields = append(two.Fields, broker.Field{Name: "user", Reference: reference("aws-sm:c")})
	value := sealed(env, 1)
	value.ID = "other"
	for name, trip := range map[string]struct {
		requests int
		call     func() error
	}{
		"AddPolicySet":                {1, func() error { return s.AddPolicySet(t.Context(), another) }},
		"AddPolicySet, there already": {1, func() error { return s.AddPolicySet(t.Context(), policySet(env)) }},
		"PolicySet":                   {1, func() error { _, err := s.PolicySet(t.Context(), env, policySet(env).ID); return err }},
		"PolicySetNames":              {1, func() error { _, err := s.PolicySetNames(t.Context(), env, fullPage); return err }},
		"PutAssignment":               {1, func() error { v := assignment(env); v.Version = 1; return s.PutAssignment(t.Context(), v) }},
		"Assignment":                  {1, func() error { _, err := s.Assignment(t.Context(), env, "git"); return err }},
		"Assignments":                 {1, func() error { _, err := s.Assignments(t.Context(), env, fullPage); return err }},
		"UsesOfStore":                 {1, func() error { _, _, err := s.UsesOfStore(t.Context(), env, "aws-sm", "", 1); return err }},
		"UsesOfReference": {1, func() error {
			_, _, err := s.UsesOfReference(t.Context(), env, reference("aws-sm:a"), "", 1)
			return err
		}},
		"SealedNames":              {1, func() error { _, err := s.SealedNames(t.Context(), env, fullPage); return err }},
		"PutBinding, two secrets":  {2, func() error { return s.PutBinding(t.Context(), two) }},
		"PutSealed, first version": {3, func() error { return s.PutSealed(t.Context(), value) }},
		"PutSealed, the next":      {2, func() error { return s.PutSealed(t.Context(), sealed(env, 2)) }},
	} {
		proxy.ResetCounts()
		must(t, trip.call())
		if n := proxy.Count(""); n != trip.requests {
			t.Fatalf("%s costs %d requests, want %d", name, n, trip.requests)
		}
	}
}

// testNamesOfLongSets has a page of names cost no more than the names.
func testNamesOfLongSets(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	for i := range 8 {
		v := policySet(env)
		v.ID, v.Text, v.Tests = fmt.Sprintf("%064x", i), strings.Repeat("x", 256<<10), strings.Repeat("y", 64<<10)
		must(t, s.AddPolicySet(t.Context(), v))
	}
	proxy.ResetCounts()
	names, err := s.PolicySetNames(t.Context(), env, fullPage)
	must(t, err)
	if n := proxy.Count(""); n != 1 || len(names) != 8 {
		t.Fatalf("%d requests for %d names", n, len(names))
	}
}

// testDyingWriters has writers die after each of their requests.
func testDyingWriters(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	dies := func(after int, operation string, call func() error) {
		t.Helper()
		proxy.Clear()
		proxy.Inject(faultproxy.Rule{Operations: []string{operation}, Skip: after, Times: -1, Effect: faultproxy.Fail(400, "AccessDeniedException")})
		if err := call(); !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal(err)
		}
		proxy.Clear()
	}
	named := func(want ...string) {
		t.Helper()
		names, err := s.SealedNames(t.Context(), env, fullPage)
		must(t, err)
		if !slices.Equal(names, want) {
			t.Fatalf("listed: %q, want %q", names, want)
		}
	}
	put := func() error { return s.PutSealed(t.Context(), sealed(env, 1)) }
	stored := func(want error) {
		t.Helper()
		if _, err := s.Latest(t.Context(), env, "token"); !errors.Is(err, want) {
			t.Fatalf("read: %v, want %v", err, want)
		}
	}
	dies(0, "PutItem", put)
	named()
	stored(broker.ErrNotFound)
	dies(1, "PutItem", put)
	named("token")
	stored(broker.ErrNotFound)
	must(t, put()) // repeated
	named("token")
	stored(nil)
	dies(0, "TransactWriteItems", func() error { return s.PutBinding(t.Context(), using(env, "card", "aws-sm:a")) })
	uses, _, err := s.UsesOfStore(t.Context(), env, "aws-sm", "", 1)
	must(t, err)
	dies(0, "TransactWriteItems", func() error { return s.AddPolicySet(t.Context(), policySet(env)) })
	sets, err := s.PolicySetNames(t.Context(), env, fullPage)
	must(t, err)
	if len(uses) != 0 || len(sets) != 0 {
		t.Fatalf("found: %+v, %+v", uses, sets)
	}
}

// testLostValues loses the answer to the value itself, and not to its name.
func testLostValues(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	for version := int64(1); version <= 2; version++ {
		left := proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Skip: int(2 - version), Times: dynamo.Attempts, Effect: faultproxy.DropAnswer()})
		if err := s.PutSealed(t.Context(), sealed(env, version)); !errors.Is(err, broker.ErrUnavailable) || left() != 0 {
			t.Fatalf("%v, %d answers left", err, left())
		}
		must(t, s.PutSealed(t.Context(), sealed(env, version)))
	}
	values, err := s.Latest(t.Context(), env, "token")
	must(t, err)
	if len(values) != 2 || values[0].Version != 2 {
		t.Fatalf("stored: %+v", values)
	}
}

// testPagesOfUses has answers cut, and one after the other fail.
func testPagesOfUses(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	for i := range 7 {
		must(t, s.PutBinding(t.Context(), using(env, fmt.Sprint("card-", i), "aws-sm:a#b")))
	}
	cut := faultproxy.Rule{Operations: []string{"Query"}, Times: -1, Effect: faultproxy.CutPage(2)}
	proxy.Inject(cut)
	for _, limit := range []int{6, 7, 8} {
		uses, next, err := s.UsesOfStore(t.Context(), env, "aws-sm", "", limit)
		must(t, err)
		if len(uses) != min(limit, 7) || (next == "") != (limit > 6) {
			t.Fatalf("%d uses of 7 on a page of %d, next %q", len(uses), limit, next)
		}
	}
	for answered := range 4 {
		proxy.Clear()
		proxy.Inject(faultproxy.Rule{Operations: []string{"Query"}, Skip: answered, Times: -1, Effect: faultproxy.ServerError()})
		proxy.Inject(cut)
		if uses, next, err := s.UsesOfReference(t.Context(), env, reference("aws-sm:a"), "", 7); !errors.Is(err, broker.ErrUnavailable) || uses != nil || next != "" {
			t.Fatalf("failed after %d: %v beside %d uses", answered, err, len(uses))
		}
	}
}

func using(environment, name, r string) broker.Binding {
	b := binding(environment, name, broker.Actor{Anyone: true})
	b.Fields = []broker.Field{{Name: "token", Reference: reference(r)}}
	return b
}
