package dynamo_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

// nowhere is an endpoint that is never reached: every effect here answers itself.
const nowhere = "http://127.0.0.1:1"

// operations is every operation of the store, each on valid input.
func operations(s *dynamo.DB) map[string]func(context.Context) error {
	all := ruling(s)
	maps.Copy(all, serving(s))
	return all
}

// ruling are those of administrators alone.
func ruling(s *dynamo.DB) map[string]func(context.Context) error {
	env := "prod"
	return map[string]func(context.Context) error{
		"AddPolicySet":   func(ctx context.Context) error { return s.AddPolicySet(ctx, policySet(env)) },
		"PolicySet":      func(ctx context.Context) error { _, err := s.PolicySet(ctx, env, policySet(env).ID); return err },
		"PolicySetNames": func(ctx context.Context) error { _, err := s.PolicySetNames(ctx, env, fullPage); return err },
		"PutAssignment":  func(ctx context.Context) error { return s.PutAssignment(ctx, assignment(env)) },
		"Assignment":     func(ctx context.Context) error { _, err := s.Assignment(ctx, env, "git"); return err },
		"Assignments":    func(ctx context.Context) error { _, err := s.Assignments(ctx, env, fullPage); return err },
		"UsesOfStore":    func(ctx context.Context) error { _, _, err := s.UsesOfStore(ctx, env, "aws-sm", "", 1); return err },
		"UsesOfReference": func(ctx context.Context) error {
			_, _, err := s.UsesOfReference(ctx, env, reference("aws-sm:a"), "", 1)
			return err
		},
		"SealedNames": func(ctx context.Context) error { _, err := s.SealedNames(ctx, env, fullPage); return err },
	}
}

