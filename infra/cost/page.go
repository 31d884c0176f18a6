package cost

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Tables are the tables of docs/cost.md by their names.
func Tables(p Prices, m Measured, stack Stack) map[string]string {
	return map[string]string{
		"headline": headline(p, m, stack),
		"modes":    modes(p, m, stack),
		"parts":    parts(p, m, stack),
		"streams":  streams(p, m, stack),
		"months":   months(p, m, stack),
		"fixed":    fixed(p, stack),
		"options":  options(p, m, stack),
		"others":   others(p, m, stack),
		"prices":   prices(p),
	}
}

// inOrder are the modes as the page lists them.
func inOrder() []Mode {
	return []Mode{Static, StaticKept, Sealed, SealedKept, Grant, GrantRefreshed, Client, ClientNew, Exchange, ExchangeNew, Vault, Env,
		List, Session, Limited, Stream, Markers100, Markers1000, Question, Refused, Unauthenticated}
}

func usd(v float64) string { return fmt.Sprintf("%.2f", v) }

func said(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func head(cells ...string) *strings.Builder {
	b := &strings.Builder{}
	row(b, cells...)
	b.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
	return b
}

// Headline are the dollars of a million usual calls, by how long upstreams take.
func Headline(p Prices, m Measured, stack Stack) (all []float64) {
	for _, wait := range Waits() {
		all = append(all, p.Million(m.Modes[Static], m.Twenty, stack.Usual(wait)).Total())
	}
	return all
}

func headline(p Prices, m Measured, stack Stack) string {
	all := Headline(p, m, stack)
	return fmt.Sprintf("A million calls cost about **$%.0f** where upstreams take 100 ms and **$%.0f** where they take 1 s, $%.0f and $%.0f of that for the audit index.\n",
		all[0], all[1], p.Million(m.Modes[Static], m.Twenty, stack.Usual(Waits()[0])).Ledger, p.Million(m.Modes[Static], m.Twenty, stack.Usual(Waits()[1])).Ledger)
}

func modes(p Prices, m Measured, stack Stack) string {
	b := head("mode", "requests", "rounds", "read units", "write units", "of the index: read, write", "$ at 100 ms", "$ at 1 s")
	for _, mode := range inOrder() {
		u := m.Modes[mode]
		requests := 0
		for _, n := range u.Requests {
			requests += n
		}
		cells := []string{string(mode), fmt.Sprint(requests), fmt.Sprint(u.Rounds), fmt.Sprint(u.Reads), fmt.Sprint(u.Writes),
			fmt.Sprintf("%v, %v to %v", u.Together.Reads, u.Together.Writes, u.Apart.Writes)}
		for _, wait := range Waits() {
			cells = append(cells, usd(p.Million(u, m.Twenty, stack.Usual(wait)).Total()))
		}
		row(b, cells...)
	}
	return b.String()
}

func parts(p Prices, m Measured, stack Stack) string {
	b := head("mode, at 1 s", "API Gateway", "proxy", "authorizer", "tables", "audit index", "Secrets Manager, KMS", "logs", "traces", "sum")
	for _, mode := range inOrder() {
		one := p.Million(m.Modes[mode], m.Twenty, stack.Usual(time.Second))
		row(b, string(mode), usd(one.Gateway), usd(one.Lambda), usd(one.Authorizer), usd(one.Tables), usd(one.Ledger), usd(one.Keys), usd(one.Logs), usd(one.Traces), usd(one.Total()))
	}
	return b.String()
}

func streams(p Prices, m Measured, stack Stack) string {
	memory, tables := p.Minutes(m.Look, stack.Usual(time.Second))
	return fmt.Sprintf("A GET stream, and any call that stays open, is billed for as long as it is open: a million minutes cost $%.0f for the function's memory and $%.0f for %v read units every %.1f s, by which it ends when what it rests on does.\n",
		memory, tables, m.Look.Reads, lookEvery.Seconds())
}

// exampleSecrets are in the example of a month.
const exampleSecrets = 20

func months(p Prices, m Measured, stack Stack) string {
	static := m.Modes[Static]
	b := head("a month, upstreams that take 1 s, 20 secrets", "1 million calls", "10 million calls")
	var calls, kept, sum []string
	for _, n := range []float64{1, 10} {
		s := stack.Usual(time.Second)
		s.Calls = n * million
		variable := n * p.Million(static, m.Twenty, s).Total()
		audit, index := p.Kept(static)
		year := 12 * n * (audit + index)
		calls, kept = append(calls, usd(variable)), append(kept, usd(year))
		sum = append(sum, "**"+usd(variable+year+p.fixed(stack)+p.usd("secret_month", exampleSecrets))+"**")
	}
	row(b, append([]string{"calls"}, calls...)...)
	row(b, append([]string{"audit records and index of the twelve months before, with recovery"}, kept...)...)
	both := func(v float64) []string { return []string{usd(v), usd(v)} }
	row(b, append([]string{"20 secrets"}, both(p.usd("secret_month", exampleSecrets))...)...)
	row(b, append([]string{"the fixed part below"}, both(p.fixed(stack))...)...)
	row(b, append([]string{"sum"}, sum...)...)
	return b.String()
}

// standing is what costs money without a call.
func (p Prices) standing(stack Stack) (names []string, all []float64) {
	add := func(name string, v float64) { names, all = append(names, name), append(all, v) }
	const ran = 100 * time.Millisecond
	runs := float64(stack.Runs)
	add(fmt.Sprintf("KMS keys: %d", stack.Keys), p.usd("kms_key_month", float64(stack.Keys)))
	add(fmt.Sprintf("metrics of the functions: %d", stack.Metrics), p.usd("metric_month", float64(stack.Metrics)))
	if stack.Detailed {
		add(fmt.Sprintf("metrics of the API's %d methods, 5 each, where all are used", stack.Methods), p.usd("metric_month", float64(5*stack.Methods)))
	}
	add(fmt.Sprintf("alarms: %d", stack.Alarms), p.usd("alarm_month", float64(stack.Alarms)))
	add(fmt.Sprintf("dashboards: %d", stack.Dashboards), p.usd("dashboard_month", float64(stack.Dashboards)))
	add(fmt.Sprintf("functions woken by schedules: %d times, 100 ms each is assumed", stack.Runs), runs/million*p.lambda(ran, ledgerMB, false))
	add("traces of them but the ledger's, all recorded", p.usd("trace", float64(stack.TracedRuns)))
	return names, all
}

func (p Prices) fixed(stack Stack) (sum float64) {
	_, all := p.standing(stack)
	for _, v := range all {
		sum += v
	}
	return sum
}

func fixed(p Prices, stack Stack) string {
	b := head("each month, whether or not anybody calls", "$")
	names, all := p.standing(stack)
	for i, name := range names {
		row(b, name, usd(all[i]))
	}
	row(b, "sum", "**"+usd(p.fixed(stack))+"**")
	return b.String()
}

func options(p Prices, m Measured, stack Stack) string {
	b := head("option", "saves per million calls, at 100 ms", "at 1 s", "saves a month, per million calls kept", "what it gives up")
	for _, o := range p.Options(m, stack) {
		row(b, o.What, usd(o.Saves[0]), usd(o.Saves[1]), usd(o.Kept), o.Gives)
	}
	return b.String()
}

func others(p Prices, m Measured, stack Stack) string {
	b := head("a million calls of tools", "$")
	gateway, policy := p.Others["agentcore_gateway"].of(million), p.Others["agentcore_policy"].of(million)
	row(b, "AgentCore Gateway", usd(gateway))
	row(b, "AgentCore Gateway with its policy engine", usd(gateway+policy))
	for i, v := range Headline(p, m, stack) {
		kept := p.Million(m.Modes[SealedKept], m.Twenty, stack.Usual(Waits()[i])).Total()
		row(b, fmt.Sprintf("Bindery, upstreams take %s: policies and audit included, a secret from Secrets Manager", said(Waits()[i])), usd(v))
		row(b, fmt.Sprintf("Bindery, upstreams take %s: a sealed value that is kept", said(Waits()[i])), usd(kept))
	}
	return b.String()
}

func prices(p Prices) string {
	b := head("price", "$", "per", "unit", "source")
	for _, all := range []map[string]Price{p.Prices, p.Others} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			one := all[name]
			source := one.Source
			if one.Note != "" {
				source += " (" + one.Note + ")"
			}
			row(b, "`"+name+"`", fmt.Sprintf("%g", one.USD), fmt.Sprintf("%.0f", one.Per), one.Unit, source)
		}
	}
	return b.String()
}

// Line is the row of README.md.
func Line(p Prices, m Measured, stack Stack) string {
	all := Headline(p, m, stack)
	return fmt.Sprintf("about $%.0f at AWS where upstreams take 100 ms, $%.0f where they take 1 s", all[0], all[1])
}
