package telemetry

import (
	"log/slog"
	"time"
)

// Namespace is where all metrics are. Their one dimension is Dimension: each
// metric costs money by the number of values that its dimensions have, so what
// differs by server or person is a question to the log.
const (
	Namespace = "Bindery"
	Dimension = "Environment"
)

// Name is the name of a metric. It begins with a capital, and no other key of a
// line of the log does.
type Name string

// Is counts n, among attributes; among keys and values, the name is the key.
func (m Name) Is(n int) slog.Attr { return slog.Int64(string(m), int64(n)) }

// Took is a time in whole milliseconds.
func (m Name) Took(d time.Duration) slog.Attr { return slog.Int64(string(m), d.Milliseconds()) }

// The metrics of calls.
const (
	Calls              Name = "Calls"
	Refusals           Name = "Refusals"
	Unauthenticated    Name = "Unauthenticated"
	Undecided          Name = "Undecided"
	CredentialFailures Name = "CredentialFailures"
	UpstreamFailures   Name = "UpstreamFailures"
	MaskedValues       Name = "MaskedValues"
	WideMarkers        Name = "WideMarkers"

	AdmitTime    Name = "AdmitTime"
	DecideTime   Name = "DecideTime"
	ObtainTime   Name = "ObtainTime"
	UpstreamTime Name = "UpstreamTime"
	SettleTime   Name = "SettleTime"
	CallTime     Name = "CallTime"
)

// The metrics of what is looked after.
const (
	AuditFailures         Name = "AuditFailures"
	AWSThrottles          Name = "AWSThrottles"
	AWSRetries            Name = "AWSRetries"
	AuditChanged          Name = "AuditChanged"
	AuditUnreadable       Name = "AuditUnreadable"
	IndexLag              Name = "IndexLag"
	EventsNotTold         Name = "EventsNotTold"
	GrantsDead            Name = "GrantsDead"
	OutcomesUnknown       Name = "OutcomesUnknown"
	TokensNotRevoked      Name = "TokensNotRevoked"
	NoticesOpened         Name = "NoticesOpened"
	NoticesOpen           Name = "NoticesOpen"
	RotationFailures      Name = "RotationFailures"
	RevocationsIncomplete Name = "RevocationsIncomplete"
	StopsNotAcknowledged  Name = "StopsNotAcknowledged"
	IntentsWithoutOutcome Name = "IntentsWithoutOutcome"
	RowsUnreadable        Name = "RowsUnreadable"
	RefreshRuns           Name = "RefreshRuns"
	DriftRuns             Name = "DriftRuns"
	RotationRuns          Name = "RotationRuns"
	IntentRuns            Name = "IntentRuns"
	CleanupRuns           Name = "CleanupRuns"
)

// Units, as CloudWatch names them.
const (
	Count        = "Count"
	Milliseconds = "Milliseconds"
)

// Metric is one row of the table of metrics.
type Metric struct {
	Name Name
	Unit string
	From string // the functions that tell it
	Says string
}

// Metrics is the table: no line tells a metric that is not in it.
func Metrics() []Metric {
	return []Metric{
		{Calls, Count, "proxy", "requests of an authenticated caller, whatever came of them"},
		{Refusals, Count, "proxy", "of them: decided against, over a limit, or no message that is served"},
		{Unauthenticated, Count, "proxy", "requests without a token that is accepted; they are not among the calls"},
		{Undecided, Count, "proxy", "calls that were refused because something needed for the decision could not be read"},
		{CredentialFailures, Count, "proxy", "calls that were allowed and whose credential could not be obtained"},
		{UpstreamFailures, Count, "proxy", "calls that the upstream did not answer, or not with what may be relayed"},
		{MaskedValues, Count, "proxy", "occurrences of secrets that were taken out of answers"},
		{WideMarkers, Count, "proxy", "markers that every call reads: of groups, issuers, stores and the environment; absent where there is none"},
		{AdmitTime, Milliseconds, "proxy", "to judge the token and read the request"},
		{DecideTime, Milliseconds, "proxy", "to decide"},
		{ObtainTime, Milliseconds, "proxy", "to obtain the credential, with the record of the intent beside it"},
		{UpstreamTime, Milliseconds, "proxy", "from sending to the first byte of the upstream's answer"},
		{SettleTime, Milliseconds, "proxy", "to record the outcome"},
		{CallTime, Milliseconds, "proxy", "the whole of a call; not of lasting streams"},
		{AuditFailures, Count, "proxy, admin, callback, cleanup, revocation, rotation", "records that could not be stored"},
		{AWSThrottles, Count, "all", "answers of AWS that said to slow down"},
		{AWSRetries, Count, "all", "requests to AWS that were sent again"},
		{AuditChanged, Count, "ledger, cleanup", "records of the audit table that somebody changed or removed; markers and cases that somebody removed"},
		{AuditUnreadable, Count, "ledger", "rows of the audit table that are no records"},
		{IndexLag, Milliseconds, "ledger", "age of the oldest record of a batch when the audit index has it"},
		{EventsNotTold, Count, "outbox", "records that should be events and never will be"},
		{GrantsDead, Count, "ledger", "grants whose provider refuses them: somebody has to consent anew"},
		{OutcomesUnknown, Count, "ledger", "token requests that ended without an answer"},
		{TokensNotRevoked, Count, "ledger", "tokens that a provider was not told are over"},
		{NoticesOpened, Count, "ledger", "notices of drift that opened, a sum of many counted once"},
		{NoticesOpen, Count, "rotation", "notices of drift that are open"},
		{RotationFailures, Count, "ledger", "rotations that failed or were rolled back"},
		{RevocationsIncomplete, Count, "ledger", "revocations of which something could not be reached, each told once"},
		{StopsNotAcknowledged, Count, "revocation", "requests to stop or let go that were not carried out"},
		{IntentsWithoutOutcome, Count, "ledger", "intents of which no outcome was recorded in the longest time that a call can take, each told once"},
		{RowsUnreadable, Count, "admin, callback, ledger, rotation, cleanup", "rows, or parts of tables, that do not decode"},
		{RefreshRuns, Count, "rotation", "scheduled refreshes of grants that came to their end"},
		{DriftRuns, Count, "rotation", "scheduled searches for drift that came to their end"},
		{RotationRuns, Count, "rotation", "scheduled runs of rotations that came to their end"},
		{IntentRuns, Count, "ledger", "scheduled looks for intents without outcome that came to their end"},
		{CleanupRuns, Count, "cleanup", "scheduled runs of cleanup that came to their end"},
	}
}
