package sealed

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/secretsuite"
	"bindery/shared/secret"
)

// fakeSealer hands out a handle for each text and gives the text back to
// whoever has the handle and the very same context.
type fakeSealer struct {
	mu    sync.Mutex
	texts map[string]sealedText
	// fault, when set, decides what Open answers before it looks.
	fault func(ctx context.Context, handle string) error
}

type sealedText struct {
	broker.SealContext
	secret.Value
}

func newSealer() *fakeSealer { return &fakeSealer{texts: map[string]sealedText{}} }

func (f *fakeSealer) Seal(ctx context.Context, c broker.SealContext, plain secret.Value) ([]byte, error) {
	if plain.IsZero() {
		return nil, broker.ErrInvalid
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	handle := fmt.Sprintf("handle-%d", len(f.texts))
	f.texts[handle] = sealedText{c, plain}
	return []byte(handle), ctx.Err()
}

func (f *fakeSealer) Open(ctx context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	f.mu.Lock()
	text, ok := f.texts[string(sealed)]
	fault := f.fault
	f.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, string(sealed)); err != nil {
			return secret.Value{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return secret.Value{}, fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	if !ok || text.SealContext != c {
		return secret.Value{}, broker.ErrKeyUnavailable
	}
	return text.Value, nil
}

// fakeValues keeps every version of every row.
type fakeValues struct {
	mu   sync.Mutex
	rows map[string][]broker.SealedValue // oldest first
	err  error
	// beforePut runs between a writer's read and its write.
	beforePut func()
}

func newValues() *fakeValues { return &fakeValues{rows: map[string][]broker.SealedValue{}} }

func (f *fakeValues) Latest(ctx context.Context, environment, id string) ([]broker.SealedValue, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	rows := slices.Clone(f.rows[environment+"/"+id])
	if len(rows) == 0 {
		return nil, broker.ErrNotFound
	}
	slices.Reverse(rows)
	return rows[:min(2, len(rows))], nil
}

func (f *fakeValues) PutSealed(_ context.Context, v broker.SealedValue) error {
	if f.beforePut != nil {
		f.beforePut()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := v.Environment + "/" + v.ID
	if v.Version != int64(len(f.rows[key]))+1 {
		return broker.ErrConflict
	}
	f.rows[key] = append(f.rows[key], v)
	return nil
}

// edit changes the newest row as somebody with access to the table could.
func (f *fakeValues) edit(key string, change func(v *broker.SealedValue)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := f.rows[key]
	change(&rows[len(rows)-1])
}

const (
	environment = "prod"
	origin      = "digest-of-https-api-example"
)

func TestSuite(t *testing.T) {
	secretsuite.Run(t, func(t *testing.T) secretsuite.Backend {
		values, sealer := newValues(), newSealer()
		open := func() *Store { return New(values, sealer, time.Now) }
		return secretsuite.Backend{
			Scheme: "sealed", Environment: environment, Origin: origin,
			Open: func() broker.SecretStore { return open() },
			Put: func(t *testing.T, path, material string) {
				if _, err := open().Put(t.Context(), environment, path, origin, secret.New(material)); err != nil {
					t.Fatal(err)
				}
			},
			Remove: func(_ *testing.T, path string) {
				values.edit(environment+"/"+path, func(v *broker.SealedValue) { v.State = broker.Revoked })
			},
		}
	})
}
