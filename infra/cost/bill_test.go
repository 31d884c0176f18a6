package cost_test

import (
	"math"
	"testing"
	"time"

	"bindery/infra/cost"
)

// TestABillByHand holds the arithmetic to one that was done by hand.
func TestABillByHand(t *testing.T) {
	p, _, _ := world(t)
	use := cost.Use{Rounds: 3, Requests: map[string]int{"GetSecretValue": 1, "Decrypt": 2}, Units: cost.Units{Reads: 10, Writes: 3},
		Together: cost.Units{Reads: 8, Writes: 14}, Apart: cost.Units{Reads: 10, Writes: 22}, Records: 2, LogLines: 1, LogBytes: 700}
	got := p.Million(use, cost.Units{}, cost.Setting{Waiting: time.Second, Calls: 1e6, MemoryMB: 512, Window: 2 * time.Second, Lanes: 4, Traced: 0.5, AccessLog: 300, Platform: 500})
	for what, c := range map[string]struct{ got, want float64 }{
		"gateway": {got.Gateway, 3.5},
		"proxy":   {got.Lambda, 0.20 + 1.029*0.5*13.3334},
		"tables":  {got.Tables, 10*0.125 + 3*0.625},
		"keys":    {got.Keys, 5 + 2*3},
		"ledger":  {got.Ledger, 9*0.125 + 18*0.625 + 1.5*(0.20+0.045*0.5*13.3334)}, // half of the intents come alone
		"traces":  {got.Traces, 0.5 * 5},
		"logs":    {got.Logs, 0.5 * (0.726 + 0.552 + 0.326 + 1.5*(0.110+0.500+0.078))},
	} {
		if math.Abs(c.got-c.want) > 0.001 {
			t.Errorf("%s: %.4f, want %.4f", what, c.got, c.want)
		}
	}
}

// TestXRaysOwnRule: everything up to one request a second, and of the others one
// in twenty.
func TestXRaysOwnRule(t *testing.T) {
	p, _, _ := world(t)
	seconds := 730 * 3600.0
	for calls, share := range map[float64]float64{0.5 * seconds: 1, 21 * seconds: 2.0 / 21} {
		got := p.Million(cost.Use{}, cost.Units{}, cost.Setting{Calls: calls, Traced: -1}).Traces
		if math.Abs(got-5*share) > 0.001 {
			t.Errorf("%.0f calls: %.4f, want %.4f", calls, got, 5*share)
		}
	}
}
