package maker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Client sends requests under the rules of egress.
type Client interface {
	Do(r *http.Request) (*http.Response, error)
}

// Recipe asks upstreams by the requests of plans.
type Recipe struct {
	// Client gives the client for the networks that a server opens. For an origin
	// that is not the server's it is asked for one that opens none.
	Client func(networks []netip.Prefix) Client
}

// Make implements broker.ValueMaker. An answer that cannot be used leaves a key
// behind at the upstream unless it names it, and the recipe says how to end it.
func (r *Recipe) Make(ctx context.Context, m broker.Making) (broker.Made, error) {
	const doing = "have the upstream issue a key"
	recipe := m.Plan.Recipe
	status, body, err := r.send(ctx, doing, m, recipe.Issue, m.Fields)
	if err != nil {
		return broker.Made{}, err
	}
	if err := judge(doing, status); err != nil {
		return broker.Made{}, err
	}
	var made broker.Made
	answer, err := parse(body)
	if err == nil && recipe.Keep != "" {
		made.Keep, err = answer.text(recipe.Keep)
	}
	if err == nil {
		made.Value, err = answer.text(recipe.Value)
	}
	if err == nil {
		return made, nil
	}
	if made.Keep.IsZero() || recipe.Retire.Method == "" || r.Retire(ctx, m, made.Keep) != nil {
		return broker.Made{}, fmt.Errorf("%s: %w: %w", doing, broker.ErrOutcomeUnknown, err)
	}
	return broker.Made{}, fmt.Errorf("%s: %w: %w", doing, broker.ErrProviderRefused, err)
}

// Withdraw implements broker.ValueMaker.
func (r *Recipe) Withdraw(ctx context.Context, m broker.Making, made broker.Made) error {
	return r.Retire(ctx, m, made.Keep)
}

// Retire implements broker.ValueMaker. Without a request for it, or a name of the
// key, nothing can be said to the upstream.
func (r *Recipe) Retire(ctx context.Context, m broker.Making, old secret.Value) error {
	const doing = "have the upstream end a key"
	call := m.Plan.Recipe.Retire
	if call.Method == "" || old.IsZero() {
		return nil
	}
	values := map[string]secret.Value{oldName: old}
	for name, value := range m.Fields {
		if name != oldName {
			values[name] = value
		}
	}
	status, _, err := r.send(ctx, doing, m, call, values)
	switch {
	case errors.Is(err, errAnswer): // whatever it says besides, it has said its status
	case err != nil:
		return err
	}
	if status == http.StatusNotFound || status == http.StatusGone {
		return nil
	}
	return judge(doing, status)
}

// oldName is what a request to end a key calls it.
const oldName = "old"

// judge says what a status means. Of a request that changes something, an error
// of the server's own does not say whether it did.
func judge(doing string, status int) error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests, status == http.StatusTooEarly:
		return fmt.Errorf("%s: %w (HTTP %d)", doing, broker.ErrUnavailable, status)
	case status >= 500, status == http.StatusRequestTimeout:
		return fmt.Errorf("%s: %w (HTTP %d)", doing, broker.ErrOutcomeUnknown, status)
	}
	return fmt.Errorf("%s: %w (HTTP %d)", doing, broker.ErrProviderRefused, status)
}
