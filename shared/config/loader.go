package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"bindery/shared/broker"
)

// loader collects faults instead of stopping at the first.
type loader struct {
	getenv   func(string) string
	defaults map[string]Setting
	faults   []error
}

func newLoader(getenv func(string) string) *loader {
	l := &loader{getenv: getenv, defaults: map[string]Setting{}}
	for _, s := range Settings() {
		l.defaults[s.Name] = s
	}
	return l
}

func (l *loader) fault(name, what string) {
	l.faults = append(l.faults, fmt.Errorf("%s %s (%s)", name, what, l.defaults[name].Help))
}

func (l *loader) check(name string, err error) {
	if err != nil {
		l.fault(name, err.Error())
	}
}

func (l *loader) text(name string) string {
	s := strings.TrimSpace(l.getenv(name))
	if s == "" {
		s = l.defaults[name].Default
	}
	if s == "" && l.defaults[name].Required {
		l.fault(name, "is not set")
	}
	return s
}

func (l *loader) publicURL() string {
	s := strings.TrimSuffix(l.text(PublicURL), "/")
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		l.fault(PublicURL, "must be https://host without user, query or fragment")
	}
	return s
}

func (l *loader) document(name string) []byte {
	s := l.text(name)
	if s == "" || strings.HasPrefix(s, "{") {
		return []byte(s)
	}
	text, err := os.ReadFile(s)
	if err != nil {
		l.fault(name, "is neither inline JSON nor a readable file")
	}
	return text
}

func (l *loader) oneOf(name string, allowed ...string) string {
	s := l.text(name)
	for _, a := range allowed {
		if s == a {
			return s
		}
	}
	l.fault(name, "must be "+strings.Join(allowed, " or "))
	return ""
}

// production is what is said, or else what is not one machine.
func (l *loader) production(local bool) bool {
	if l.text(Production) == "" {
		return !local
	}
	return l.oneOf(Production, "true", "false") == "true"
}

func (l *loader) duration(name string, low, high time.Duration) time.Duration {
	d, err := time.ParseDuration(l.text(name))
	if err != nil || d < low || d > high {
		l.fault(name, fmt.Sprintf("must be a duration from %s to %s", low, high))
	}
	return d
}

// durationOrNone also takes 0.
func (l *loader) durationOrNone(name string, low, high time.Duration) time.Duration {
	d, err := time.ParseDuration(l.text(name))
	if err != nil || d != 0 && (d < low || d > high) {
		l.fault(name, fmt.Sprintf("must be 0, or a duration from %s to %s", low, high))
	}
	return d
}

func (l *loader) number(name string, low, high int64) int64 {
	n, err := strconv.ParseInt(l.text(name), 10, 64)
	if err != nil || n < low || n > high {
		l.fault(name, fmt.Sprintf("must be a whole number from %d to %d", low, high))
	}
	return n
}

func (l *loader) networks(name string) []netip.Prefix {
	var list []netip.Prefix
	for part := range strings.SplitSeq(l.text(name), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil || !broker.Opens(p) {
			l.fault(name, "must list private ranges such as 10.1.0.0/16")
			continue
		}
		list = append(list, p)
	}
	return list
}
