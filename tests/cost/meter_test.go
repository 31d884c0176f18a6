//go:build e2e && !nojava

package cost

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
)

// meter stands in the AWS SDK: it asks DynamoDB for the capacity that each
// request consumed, and counts requests and units.
type meter struct {
	mu       sync.Mutex
	requests map[string]int
	reads    float64
	writes   float64
	during   []span
	delay    time.Duration // before each request, so that rounds show
}

type span struct{ from, to time.Time }

// reading are the operations whose capacity is read capacity.
var reading = []string{"GetItem", "Query", "BatchGetItem", "Scan"}

// on gives a configuration whose requests are counted.
func (m *meter) on(a aws.Config) aws.Config {
	a = a.Copy()
	a.APIOptions = append(slices.Clone(a.APIOptions), func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("meter", m.handle), middleware.After)
	})
	return a
}

func (m *meter) handle(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	operation := awsmiddleware.GetOperationName(ctx)
	if f := reflect.ValueOf(in.Parameters).Elem().FieldByName("ReturnConsumedCapacity"); f.IsValid() {
		f.Set(reflect.ValueOf(types.ReturnConsumedCapacityTotal))
	}
	from := time.Now()
	time.Sleep(m.delay)
	out, metadata, err := next.HandleInitialize(ctx, in)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[operation]++
	m.during = append(m.during, span{from, time.Now()})
	units := consumed(out.Result)
	if slices.Contains(reading, operation) {
		m.reads += units + unfound(in.Parameters, out.Result, units)
	} else {
		m.writes += units
	}
	return out, metadata, err
}

// unfound is what AWS takes for strongly consistent reads that find nothing, one
// unit each, and DynamoDB Local does not.
func unfound(in, out any, units float64) float64 {
	switch in := in.(type) {
	case *dynamodb.GetItemInput, *dynamodb.QueryInput:
		return max(0, 1-units)
	case *dynamodb.BatchGetItemInput:
		missing := 0
		for table, keys := range in.RequestItems {
			missing += len(keys.Keys)
			if got, ok := out.(*dynamodb.BatchGetItemOutput); ok && got != nil {
				missing -= len(got.Responses[table]) + len(got.UnprocessedKeys[table].Keys)
			}
		}
		return float64(missing)
	}
	return 0
}

// consumed is what an answer says of capacity, of all tables.
func consumed(result any) (units float64) {
	v := reflect.ValueOf(result)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return 0
	}
	f := v.Elem().FieldByName("ConsumedCapacity")
	if !f.IsValid() {
		return 0
	}
	switch c := f.Interface().(type) {
	case *types.ConsumedCapacity:
		if c != nil {
			units = aws.ToFloat64(c.CapacityUnits)
		}
	case []types.ConsumedCapacity:
		for _, one := range c {
			units += aws.ToFloat64(one.CapacityUnits)
		}
	}
	return units
}

// reset begins anew. Each request waits so long before it is sent.
func (m *meter) reset(delay time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests, m.reads, m.writes, m.during, m.delay = map[string]int{}, 0, 0, nil, delay
}

// read is what was counted: requests, units, and how many requests at most
// followed each other.
func (m *meter) read() (requests map[string]int, reads, writes float64, rounds int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	spans := slices.Clone(m.during)
	slices.SortFunc(spans, func(a, b span) int { return a.to.Compare(b.to) })
	var end time.Time
	for _, s := range spans {
		if s.from.After(end) {
			rounds, end = rounds+1, s.to
		}
	}
	return maps.Clone(m.requests), m.reads, m.writes, rounds
}

// count is how many requests there were.
func (m *meter) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.during)
}
