package config

import (
	"fmt"
	"strconv"
	"strings"

	"bindery/shared/broker"
)

// limits parses what one principal, agent or server may use:
//
//	principal:calls=600,streams=20;agent:calls=3000;server:streams=500
//
// Each subject and each of its keys stands at most once. What is missing or 0
// has no limit.
func (l *loader) limits() Limits {
	var all Limits
	subjects := map[string]*broker.Limits{"principal": &all.Principal, "agent": &all.Agent, "server": &all.Server}
	for part := range strings.SplitSeq(l.text(UseLimits), ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, list, ok := strings.Cut(part, ":")
		name = strings.TrimSpace(name)
		subject := subjects[name]
		switch {
		case !ok:
			l.fault(UseLimits, fmt.Sprintf("%q must be like principal:streams=20,calls=600", part))
		case subject == nil:
			l.fault(UseLimits, fmt.Sprintf("%q must be principal, agent or server, once each", name))
		default:
			delete(subjects, name)
			l.subject(name, list, subject)
		}
	}
	return all
}

// subject parses the limits of one subject.
func (l *loader) subject(name, list string, of *broker.Limits) {
	keys := map[string]func(int64){
		"calls":   func(n int64) { of.CallsPerMinute = int(n) },
		"streams": func(n int64) { of.Streams = int(n) },
		"request": func(n int64) { of.RequestBytes = n },
		"answer":  func(n int64) { of.AnswerBytes = n },
	}
	for pair := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		set := keys[key]
		if set == nil {
			l.fault(UseLimits, fmt.Sprintf("%s: %q must be calls, streams, request or answer, once each", name, key))
			continue
		}
		delete(keys, key)
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
		if err != nil {
			l.fault(UseLimits, fmt.Sprintf("%s: %s must be a whole number, at most 2147483647", name, key))
			continue
		}
		set(int64(n))
	}
}