func serving(s *dynamo.DB) map[string]func(context.Context) error {
	env := "prod"
	return map[string]func(context.Context) error{
		"Snapshot": func(ctx context.Context) error { _, err := s.Snapshot(ctx, lookup(env)); return err },
		"Snapshot of tools": func(ctx context.Context) error {
			_, err := s.Snapshot(ctx, broker.Lookup{Route: route(env), Session: "digest", Tools: true})
			return err
		},
		"PutEnvironment": func(ctx context.Context) error {
			return s.PutEnvironment(ctx, broker.Environment{Name: env, State: broker.Active})
		},
		"PutStore": func(ctx context.Context) error {
			return s.PutStore(ctx, broker.Store{Environment: env, Name: "aws-sm", Kind: "awssm", Paths: broker.Scope{"*"}, State: broker.Active})
		},
		"PutServer": func(ctx context.Context) error { return s.PutServer(ctx, server(env)) },
		"PutBinding": func(ctx context.Context) error {
			return s.PutBinding(ctx, binding(env, "card", broker.Actor{Anyone: true}))
		},
		"PutAgent": func(ctx context.Context) error {
			return s.PutAgent(ctx, broker.Agent{Environment: env, ID: "okta:robot", State: broker.Active})
		},
		"PutTool": func(ctx context.Context) error {
			return s.PutTool(ctx, broker.Tool{Environment: env, Server: "github", Name: "create", State: broker.Active})
		},
		"BindingVersion": func(ctx context.Context) error { _, err := s.BindingVersion(ctx, route(env), "card", 1); return err },
		"PutMarker": func(ctx context.Context) error {
			return s.PutMarker(ctx, marker(env, broker.PrincipalMarker, "p-alice"))
		},
		"PutMarker of all": func(ctx context.Context) error { return s.PutMarker(ctx, marker(env, broker.EverythingMarker, env)) },
		"Markers": func(ctx context.Context) error {
			_, err := s.Markers(ctx, env, []broker.MarkerKey{{Kind: broker.ReferenceMarker, ID: "aws-sm:prod/github"}})
			return err
		},
		"Append":    func(ctx context.Context) error { return s.Append(ctx, record("receipt", "nonce")) },
		"Latest":    func(ctx context.Context) error { _, err := s.Latest(ctx, env, "token"); return err },
		"PutSealed": func(ctx context.Context) error { return s.PutSealed(ctx, sealed(env, 1)) },
		"LoadKeys":  func(ctx context.Context) error { _, err := s.LoadKeys(ctx, env, "https://issuer"); return err },
		"SaveKeys": func(ctx context.Context) error {
			return s.SaveKeys(ctx, broker.KeySet{Environment: env, Issuer: "https://issuer", Sealed: []byte{1}, Fetched: noon})
		},
		"LoadRollingKey": func(ctx context.Context) error { _, err := s.LoadRollingKey(ctx, env, 20513); return err },
		"AddRollingKey": func(ctx context.Context) error {
			_, err := s.AddRollingKey(ctx, broker.RollingKey{Environment: env, Day: 20513, Sealed: []byte{1}})
			return err
		},
		"CountCall": func(ctx context.Context) error { _, err := s.CountCall(ctx, quota(env, 1), noon); return err },
		"TakePlace": func(ctx context.Context) error {
			_, _, err := s.TakePlace(ctx, quota(env, 1), "r-1", noon, noon.Add(time.Minute))
			return err
		},
		"FreePlace": func(ctx context.Context) error {
			return s.FreePlace(ctx, broker.Place{Quota: quota(env, 1), Holder: "r-1"})
		},
		"Environment":  func(ctx context.Context) error { _, err := s.Environment(ctx, env); return err },
		"Store":        func(ctx context.Context) error { _, err := s.Store(ctx, env, "aws-sm"); return err },
		"Server":       func(ctx context.Context) error { _, err := s.Server(ctx, route(env)); return err },
		"Agent":        func(ctx context.Context) error { _, err := s.Agent(ctx, env, "okta:robot"); return err },
		"Tool":         func(ctx context.Context) error { _, err := s.Tool(ctx, route(env), "create"); return err },
		"Binding":      func(ctx context.Context) error { _, err := s.Binding(ctx, route(env), "card"); return err },
		"Stores":       func(ctx context.Context) error { _, err := s.Stores(ctx, env, fullPage); return err },
		"Servers":      func(ctx context.Context) error { _, err := s.Servers(ctx, env, fullPage); return err },
		"Agents":       func(ctx context.Context) error { _, err := s.Agents(ctx, env, fullPage); return err },
		"Tools":        func(ctx context.Context) error { _, err := s.Tools(ctx, route(env), fullPage); return err },
		"Bindings":     func(ctx context.Context) error { _, err := s.Bindings(ctx, route(env), fullPage); return err },
		"BeginAttempt": func(ctx context.Context) error { _, err := s.BeginAttempt(ctx, attempt(env, "r-1")); return err },
		"EndAttempt":   func(ctx context.Context) error { return s.EndAttempt(ctx, ended(attempt(env, "r-1"))) },
		"ClaimFetch": func(ctx context.Context) error {
			_, err := s.ClaimFetch(ctx, env, "https://issuer", noon, noon.Add(-time.Minute))
			return err
		},
	}
}

