package handler

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/brokertest/emf"
	"bindery/shared/memory"
)

// measured makes one call and gives the metrics of its lines, of which one at most
// may count a call.
func (f *fixture) measured(t *testing.T, r *http.Request) map[string]float64 {
	t.Helper()
	f.log.Reset()
	f.ServeHTTP(httptest.NewRecorder(), r)
	lines, err := emf.ReadAll([]byte(f.log.String()))
	if err != nil {
		t.Fatal(err)
	}
	if n := emf.Sum(lines, "Calls") + emf.Sum(lines, "Unauthenticated"); n != 1 || len(lines) != 1 {
		t.Errorf("the request is counted %v times in %d lines: %s", n, len(lines), f.log)
	}
	return lines[0].Values
}

// counted leaves out times, which are what they are, and says which there are.
func counted(values map[string]float64) (counts map[string]float64, times string) {
	counts = map[string]float64{}
	for _, name := range []string{"AdmitTime", "DecideTime", "ObtainTime", "UpstreamTime", "SettleTime", "CallTime"} {
		if _, there := values[name]; there {
			times += strings.TrimSuffix(name, "Time") + " "
		}
	}
	for name, n := range values {
		if !strings.HasSuffix(name, "Time") {
			counts[name] = n
		}
	}
	return counts, times
}

func TestEveryRequestIsCountedOnceAsWhatBecameOfIt(t *testing.T) {
	const whole = "Admit Decide Obtain Upstream Settle Call "
	fine := respond(http.StatusOK, "application/json", smallAnswer)
	leak := respond(http.StatusOK, "application/json", strings.Replace(smallAnswer, "4711", canary, 1))
	for name, c := range map[string]struct {
		upstream transport
		change   func(t *testing.T, f *fixture, r *http.Request)
		counts   map[string]float64
		times    string
	}{
		"relayed": {fine, nil, map[string]float64{"Calls": 1}, whole},
		"masked":  {leak, nil, map[string]float64{"Calls": 1, "MaskedValues": 1}, whole},
		"with a marker that every call reads": {fine, func(t *testing.T, f *fixture, _ *http.Request) {
			if err := f.tables.PutMarker(t.Context(), broker.Marker{Environment: "prod", Kind: broker.GroupMarker, ID: "made-up", Revoked: true, Epoch: 1, At: time.Now().UTC(), By: "p-admin"}); err != nil {
				t.Fatal(err)
			}
		}, map[string]float64{"Calls": 1, "WideMarkers": 1}, whole},
		"without a token": {fine, func(_ *testing.T, _ *fixture, r *http.Request) { r.Header.Del("Authorization") },
			map[string]float64{"Unauthenticated": 1}, ""},
		"no message": {fine, func(_ *testing.T, _ *fixture, r *http.Request) { r.Body = http.NoBody },
			map[string]float64{"Calls": 1, "Refusals": 1}, "Admit Call "},
		"refused": {fine, func(t *testing.T, f *fixture, _ *http.Request) { f.allow(t, "other_*") },
			map[string]float64{"Calls": 1, "Refusals": 1}, "Admit Decide Call "},
		"undecided": {fine, func(_ *testing.T, f *fixture, _ *http.Request) { f.broken(memory.Snapshot) },
			map[string]float64{"Calls": 1, "Undecided": 1}, "Admit Decide Call "},
		"intent not stored": {fine, func(_ *testing.T, f *fixture, _ *http.Request) { f.broken(memory.Append) },
			map[string]float64{"Calls": 1, "AuditFailures": 1}, "Admit Decide Obtain Call "},
		"refusal not stored": {fine, func(t *testing.T, f *fixture, _ *http.Request) {
			f.allow(t, "other_*")
			f.broken(memory.Append)
		}, map[string]float64{"Calls": 1, "Refusals": 1, "AuditFailures": 1}, "Admit Decide Call "},
		"outcome not stored": {nil, func(_ *testing.T, f *fixture, _ *http.Request) {
			f.upstreams = stubUpstreams{&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				f.broken(memory.Append)
				return fine(r)
			})}}
		}, map[string]float64{"Calls": 1, "AuditFailures": 1}, whole},
		"no credential": {fine, func(_ *testing.T, f *fixture, _ *http.Request) { f.vault.err = broker.ErrStoreDenied },
			map[string]float64{"Calls": 1, "CredentialFailures": 1}, "Admit Decide Obtain Call "},
		"no credential, and that not stored": {fine, func(_ *testing.T, f *fixture, _ *http.Request) {
			f.sources[broker.Static] = denied(func() { f.broken(memory.Append) })
		}, map[string]float64{"Calls": 1, "CredentialFailures": 1, "AuditFailures": 1}, "Admit Decide Obtain Call "},
		"upstream down": {func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }, nil,
			map[string]float64{"Calls": 1, "UpstreamFailures": 1}, whole},
		"a lasting stream": {respond(http.StatusOK, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n"), func(_ *testing.T, f *fixture, r *http.Request) {
			f.streamTimeout = f.timeout
			r.Method, r.Body = http.MethodGet, http.NoBody
			r.Header.Set("Accept", "text/event-stream")
			r.Header.Del("Content-Type")
		}, map[string]float64{"Calls": 1}, "Admit Decide Obtain Upstream Settle "}, // the whole is as long as its reader likes
		"forbidden by the upstream": {respond(http.StatusForbidden, "text/plain", "no"), nil, map[string]float64{"Calls": 1}, whole},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.upstream, true)
			r := f.request(f.token(t), callBody)
			if c.change != nil {
				c.change(t, f, r)
			}
			counts, times := counted(f.measured(t, r))
			if diff := cmp.Diff(c.counts, counts); diff != "" || times != c.times {
				t.Errorf("counted %s; timed %q, want %q", diff, times, c.times)
			}
		})
	}
}

// denied is a source that gives nothing, and does something first, once the intent
// is stored.
type denied func()

func (d denied) Obtain(ctx context.Context, a broker.Ask) (broker.Credential, error) {
	err := a.Recorded(ctx)
	d()
	return broker.Credential{}, errors.Join(err, broker.ErrStoreDenied)
}

// broken lets an operation fail however often it is tried.
func (f *fixture) broken(op memory.Op) {
	for range 9 {
		f.tables.Inject(op, memory.Refuse())
	}
}

func TestNoLineOfTheLogHoldsWhatACallCarries(t *testing.T) {
	f := newFixture(t, respond(http.StatusOK, "application/json", strings.Replace(smallAnswer, "4711", canary, 1)), true)
	token := f.token(t)
	f.ServeHTTP(httptest.NewRecorder(), f.request(token, callBody))
	for name, secret := range map[string]string{"credential": canary, "token": token, "tool": "create_issue", "argument": "It does not work",
		"e-mail": "alice@example.com", "address": "upstream.example.com"} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the %s is in the log: %s", name, f.log)
		}
	}
	if !strings.Contains(f.log.String(), `"MaskedValues":1`) {
		t.Error("the secret did not come back, so this shows nothing", f.log)
	}
}
