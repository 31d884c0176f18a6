//go:build e2e && !nojava

package soak

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bindery/shared/broker"
)

// call makes a planned call and judges its answer.
func (k *worker) call(p plan) {
	switch p.session {
	case "own":
		p.session = k.sessions[p.server]
	case "fresh":
		k.watch()
		p.session = k.begin(p.server)
	}
	var s said
	for again := 0; ; again++ {
		k.prepare(p)
		s = ask(k.tb.Context(), k.f, p.asking, k.token)
		if k.hit.Load() > 0 || k.killed.Load() || !tooSlow(s) || again == patience {
			break
		}
		k.mu.Lock()
		k.repeated++
		k.mu.Unlock()
		time.Sleep(retryAfter)
	}
	found := k.seen("an answer", []byte(s.text), k.mayShow...)
	if s.err != nil {
		found += k.seen("an error", []byte(s.err.Error()), k.mayShow...)
	}
	what := s.what()
	if k.killed.Load() && s.err != nil {
		what = "killed"
	} else if wrong := k.wrong(p, s); wrong != "" {
		k.tb.Errorf("call %d (%s %s %s %s, %s %s): %s: %d %s %s, %v", p.id, p.server, p.revision, p.does, p.tool, p.fault.spot.name, p.fault.how, wrong, s.status, s.row, s.body, s.err)
	}
	k.mu.Lock()
	k.spotted += found
	k.said[what]++
	if k.killed.Load() {
		k.soak.killed[int64(p.id)] = true
	}
	if s.receipt != "" {
		k.answers = append(k.answers, heardOf{int64(p.id), s.receipt, s.row, s.worked()})
	}
	k.mu.Unlock()
	if k.killed.Load() {
		k.watch()
		k.start()
	}
}

// unrecorded is the row of a call whose intent could not be stored.
const unrecorded = "audit_unavailable"

// ofFaults are the rows of the error table that a fault of AWS may lead to.
var ofFaults = []string{"decision_unavailable", unrecorded, "credential_unavailable", "issuer_unavailable", "credential_failed"}

// ofUpstream are the rows that an upstream's behaviour leads to.
var ofUpstream = map[string][]string{
	breaking: {"upstream_broke_off"},
	hangup:   {"upstream_unreachable", "upstream_broke_off"},
	killing:  {"upstream_unreachable", "upstream_broke_off"},
	refusing: {"upstream_refused_credential"},
	failing:  {"upstream_failed"},
}

// wrong says what is wrong about an answer, or nothing.
func (k *worker) wrong(p plan, s said) string {
	rows, bad := ofUpstream[p.tool]
	switch {
	case s.err != nil:
		return "no answer"
	case s.worked() && bad:
		return "it cannot have worked"
	case p.tool == refusing && p.server == own && s.row == "consent_required": // a person can give another
		return ""
	case p.tool == refusing && p.server == own && s.row == "consent_not_asked" && k.hit.Load() > 0:
		return ""
	case s.worked(), slices.Contains(rows, s.row):
		return ""
	case k.hit.Load() > 0 && slices.Contains(ofFaults, s.row):
		return ""
	case k.hit.Load() == 0:
		return "nothing had failed"
	}
	return "that is no answer to such a fault"
}

// lost looks for every record that a table took: it is there, and is the one that
// was put.
func (s *soak) lost(e evidence) {
	s.tb.Helper()
	for at, put := range s.puts {
		r, ok := e[at.receipt][at.phase]
		switch {
		case put.applied && !ok:
			s.tb.Errorf("a record is lost: %v", at)
		case ok && r.Nonce != put.nonce:
			s.tb.Errorf("a record is not the one that was put: %v", at)
		case ok && !put.applied:
			s.tb.Errorf("a record stands that no table took: %v", at)
		}
	}
}

