package cost

import "time"

// Stack is what the template says that costs money whether or not anybody calls.
type Stack struct {
	Keys, Alarms, Dashboards int
	Metrics                  int // that the functions tell
	Methods                  int // of the API, each with metrics of its own where Detailed
	Detailed                 bool
	Runs                     int           // of functions by schedules, a month
	TracedRuns               int           // of those
	AccessLog                int           // bytes of one line
	Window                   time.Duration // for which the ledger's batches wait
	Lanes                    int           // in which the ledger reads a shard at once
}
