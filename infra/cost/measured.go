package cost

import (
	_ "embed" // what tests/cost measured
	"encoding/json"
	"fmt"
)

// Units are capacity units of DynamoDB.
type Units struct {
	Reads  float64 `json:"reads"`
	Writes float64 `json:"writes"`
}

// Bytes are a size. It depends a little on names, ports and times.
type Bytes int

// Use is what one call used.
type Use struct {
	Requests    map[string]int `json:"requests"` // by operation
	Rounds      int            `json:"rounds"`   // of requests that waited for each other
	Units                      // of the call itself
	Apart       Units          `json:"apart"`    // of the ledger, where intent and outcome come in two batches
	Together    Units          `json:"together"` // and where they come in one
	Records     int            `json:"records"`
	RecordBytes Bytes          `json:"record_bytes"` // in the audit table
	IndexBytes  Bytes          `json:"index_bytes"`  // in its index
	LogLines    int            `json:"log_lines"`
	LogBytes    Bytes          `json:"log_bytes"`
}

// Twenty calls are in one batch of the ledger where batches are measured.
const Twenty = 20

// Measured is what tests/cost wrote down.
type Measured struct {
	Modes  map[Mode]Use `json:"modes"`
	Look   Units        `json:"look"`   // each time that an open stream is looked after
	Twenty Units        `json:"twenty"` // of the ledger for each of Twenty calls in one batch
}

//go:embed measured.json
var measured []byte

// Load reads what was measured.
func Load() (Measured, error) {
	var m Measured
	if err := json.Unmarshal(measured, &m); err != nil {
		return m, fmt.Errorf("read what was measured: %w", err)
	}
	return m, nil
}
