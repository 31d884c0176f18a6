package cost

import (
	"math"
	"time"
)

const (
	million = 1e6
	gb      = 1e9
	month   = 730 * time.Hour
)

// Setting is what a bill depends on besides the mode: what the stack's
// parameters say, how long upstreams take, and how much is called.
type Setting struct {
	Waiting    time.Duration // for the upstream
	Calls      float64       // a month, spread evenly
	MemoryMB   float64       // of the proxy
	X86        bool
	Authorizer float64       // share of calls for which API Gateway asks the authorizer
	Window     time.Duration // of the ledger's batches
	Traced     float64       // share of requests that X-Ray records; negative: its default rule
	NoLedger   bool
	Lanes      int // in which it reads at once
	AccessLog  int // bytes of its line; 0: none
	Platform   int // bytes of Lambda's own lines of one invocation
}

// What nobody can measure without AWS, and is assumed.
const (
	assumedRound    = 8 * time.Millisecond // one round of requests to AWS
	assumedOwn      = 5 * time.Millisecond // a call's own processor time on a third of a processor
	assumedPlatform = 500                  // bytes of Lambda's own two lines of one invocation
	authorizerTime  = 5 * time.Millisecond
	authorizerMB    = 256
	ledgerMB        = 512
	ledgerRounds    = 5
	lineOverhead    = 26 // bytes that CloudWatch Logs adds to each line
)

// Bill is what a million calls cost, in dollars.
type Bill struct {
	Gateway    float64
	Lambda     float64
	Authorizer float64
	Tables     float64 // DynamoDB, for the call itself
	Ledger     float64 // function and index
	Keys       float64 // Secrets Manager and KMS
	Logs       float64
	Traces     float64
}

// Total is the sum.
func (b Bill) Total() float64 {
	return b.Gateway + b.Lambda + b.Authorizer + b.Tables + b.Ledger + b.Keys + b.Logs + b.Traces
}

// Million gives the bill of a million calls of one mode.
func (p Prices) Million(u Use, twenty Units, s Setting) Bill {
	took := time.Duration(u.Rounds)*assumedRound + assumedOwn
	if u.reached() {
		took += s.Waiting
	}
	b := Bill{
		Gateway:    p.usd("rest_api_request", million),
		Lambda:     p.lambda(took, s.MemoryMB, s.X86),
		Authorizer: s.Authorizer * p.lambda(authorizerTime, authorizerMB, s.X86),
		Tables:     p.units(u.Units),
		Keys:       p.keys(u),
		Traces:     p.usd("trace", million*traced(s.Traced, s.Calls)),
	}
	bytes := float64(u.LogBytes) + float64(s.Platform) + float64(u.LogLines+2)*lineOverhead + s.Authorizer*float64(s.Platform)
	if s.AccessLog > 0 {
		bytes += float64(s.AccessLog + lineOverhead)
	}
	if u.Records > 0 && !s.NoLedger {
		ledger, logged := p.ledger(u, twenty, s)
		b.Ledger, bytes = ledger, bytes+logged
	}
	b.Logs = p.usd("logs_gb", bytes*million/gb)
	return b
}

// reached reports whether the upstream was asked: who is refused leaves one
// record, and who is nobody none.
func (u Use) reached() bool { return u.Records > 1 }

func (p Prices) lambda(took time.Duration, memoryMB float64, x86 bool) float64 {
	price := "lambda_arm64"
	if x86 {
		price = "lambda_x86_64"
	}
	ms := math.Ceil(float64(took) / float64(time.Millisecond)) // as it is billed
	return p.usd("lambda_request", million) + p.usd(price, million*ms/1000*memoryMB/1024)
}

func (p Prices) units(u Units) float64 {
	return p.usd("dynamodb_read", million*u.Reads) + p.usd("dynamodb_write", million*u.Writes)
}

func (p Prices) keys(u Use) float64 {
	kms := 0
	for _, operation := range []string{"Decrypt", "GenerateDataKey", "Sign"} {
		kms += u.Requests[operation]
	}
	return p.usd("secret_request", million*float64(u.Requests["GetSecretValue"])) + p.usd("kms_request", million*float64(kms))
}

// ledger is what a million calls cost in the ledger: its function and what it
// writes, and the bytes that one call leaves in its log. It is not traced.
func (p Prices) ledger(u Use, twenty Units, s Setting) (usd, logged float64) {
	units, batches := u.Together, 1.0
	if n := s.Calls / month.Seconds() * s.Window.Seconds() / float64(s.Lanes); n > 1 {
		batches = 1 / n
		if u.Together.Writes > twenty.Writes { // what calls of one batch share is written once
			share := max(0, (batches-1.0/Twenty)/(1-1.0/Twenty))
			units = Units{twenty.Reads + share*(u.Together.Reads-twenty.Reads), twenty.Writes + share*(u.Together.Writes-twenty.Writes)}
		}
	}
	if apart := s.Waiting.Seconds() / s.Window.Seconds(); u.reached() && apart > 0 {
		apart = min(1, apart) // intent and outcome in two batches
		units.Reads += apart * (u.Apart.Reads - u.Together.Reads)
		units.Writes += apart * (u.Apart.Writes - u.Together.Writes)
		batches = min(1, batches) * (1 + apart*min(1, batches))
	}
	usd = p.units(units) + batches*p.lambda(ledgerRounds*assumedRound+assumedOwn, ledgerMB, s.X86)
	return usd, batches * (assumedLedgerLine + float64(s.Platform) + 3*lineOverhead)
}

// assumedLedgerLine is the length of the line that the ledger writes for a batch.
const assumedLedgerLine = 110

// traced is the share of requests that X-Ray records by its default rule: the
// first of each second, and one in twenty of the others.
func traced(share, calls float64) float64 {
	if share >= 0 {
		return share
	}
	rate := calls / month.Seconds()
	if rate <= 1 {
		return 1
	}
	return (1 + (rate-1)/20) / rate
}

// Kept is what a million calls cost each month for as long as their records are
// kept, with recovery to any point in time.
func (p Prices) Kept(u Use) (audit, index float64) {
	of := func(bytes Bytes) float64 {
		stored := float64(bytes) * million / gb
		return p.usd("dynamodb_storage", stored) + p.usd("dynamodb_pitr", stored)
	}
	return of(u.RecordBytes), of(u.IndexBytes)
}

// lookEvery is how often an open stream is looked after (functions/proxy/handler).
const lookEvery = 2400 * time.Millisecond

// Minutes gives what a million minutes of open streams cost besides their
// opening: the function's memory, and what is read in between.
func (p Prices) Minutes(look Units, s Setting) (memory, tables float64) {
	looks := float64(time.Minute) / float64(lookEvery)
	memory = p.lambda(time.Minute, s.MemoryMB, s.X86) - p.usd("lambda_request", million)
	return memory, p.units(Units{look.Reads * looks, look.Writes * looks})
}