// answered looks for the records of each answer. A refusal is recorded as far as
// the budget of its principal goes, and as far as it can be stored.
func (s *soak) answered(e evidence) {
	s.tb.Helper()
	silent := 0
	for _, a := range s.answers {
		_, intent := e[a.receipt][broker.Intent]
		_, outcome := e[a.receipt][broker.Outcome]
		_, refusal := e[a.receipt][broker.Refused]
		put := s.puts[place{a.receipt, broker.Outcome}]
		if a.row == unrecorded && s.givenUpEarly(place{a.receipt, broker.Intent}) {
			s.tb.Errorf("an intent was not tried for long enough: %+v", a)
		}
		switch {
		case outcome && (intent || !a.worked), refusal && !a.worked:
		case intent && put != nil && !put.applied: // unfinished says more
		case !a.worked && a.row == "decision_unavailable" && s.upstream.arrived[a.receipt] == 0:
			silent++
		default:
			s.tb.Errorf("an answer (%q) without its records: %+v %+v", a.row, a, e[a.receipt])
		}
	}
	progress("%d refusals were not recorded: over the budget, or the table could not be reached", silent)
}

// unfinished tells apart intents whose process was killed and those whose outcome
// could not be stored, which the log must tell. Others are wrong.
func (s *soak) unfinished(e evidence) (killed, unstored int) {
	s.tb.Helper()
	var logs []byte
	for _, k := range s.workers {
		logs = append(logs, k.logs...)
	}
	lastWords := map[string]bool{} // of intents that could not be stored, for which there is less time
	for _, a := range s.answers {
		lastWords[a.receipt] = a.row == unrecorded
	}
	for _, receipt := range e.open() {
		put := s.puts[place{receipt, broker.Outcome}]
		switch intent := s.puts[place{receipt, broker.Intent}]; {
		case intent == nil:
			s.tb.Errorf("an intent that nobody put: %s", receipt)
		case s.killed[intent.number]:
			killed++
		case put == nil:
			s.tb.Errorf("an intent without outcome, and nobody tried to store one: call %d, %s", intent.number, receipt)
		case !lastWords[receipt] && s.givenUpEarly(place{receipt, broker.Outcome}):
			s.tb.Errorf("an outcome was not tried for long enough: call %d, %s", intent.number, receipt)
		case !told(logs, "outcome not recorded", receipt), !told(logs, `"AuditFailures":`, receipt):
			s.tb.Errorf("an outcome could not be stored, and log or metric do not say so: call %d, %s", intent.number, receipt)
		default:
			unstored++
		}
	}
	return killed, unstored
}

// leastTries is how often a record is put that cannot be stored: whatever becomes of
// single requests, there is time for more of them.
const leastTries = 3

func (s *soak) givenUpEarly(at place) bool {
	put := s.puts[at]
	return put != nil && !put.applied && put.tries < leastTries
}

// told reports whether a line of a log has all of some words.
func told(log []byte, words ...string) bool {
	for line := range bytes.Lines(log) {
		if !slices.ContainsFunc(words, func(word string) bool { return !bytes.Contains(line, []byte(word)) }) {
			return true
		}
	}
	return false
}

// metAll makes sure that a run of some length has met everything there is.
func (s *soak) metAll() {
	s.tb.Helper()
	for _, spot := range spots() {
		for _, how := range ways() {
			if s.mets[spot.name+" "+how] == 0 && s.calls >= 5000 {
				s.tb.Errorf("no %s was ever %s: nothing is shown", spot.name, how)
			}
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(s.mets)), func(name string) bool { return strings.HasPrefix(name, spot.name) }) && s.calls >= 400 {
			s.tb.Errorf("no %s ever failed: nothing is shown", spot.name)
		}
	}
	if s.said["worked"] == 0 || s.said["killed"] == 0 && s.calls >= 400 {
		s.tb.Errorf("calls ended as %v: nothing is shown", s.said)
	}
}

// byNames lists counts in the order of their names.
func byNames(counts map[string]int) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%6d %s", counts[name], name))
	}
	return lines
}
