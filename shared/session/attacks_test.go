package session

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// mustBeUnknown requires the one answer that whoever is not the owner gets.
func mustBeUnknown(t *testing.T, what string, s *Sessions, o Owner, id string) {
	t.Helper()
	v, err := s.Unwrap(t.Context(), o, id)
	if err != ErrUnknown || !cmp.Equal(v, Session{}) {
		t.Errorf("%s: %+v, %v, want ErrUnknown and nothing more", what, v, err)
	}
}

func mustOpen(t *testing.T, what string, s *Sessions, o Owner, id string) {
	t.Helper()
	if _, err := s.Unwrap(t.Context(), o, id); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestOwnerGetsBackWhatTheSessionBeganWith(t *testing.T) {
	d := newDeployment()
	large := Session{Upstream: strings.Repeat("~", maxUpstream), Binding: strings.Repeat("b", broker.MaxName), Version: strings.Repeat("v", maxVersion)}
	for range maxCapabilities {
		large.Capabilities = append(large.Capabilities, strings.Repeat("c", maxCapability))
	}
	for name, v := range map[string]Session{
		"usual":                      begun,
		"upstream without sessions":  {Binding: "b", Version: "2025-03-26"},
		"as much as an id can carry": large,
	} {
		id := wrap(t, d.process(), alice, v)
		got, err := d.process().Unwrap(t.Context(), alice, id)
		v.Expires = d.now().Add(Life)
		if diff := cmp.Diff(v, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		if !visible(id, minLength, MaxLength) || strings.ContainsAny(id, `"\,;:=/`) {
			t.Errorf("%s: the id does not fit every header: %q", name, id)
		}
		if strings.Contains(id, v.Upstream) && v.Upstream != "" {
			t.Errorf("%s: the id shows the upstream's", name)
		}
		if name == "as much as an id can carry" && (len(id) != MaxLength || MaxLength >= 4096) {
			t.Errorf("the longest id has %d bytes, MaxLength is %d, and it must stay below 4096", len(id), MaxLength)
		}
	}
}

func TestBobWithAlicesIDGetsNothing(t *testing.T) {
	d := newDeployment()
	s := d.process()
	id := wrap(t, s, alice, begun)
	withoutAgent := alice
	withoutAgent.Agent = ""
	own := wrap(t, s, withoutAgent, begun)
	for what, change := range map[string]func(o *Owner){
		"Bob":                         func(o *Owner) { o.Principal = "p-bob" },
		"nobody":                      func(o *Owner) { o.Principal = "" },
		"another server":              func(o *Owner) { o.Server = "jira" },
		"the origin changed":          func(o *Owner) { o.Origin = "digest-of-another" },
		"another agent":               func(o *Owner) { o.Agent = "a-crawler" },
		"without agent":               func(o *Owner) { o.Agent = "" },
		"agent and principal swapped": func(o *Owner) { o.Agent, o.Principal = o.Principal, o.Agent },
		"border of server, origin":    func(o *Owner) { o.Server, o.Origin = "githubd", "igest-of-origin" },
		"border of origin, principal": func(o *Owner) { o.Origin, o.Principal = "digest-of-originp", "-alice" },
		"border of principal, agent":  func(o *Owner) { o.Principal, o.Agent = "p-alicea", "-editor" },
		"all in the principal":        func(o *Owner) { o.Principal, o.Agent = "p-alicea-editor", "" },
	} {
		o := alice
		change(&o)
		mustBeUnknown(t, what, s, o, id)
	}
	mustBeUnknown(t, "an agent with the id of the person herself", s, alice, own)
	mustOpen(t, "Alice", s, alice, id)
	mustOpen(t, "Alice without agent", s, withoutAgent, own)
}

func TestOwnerWithoutServerOriginOrPrincipalCannotWrap(t *testing.T) {
	s := newDeployment().process()
	for _, o := range []Owner{{}, {Server: "s", Origin: "o"}, {Server: "s", Principal: "p"}, {Origin: "o", Principal: "p"}} {
		if id, err := s.Wrap(t.Context(), o, begun); !errors.Is(err, broker.ErrInvalid) || id != "" {
			t.Errorf("%+v: %q, %v, want ErrInvalid", o, id, err)
		}
	}
}

func TestWhatAnIDCannotCarryIsRefused(t *testing.T) {
	d := newDeployment()
	s := d.process()
	for what, change := range map[string]func(v *Session){
		"upstream id too long":          func(v *Session) { v.Upstream = strings.Repeat("canary", 1024) },
		"upstream id of one too many":   func(v *Session) { v.Upstream = strings.Repeat("c", maxUpstream+1) },
		"upstream id with a space":      func(v *Session) { v.Upstream = "canary canary" },
		"upstream id with a line break": func(v *Session) { v.Upstream = "canary\r\nX: y" },
		"upstream id with DEL":          func(v *Session) { v.Upstream = "canary\x7f" },
		"upstream id beyond ASCII":      func(v *Session) { v.Upstream = "canäry" },
		"no binding":                    func(v *Session) { v.Binding = "" },
		"binding that is no name":       func(v *Session) { v.Binding = "canary/1" },
		"no revision":                   func(v *Session) { v.Version = "" },
		"revision too long":             func(v *Session) { v.Version = strings.Repeat("canary", 6) },
		"empty capability":              func(v *Session) { v.Capabilities = []string{""} },
		"capability too long":           func(v *Session) { v.Capabilities = []string{strings.Repeat("canary", 7)} },
		"capability with a NUL":         func(v *Session) { v.Capabilities = []string{"canary\x00"} },
		"too many capabilities":         func(v *Session) { v.Capabilities = make([]string, maxCapabilities+1) },
	} {
		v := begun
		change(&v)
		id, err := s.Wrap(t.Context(), alice, v)
		if !errors.Is(err, broker.ErrInvalid) || id != "" || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %q, %v, want ErrInvalid without the value", what, id, err)
		}
	}
	if loads, _ := d.counts(); loads != 0 {
		t.Errorf("what is refused cost %d reads", loads)
	}
}

func TestExpiredIDIsUnknown(t *testing.T) {
	d := newDeployment()
	forever := begun
	forever.Expires = d.now().Add(100 * Life)
	id := wrap(t, d.process(), alice, forever)
	d.pass(Life - time.Second)
	mustOpen(t, "a second before", d.process(), alice, id)
	d.pass(time.Second)
	s := d.process()
	mustBeUnknown(t, "at its end", s, alice, id)
	if loads, _ := d.counts(); loads != 3 {
		t.Errorf("%d reads, want one by each process: it must be the expiry that is judged here", loads)
	}
	d.pass(24 * time.Hour)
	mustBeUnknown(t, "a day later", s, alice, id)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestAlteredAtAnyPlaceIsUnknown(t *testing.T) {
	d := newDeployment()
	s := d.process()
	id := wrap(t, s, alice, begun)
	for i := range id {
		for _, c := range []byte(alphabet + ".=+/ \n\x00\xff") {
			if c != id[i] {
				mustBeUnknown(t, "altered", s, alice, id[:i]+string([]byte{c})+id[i+1:])
			}
		}
	}
}

func TestTruncatedExtendedOrMixedIsUnknown(t *testing.T) {
	d := newDeployment()
	s := d.process()
	id, other := wrap(t, s, alice, begun), wrap(t, s, alice, begun)
	if id == other {
		t.Fatal("two sessions have one id")
	}
	for i := range id {
		mustBeUnknown(t, "truncated", s, alice, id[:i])
		mustBeUnknown(t, "without its beginning", s, alice, id[i+1:])
		mustBeUnknown(t, "one character left out", s, alice, id[:i]+id[i+1:])
		if i > len(prefix)+6 && i < len(id)-1 {
			mustBeUnknown(t, "two ids in one", s, alice, id[:i]+other[i:])
		}
	}
	for _, c := range []byte(alphabet) {
		mustBeUnknown(t, "extended", s, alice, id+string(c))
		mustBeUnknown(t, "extended by four", s, alice, id+strings.Repeat(string(c), 4))
	}
	mustBeUnknown(t, "twice", s, alice, id+id)
	mustBeUnknown(t, "a megabyte", s, alice, prefix+strings.Repeat("A", 1<<20))
	mustBeUnknown(t, "the upstream's own id", s, alice, begun.Upstream)
	mustBeUnknown(t, "nothing", s, alice, "")
}

func TestIDHasNoSecondSpelling(t *testing.T) {
	d := newDeployment()
	s := d.process()
	for n := range 3 { // each number of bits left over in the last character
		v := begun
		v.Upstream = strings.Repeat("u", 30+n)
		id := wrap(t, s, alice, v)
		for _, c := range []byte(alphabet) {
			if last := len(id) - 1; c != id[last] {
				mustBeUnknown(t, "other bits at the end", s, alice, id[:last]+string(c))
			}
		}
		for i := 0; i <= len(id); i++ {
			for _, gap := range []string{"\n", "\r", "\r\n", " ", "\t", "=", "\n\n\n\n"} {
				mustBeUnknown(t, "with a gap", s, alice, id[:i]+gap+id[i:])
			}
		}
		for what, other := range map[string]string{
			"padded":              id + strings.Repeat("=", n+1),
			"without prefix":      id[len(prefix):],
			"prefix in upper":     "B1." + id[len(prefix):],
			"another format":      "b2." + id[len(prefix):],
			"the other alphabet":  prefix + strings.NewReplacer("-", "+", "_", "/").Replace(id[len(prefix):]) + "+",
			"percent encoded":     strings.Replace(id, ".", "%2E", 1),
			"quoted":              `"` + id + `"`,
			"twice, with a comma": id + ", " + id,
		} {
			mustBeUnknown(t, what, s, alice, other)
		}
		mustOpen(t, "as it was made", s, alice, id)
	}
}
