package dynamo_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

// canceled answers as DynamoDB does when it cancels a transaction.
func canceled(codes ...string) faultproxy.Effect {
	return func(w http.ResponseWriter, _ []byte, _ func([]byte) (*faultproxy.Answer, error)) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"`+faultproxy.Leak+
			`","CancellationReasons":[{"Code":"`+strings.Join(codes, `","Message":"`+faultproxy.Leak+`"},{"Code":"`)+`"}]}`)
	}
}

// nothing answers a read: there is no such item.
func nothing(w http.ResponseWriter, _ []byte, _ func([]byte) (*faultproxy.Answer, error)) {
	_, _ = io.WriteString(w, "{}")
}

func TestACanceledTransactionIsToldByItsReasons(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		codes []string
		want  error
		tries int
	}{
		"a condition":                 {[]string{"None", "ConditionalCheckFailed", "None"}, broker.ErrConflict, 1},
		"a condition among others":    {[]string{"TransactionConflict", "ConditionalCheckFailed", "ThrottlingError"}, broker.ErrConflict, 1},
		"throttled":                   {[]string{"None", "ThrottlingError"}, broker.ErrUnavailable, 1},
		"throttled while contended":   {[]string{"TransactionConflict", "ThrottlingError"}, broker.ErrUnavailable, 1},
		"no capacity":                 {[]string{"ProvisionedThroughputExceeded"}, broker.ErrUnavailable, 1},
		"a reason that is no code":    {[]string{faultproxy.Leak + " text"}, broker.ErrUnavailable, 1},
		"contended until it gives up": {[]string{"None", "TransactionConflict"}, broker.ErrUnavailable, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.New(t, nowhere)
			proxy.Inject(faultproxy.Rule{Operations: []string{"GetItem"}, Times: -1, Effect: nothing})
			proxy.Inject(faultproxy.Rule{Operations: []string{"TransactWriteItems"}, Times: -1, Effect: canceled(c.codes...)})
			err := dynamo.New(client(proxy.URL), tables, at(noon)).PutBinding(t.Context(), binding("prod", "card", broker.Actor{Anyone: true}))
			if !errors.Is(err, c.want) || strings.Contains(err.Error(), faultproxy.Leak) {
				t.Fatal(err)
			}
			if n := proxy.Count("TransactWriteItems"); n != c.tries {
				t.Fatalf("%d tries, want %d", n, c.tries)
			}
		})
	}
}

func TestAPolicySetIsThereOrItsTransactionSaysWhyNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		codes []string
		times int
		want  error
	}{
		"there already":                {[]string{"ConditionalCheckFailed", "None"}, -1, nil},
		"throttled":                    {[]string{"None", "ThrottlingError"}, -1, broker.ErrUnavailable},
		"contended for a while":        {[]string{"TransactionConflict"}, 3, nil},
		"contended until it gives up":  {[]string{"TransactionConflict"}, -1, broker.ErrUnavailable},
		"throttled beside a contender": {[]string{"TransactionConflict", "ThrottlingError"}, -1, broker.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.New(t, nowhere)
			left := proxy.Inject(faultproxy.Rule{Operations: []string{"TransactWriteItems"}, Times: c.times, Effect: canceled(c.codes...)})
			proxy.Inject(faultproxy.Rule{Operations: []string{"TransactWriteItems"}, Times: -1, Effect: nothing})
			err := dynamo.New(client(proxy.URL), tables, at(noon)).AddPolicySet(t.Context(), policySet("prod"))
			if !errors.Is(err, c.want) || err != nil && strings.Contains(err.Error(), faultproxy.Leak) {
				t.Fatal(err)
			}
			if c.times > 0 && left() != 0 {
				t.Fatalf("%d refusals are left", left())
			}
		})
	}
}

func TestTablesThatCannotBeMadeAreAFault(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, nowhere)
	proxy.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.Fail(400, "AccessDeniedException")})
	err := dynamo.Create(t.Context(), client(proxy.URL), tables)
	if !errors.Is(err, broker.ErrUnavailable) || strings.Contains(err.Error(), faultproxy.Leak) {
		t.Fatal(err)
	}
}
