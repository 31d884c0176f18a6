package env

import (
	"context"
	"errors"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/secretsuite"
)

// variables is an environment.
type variables map[string]string

func (v variables) lookup(name string) (string, bool) { s, ok := v[name]; return s, ok }

// variable is how the tests name the variable of a path of the suite.
func variable(path string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(path, "-", "_"))
}

// suited lists, for each reference of the suite, the variable that stands for it.
type suited struct{ *Store }

func (s suited) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	name := variable(w.Reference.Path())
	selector, value := w.Reference.Selector()
	text := "env:" + name
	if selector != "" {
		text += "?" + selector + "=" + value
	}
	r, err := broker.ParseReference(text)
	if err != nil {
		return broker.Secret{}, err
	}
	w.Reference, w.Store.Paths = r, broker.Scope{name}
	return s.Store.Fetch(ctx, w)
}

func TestSuite(t *testing.T) {
	secretsuite.Run(t, func(*testing.T) secretsuite.Backend {
		v := variables{}
		return secretsuite.Backend{
			Scheme: "env", Environment: "prod", Origin: "origin", Unversioned: true,
			Open:   func() broker.SecretStore { return suited{New(v.lookup)} },
			Put:    func(_ *testing.T, path, material string) { v[variable(path)] = material },
			Remove: func(_ *testing.T, path string) { delete(v, variable(path)) },
		}
	})
}

func TestNothingElseOfTheEnvironmentIsRead(t *testing.T) {
	v := variables{
		"AWS_SECRET_ACCESS_KEY": "made-up-role-key", "BINDERY_SECRET_": "made-up-value-0", "BINDERY_SECRET_LISTED": "made-up-value-1",
		"BINDERY_SECRET_OTHER": "made-up-value-2", "BINDERY_SECRET_low": "made-up-value-3", "BINDERY_VALUES_KEY": "made-up-setting",
	}
	for _, c := range []struct {
		name  string
		paths broker.Scope
		want  error
	}{
		{"BINDERY_SECRET_LISTED", broker.Scope{"BINDERY_SECRET_LISTED"}, nil},
		{"BINDERY_SECRET_LISTED", broker.Scope{"*"}, broker.ErrStoreDenied},
		{"BINDERY_SECRET_LISTED", broker.Scope{"BINDERY_SECRET_*"}, broker.ErrStoreDenied},
		{"BINDERY_SECRET_OTHER", broker.Scope{"BINDERY_SECRET_LISTED"}, broker.ErrStoreDenied},
		{"BINDERY_SECRET_NONE", broker.Scope{"BINDERY_SECRET_NONE"}, broker.ErrSecretMissing},
		{"AWS_SECRET_ACCESS_KEY", broker.Scope{"AWS_SECRET_ACCESS_KEY", "*"}, broker.ErrSecretMalformed},
		{"BINDERY_VALUES_KEY", broker.Scope{"BINDERY_VALUES_KEY"}, broker.ErrSecretMalformed},
		{"BINDERY_SECRET_", broker.Scope{"BINDERY_SECRET_"}, broker.ErrSecretMalformed},
		{"BINDERY_SECRET_low", broker.Scope{"BINDERY_SECRET_low"}, broker.ErrSecretMalformed},
		{"X_BINDERY_SECRET_LISTED", broker.Scope{"X_BINDERY_SECRET_LISTED"}, broker.ErrSecretMalformed},
	} {
		r, err := broker.ParseReference("env:" + c.name)
		if err != nil {
			t.Fatal(err)
		}
		found, err := New(v.lookup).Fetch(t.Context(), broker.Want{Reference: r, Keys: []string{""}, Store: broker.Store{Paths: c.paths}})
		if !errors.Is(err, c.want) || (err == nil) == (len(found.Values) == 0) {
			t.Errorf("%s listed as %q: %v, want %v", c.name, c.paths, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "made-up") {
			t.Errorf("%s: the error holds a value", c.name)
		}
	}
}

func TestPathsThatAreNoVariablesCannotBeRegistered(t *testing.T) {
	for _, path := range []string{"*", "BINDERY_SECRET_*", "BINDERY_SECRET_A/*", "AWS_SESSION_TOKEN", "BINDERY_SECRET_", "BINDERY_SECRET_a", Prefix + strings.Repeat("A", 128)} {
		if err := Check(broker.Store{Paths: broker.Scope{Prefix + "A", path}}); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := Check(broker.Store{Paths: broker.Scope{"BINDERY_SECRET_GITHUB_2"}}); err != nil {
		t.Error(err)
	}
}
