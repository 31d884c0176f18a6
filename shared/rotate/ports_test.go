package rotate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// source reads what calls get.
type source struct{ w *world }

func (s source) Obtain(_ context.Context, a broker.Ask) (broker.Credential, error) {
	if err := s.w.alive(); err != nil {
		return broker.Credential{}, err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	c := broker.Credential{Fields: map[string]secret.Value{}}
	for _, f := range a.Binding.Fields {
		value := "made-up-other"
		if f.Reference == token {
			value = s.w.shelf.current
		}
		c.Fields[f.Name] = secret.New(value)
		c.Access = append(c.Access, broker.Access{Reference: f.Reference.WithoutKey().String(), Version: "v"})
	}
	return c, nil
}

// store stages as the port says.
type store struct{ w *world }

func (s store) Stage(_ context.Context, want broker.Want, key, id string, v secret.Value) (from, to string, err error) {
	err = s.w.effect("stage", func() error {
		if want.Reference != token.WithoutKey() || key != "token" || want.Store.Kind != "aws-sm" || want.Origin == "" {
			return fmt.Errorf("%w: staged somewhere else", broker.ErrInvalid)
		}
		if there, ok := s.w.shelf.staged[id]; ok && there != v.Reveal() || !ok && len(s.w.shelf.staged) > 0 {
			return broker.ErrConflict
		}
		s.w.shelf.staged[id] = v.Reveal()
		return nil
	})
	return "v-before", "v-" + id, err
}

func (s store) Staged(_ context.Context, want broker.Want, id string) (broker.Secret, error) {
	if err := s.w.alive(); err != nil {
		return broker.Secret{}, err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	v, ok := s.w.shelf.staged[id]
	if !ok || !slices.Equal(want.Keys, []string{"token"}) {
		return broker.Secret{}, broker.ErrSecretMissing
	}
	return broker.Secret{Values: map[string]secret.Value{"token": secret.New(v)}, Version: "v-" + id}, nil
}

func (s store) Promote(_ context.Context, _ broker.Want, id string) error {
	return s.w.effect("promote", func() error {
		switch v, ok := s.w.shelf.staged[id]; {
		case s.w.shelf.promoted == id:
		case !ok:
			return broker.ErrSecretMissing
		default:
			s.w.shelf.previous, s.w.shelf.current, s.w.shelf.promoted = s.w.shelf.current, v, id
			delete(s.w.shelf.staged, id)
		}
		return nil
	})
}

func (s store) Restore(_ context.Context, _ broker.Want, id string) error {
	return s.w.effect("restore", func() error {
		if s.w.shelf.promoted == id {
			s.w.shelf.current, s.w.shelf.previous, s.w.shelf.promoted = s.w.shelf.previous, "", ""
		}
		delete(s.w.shelf.staged, id)
		return nil
	})
}

func (s store) Retire(_ context.Context, _ broker.Want, id string) error {
	return s.w.effect("retire", func() error {
		s.w.shelf.previous = ""
		delete(s.w.shelf.staged, id)
		return nil
	})
}

// maker is an upstream that issues keys, the same one for the same rotation.
type maker struct{ w *world }

func (m maker) Make(_ context.Context, a broker.Making) (broker.Made, error) {
	value := "made-up-" + strings.ToLower(a.ID)
	err := m.w.effect("make", func() error {
		if a.Plan.Server != "" && !m.w.accepted[text(a.Fields["token"])] {
			return broker.ErrProviderRefused
		}
		m.w.accepted[value] = true
		return nil
	})
	if err != nil {
		return broker.Made{}, err
	}
	return broker.Made{Value: secret.New(value), Keep: secret.New("name of " + value)}, nil
}

func (m maker) Withdraw(_ context.Context, _ broker.Making, made broker.Made) error {
	return m.w.effect("withdraw", func() error {
		delete(m.w.accepted, made.Value.Reveal())
		return nil
	})
}

func (m maker) Retire(_ context.Context, _ broker.Making, old secret.Value) error {
	return m.w.effect("end", func() error {
		delete(m.w.accepted, strings.TrimPrefix(text(old), "name of "))
		return nil
	})
}

type prober struct{ w *world }

func (p prober) Probe(_ context.Context, s broker.Server, _ broker.Mode, _ string, fields map[string]secret.Value) broker.Reason {
	if p.w.alive() != nil {
		return broker.UpstreamUnreached
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	value := text(fields["token"])
	p.w.probes = append(p.w.probes, s.URL+" "+value)
	switch {
	case p.w.refuses != "":
		return p.w.refuses
	case !p.w.accepted[value]:
		return broker.UpstreamAuth
	}
	return ""
}

// sealer turns texts around, and opens them for their context alone.
type sealer struct{ w *world }

func (s sealer) Seal(_ context.Context, c broker.SealContext, plain secret.Value) ([]byte, error) {
	if err := s.w.alive(); err != nil {
		return nil, err
	}
	return []byte(fmt.Sprintf("%+v|", c) + turned(plain.Reveal())), nil
}

func (s sealer) Open(_ context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	if err := s.w.alive(); err != nil {
		return secret.Value{}, err
	}
	body, ours := strings.CutPrefix(string(sealed), fmt.Sprintf("%+v|", c))
	if !ours {
		return secret.Value{}, broker.ErrKeyUnavailable
	}
	return secret.New(turned(body)), nil
}

func turned(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}
