package cost

import "time"

// Usual is the setting of the template: what its parameters are by default, a
// million calls a month, and one call in ten with a token that is new to API
// Gateway on its path.
func (s Stack) Usual(waiting time.Duration) Setting {
	return Setting{Waiting: waiting, Calls: million, MemoryMB: 512, Authorizer: 0.1, Window: s.Window, Lanes: s.Lanes, Traced: -1,
		AccessLog: s.AccessLog, Platform: assumedPlatform}
}

// Option trades something for money.
type Option struct {
	What  string
	Gives string    // what is given up
	Saves []float64 // dollars per million calls, for each waiting time; negative: it costs so much more
	Kept  float64   // dollars a month saved for each million calls kept
}

// Waits are the upstream's times that the tables give.
func Waits() []time.Duration { return []time.Duration{100 * time.Millisecond, time.Second} }

// Options are measured against calls with a secret from Secrets Manager.
func (p Prices) Options(m Measured, stack Stack) []Option {
	saves := func(mode Mode, change func(*Setting)) (all []float64) {
		for _, wait := range Waits() {
			usual, other := stack.Usual(wait), stack.Usual(wait)
			change(&other)
			all = append(all, p.Million(m.Modes[Static], m.Twenty, usual).Total()-p.Million(m.Modes[mode], m.Twenty, other).Total())
		}
		return all
	}
	by := func(change func(*Setting)) []float64 { return saves(Static, change) }
	as := func(mode Mode) []float64 { return saves(mode, func(*Setting) {}) }
	static := m.Modes[Static]
	return append([]Option{
		{What: "`max_age_seconds` on a card", Saves: as(StaticKept),
			Gives: "a value that the store changed by itself is used for up to `max_age_seconds` longer; what Bindery rotates, revokes or is told of counts at once"},
		{What: "a sealed value in place of Secrets Manager", Saves: as(Sealed), Gives: "the store's own rotation, policies and record of who read it"},
		{What: "a sealed value with `max_age_seconds`", Saves: as(SealedKept), Gives: "both of these"},
		{What: "`UseLimits` that count calls of two subjects", Saves: as(Limited), Gives: "it costs this more; without it nobody is held to calls a minute"},
		{What: "`Authorizer=none`", Saves: by(func(s *Setting) { s.Authorizer = 0 }), Gives: "clients do not see `WWW-Authenticate`, so some cannot log in by themselves"},
		{What: "`AuthorizerTtl=0`", Saves: by(func(s *Setting) { s.Authorizer = 1 }), Gives: "nothing is gained: the proxy judges each token itself"},
		{What: "`MemorySize=256`", Saves: by(func(s *Setting) { s.MemoryMB = 256 }), Gives: "`MaxAnswerBytes` must be 10 MB or less, and a call's own work takes twice as long"},
		{What: "`MemorySize=1024`", Saves: by(func(s *Setting) { s.MemoryMB = 1024 }), Gives: "half a processor more; only large answers need it"},
		{What: "`Architecture=x86_64`", Saves: by(func(s *Setting) { s.X86 = true }), Gives: "nothing is gained"},
	}, append(p.ledgerOptions(by, static, m), p.logOptions(by, static)...)...)
}

func (p Prices) ledgerOptions(by func(func(*Setting)) []float64, static Use, m Measured) []Option {
	stored := float64(static.IndexBytes) * million / gb
	eventual := p.usd("dynamodb_read", million*static.Reads/2)
	same := func(usd float64) []float64 { return []float64{usd, usd} }
	unit := func(provisioned, demand string, n float64) float64 {
		const used = 0.7 // of what is provisioned
		return p.usd(demand, million*n) - p.usd(provisioned, million*n/(3600*used))
	}
	writes, reads := static.Writes+static.Together.Writes, static.Reads+static.Together.Reads
	return []Option{
		{What: "the ledger's batches wait 60 s (`MaximumBatchingWindowInSeconds`)", Saves: by(func(s *Setting) { s.Window = time.Minute }),
			Gives: "the audit index, and what is told of it, follow a minute later"},
		{What: "the same, and one batch at a time (`ParallelizationFactor`)", Saves: by(func(s *Setting) { s.Window, s.Lanes = time.Minute, 1 }),
			Gives: "that, and after an outage the index takes four times as long to follow"},
		{What: "no ledger: its event source switched off", Saves: by(func(s *Setting) { s.NoLedger = true }), Kept: p.usd("dynamodb_storage", stored) + p.usd("dynamodb_pitr", stored),
			Gives: "nobody can ask the audit but by receipt, no exposure, no incident report, no alarm on an intent without outcome; it can be filled later, by one write per entry then"},
		{What: "no point-in-time recovery of the audit index", Saves: same(0), Kept: p.usd("dynamodb_pitr", stored),
			Gives: "after a loss it is filled anew from the audit table, which takes hours for many records"},
		{What: "class Standard-IA for audit and its index", Saves: same(-0.25 * p.usd("dynamodb_write", million*writes)),
			Kept: (p.usd("dynamodb_storage", 1) - p.usd("dynamodb_storage_ia", 1)) * (stored + float64(static.RecordBytes)*million/gb), Gives: "nothing; it pays after some months of records"},
		{What: "provisioned capacity with auto scaling, 70% used", Saves: same(unit("dynamodb_write_provisioned", "dynamodb_write", writes) + unit("dynamodb_read_provisioned", "dynamodb_read", reads)),
			Gives: "a rise that is faster than auto scaling is throttled, and a call that is throttled is refused; it wants steady load of ten calls a second or more"},
		{What: "eventually consistent reads", Saves: same(eventual), Gives: "**refused**: a revocation that was acknowledged would not yet be seen by every call"},
	}
}

func (p Prices) logOptions(by func(func(*Setting)) []float64, static Use) []Option {
	line := float64(static.LogBytes) * million / gb
	return []Option{
		{What: "`Tracing=false`", Saves: by(func(s *Setting) { s.Traced = 0 }), Gives: "X-Ray's view of a slow call; the metrics of each stage stay"},
		{What: "one trace in a hundred", Saves: by(func(s *Setting) { s.Traced = 0.01 }),
			Gives: "most single calls have no trace. A sampling rule of the account decides"},
		{What: "no access log", Saves: by(func(s *Setting) { s.AccessLog = 0 }), Gives: "requests that API Gateway refuses itself leave nothing"},
		{What: "Lambda's own lines off (`SystemLogLevel: WARN`)", Saves: by(func(s *Setting) { s.Platform = 0 }), Gives: "billed time and memory of single invocations; metrics have the sums"},
		{What: "`LogRetentionDays` 30 in place of 90", Saves: []float64{0, 0}, Kept: p.usd("logs_gb_month", line*2), Gives: "two months of lines; the evidence is in the audit table"},
	}
}
