package policy

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// Bounds of one request, and of the arguments of a call: Cedar's sets are hash
// tables whose hash a caller can aim at, and its evaluator recurses.
const (
	MaxValues = 4096
	MaxDepth  = 32
	maxNumber = 64 // bytes of a number that is read exactly
)

// unrepresentable is the type of what stands for a JSON value that Cedar has no
// word for: null, and numbers that are neither integers of 64 bits nor decimals
// of four places. It is there, so that "has" finds it; it equals only itself;
// to compare it by size is an error, at which a forbid forbids. Left out, it
// would slip by every rule that begins with "has".
const unrepresentable = "Unrepresentable"

// converter turns Go values into Cedar's. It notes what it cannot turn.
type converter struct {
	room   int
	failed bool
}

func (e EntityID) uid() cedar.EntityUID {
	return cedar.NewEntityUID(cedar.EntityType(e.Type), cedar.String(e.ID))
}

func (c *converter) add(all cedar.EntityMap, e Entity) {
	parents := make([]cedar.EntityUID, len(e.Parents))
	for i, p := range e.Parents {
		parents[i] = p.uid()
	}
	c.room -= len(parents)
	c.failed = c.failed || c.room < 0
	all[e.uid()] = cedar.Entity{
		UID: e.uid(), Parents: cedar.NewEntityUIDSet(parents...),
		Attributes: c.record(e.Attributes, 0), Tags: c.record(e.Tags, 0),
	}
}

func (c *converter) record(m map[string]any, depth int) cedar.Record {
	out := make(cedar.RecordMap, len(m))
	for name, v := range m {
		c.failed = c.failed || !utf8.ValidString(name)
		if out[cedar.String(name)] = c.value(v, depth+1); c.failed {
			return cedar.Record{}
		}
	}
	return cedar.NewRecord(out)
}

func (c *converter) value(v any, depth int) cedar.Value {
	if c.room--; c.room < 0 || depth > MaxDepth {
		c.failed = true
		return cedar.False
	}
	switch v := v.(type) {
	case nil:
		return cedar.NewEntityUID(unrepresentable, "null")
	case bool:
		return cedar.Boolean(v)
	case string:
		c.failed = c.failed || !utf8.ValidString(v)
		return cedar.String(v)
	case int:
		return cedar.Long(v)
	case int64:
		return cedar.Long(v)
	case float64:
		return number(strconv.FormatFloat(v, 'g', -1, 64))
	case json.Number:
		return number(v.String())
	case EntityID:
		return v.uid()
	case []string:
		return list(c, v, depth)
	case []any:
		return list(c, v, depth)
	case map[string]any:
		return c.record(v, depth)
	}
	c.failed = true
	return cedar.False
}

func list[T any](c *converter, v []T, depth int) cedar.Value {
	var out []cedar.Value
	for _, element := range v {
		if out = append(out, c.value(element, depth+1)); c.failed {
			return cedar.False
		}
	}
	return cedar.NewSet(out...)
}

// number reads a JSON number by its value, not its spelling: 1, 1.0 and 1e0 are
// one integer to most who receive them, so a rule about 1 must meet them all.
func number(text string) cedar.Value {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return cedar.Long(i)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return cedar.Long(f)
	}
	if err == nil && math.Abs(f) <= 1<<63 && len(text) <= maxNumber { // the power of ten is small, too
		if exact, ok := new(big.Rat).SetString(text); ok && exact.IsInt() && exact.Num().IsInt64() {
			return cedar.Long(exact.Num().Int64())
		}
	}
	if err == nil {
		if d, err := types.ParseDecimal(strconv.FormatFloat(f, 'f', -1, 64)); err == nil {
			return d
		}
	}
	return cedar.NewEntityUID(unrepresentable, cedar.String(text))
}