func TestNoFaultIsTakenForAnAbsenceAndNothingForeignIsPassedOn(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		effect faultproxy.Effect
		says   string
	}{
		"throttled":           {faultproxy.Throttle(), "ThrottlingException (HTTP 400)"},
		"table throttled":     {faultproxy.Fail(400, "ProvisionedThroughputExceededException"), "ProvisionedThroughputExceededException (HTTP 400)"},
		"account throttled":   {faultproxy.Fail(400, "RequestLimitExceeded"), "RequestLimitExceeded (HTTP 400)"},
		"broken":              {faultproxy.ServerError(), "InternalServerError (HTTP 500)"},
		"unavailable":         {faultproxy.Fail(503, "ServiceUnavailable"), "ServiceUnavailable (HTTP 503)"},
		"denied":              {faultproxy.Fail(400, "AccessDeniedException"), "AccessDeniedException (HTTP 400)"},
		"no such table":       {faultproxy.Fail(400, "ResourceNotFoundException"), "ResourceNotFoundException (HTTP 400)"},
		"another table":       {faultproxy.Fail(400, "ValidationException"), "ValidationException (HTTP 400)"},
		"token expired":       {faultproxy.Fail(400, "ExpiredTokenException"), "ExpiredTokenException (HTTP 400)"},
		"a code that is text": {faultproxy.Fail(400, faultproxy.Leak+" and more"), "unknown code (HTTP 400)"},
		"reset":               {faultproxy.Reset(), "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.New(t, nowhere)
			proxy.Inject(faultproxy.Rule{Times: -1, Effect: fault.effect})
			store := dynamo.New(client(proxy.URL), tables, at(noon))
			for op, err := range every(t.Context(), store) {
				if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrNotFound) || errors.Is(err, broker.ErrConflict) {
					t.Fatalf("%s: %v", op, err)
				}
				if text := err.Error(); !strings.Contains(text, fault.says) || strings.Contains(text, faultproxy.Leak) ||
					strings.Contains(text, "127.0.0.1") || strings.Contains(text, "RequestID") {
					t.Fatalf("%s: %v", op, err)
				}
			}
		})
	}
}

// every calls all operations at once and gives their errors.
func every(ctx context.Context, s *dynamo.DB) map[string]error {
	var all sync.WaitGroup
	var mu sync.Mutex
	errs := map[string]error{}
	for op, call := range operations(s) {
		all.Go(func() {
			err := call(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs[op] = err
		})
	}
	all.Wait()
	return errs
}

func TestAnAnswerThatIsNoJSONIsAFault(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, nowhere)
	proxy.Inject(faultproxy.Rule{Times: -1, Effect: func(w http.ResponseWriter, _ []byte, _ func([]byte) (*faultproxy.Answer, error)) {
		_, _ = w.Write([]byte("<html>" + faultproxy.Leak))
	}})
	for op, call := range operations(dynamo.New(client(proxy.URL), tables, at(noon))) {
		err := call(t.Context())
		if !errors.Is(err, broker.ErrUnavailable) || strings.Contains(err.Error(), faultproxy.Leak) {
			t.Fatalf("%s: %v", op, err)
		}
	}
}

func TestAnEndedContextIsAFaultAndSaysSo(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, nowhere)
	gone := make(chan struct{})
	defer close(gone)
	proxy.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.Gate(func() { <-gone })})
	store := dynamo.New(client(proxy.URL), tables, at(noon))
	for op, call := range operations(store) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := call(ctx)
		cancel()
		if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %v", op, err)
		}
	}
}

func TestAHotPathThatGetsNoAnswerGivesUpAfterItsAttempts(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*dynamo.DB) error{
		"Query":   func(s *dynamo.DB) error { _, err := s.Snapshot(t.Context(), lookup("prod")); return err },
		"PutItem": func(s *dynamo.DB) error { return s.Append(t.Context(), record("receipt", "nonce")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.New(t, nowhere)
			gone := make(chan struct{})
			defer close(gone)
			var mu sync.Mutex
			asked, most := map[string]int{}, 0
			proxy.Inject(faultproxy.Rule{Operations: []string{name}, Times: -1, Effect: faultproxy.Gate(func() { <-gone }), Match: func(body []byte) bool {
				mu.Lock()
				defer mu.Unlock()
				asked[string(body)]++
				most = max(most, asked[string(body)])
				return true
			}})
			proxy.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.Gate(func() { <-gone })})
			if err := call(dynamo.New(client(proxy.URL), tables, at(noon))); !errors.Is(err, broker.ErrUnavailable) {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if most != dynamo.Attempts { // the first to give up ends the others
				t.Fatalf("a request was sent %d times, want %d", most, dynamo.Attempts)
			}
		})
	}
}
