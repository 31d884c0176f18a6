package revoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"bindery/shared/broker"
)

// Request is what functions/revocation is invoked with: one of the two.
type Request struct {
	Revoke *Order   `json:"revoke,omitempty"`
	Lift   *Lifting `json:"lift,omitempty"`
}

// Answer is what it gives back: an acknowledgement, or a word for why there is
// none, with the rule that was broken where one was.
type Answer struct {
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
	Fault        string           `json:"fault,omitempty"`
	Rule         string           `json:"rule,omitempty"`
}

// faults are the words. Any other means that it may pass.
var faults = map[string]error{"invalid": broker.ErrInvalid, "not_found": broker.ErrNotFound, "conflict": broker.ErrConflict}

// Refusal is the answer for a fault.
func Refusal(err error) Answer {
	for word, of := range faults {
		if errors.Is(err, of) {
			a := Answer{Fault: word}
			if word == "invalid" {
				a.Rule = err.Error()
			}
			return a
		}
	}
	return Answer{Fault: "unavailable"}
}

// Client asks functions/revocation, which alone may write markers.
type Client struct {
	// Invoke hands a request to the function and gives its answer.
	Invoke func(ctx context.Context, request []byte) ([]byte, error)
}

// Revoke has the order carried out.
func (c Client) Revoke(ctx context.Context, o Order) (Acknowledgement, error) {
	return c.ask(ctx, Request{Revoke: &o})
}

// Lift has the lifting carried out.
func (c Client) Lift(ctx context.Context, l Lifting) (Acknowledgement, error) {
	return c.ask(ctx, Request{Lift: &l})
}

func (c Client) ask(ctx context.Context, r Request) (Acknowledgement, error) {
	const doing = "ask the revocation function"
	request, err := json.Marshal(r)
	if err != nil {
		return Acknowledgement{}, fmt.Errorf("%s: encode the request: %w", doing, err)
	}
	text, err := c.Invoke(ctx, request)
	if err != nil {
		return Acknowledgement{}, fmt.Errorf("%s: %w", doing, err)
	}
	var a Answer
	if json.Unmarshal(text, &a) != nil || (a.Acknowledged == nil) == (a.Fault == "") {
		return Acknowledgement{}, fmt.Errorf("%s: %w: its answer is none", doing, broker.ErrUnavailable)
	}
	if a.Acknowledged != nil {
		return *a.Acknowledged, nil
	}
	fault, known := faults[a.Fault]
	if !known {
		fault = broker.ErrUnavailable
	}
	return Acknowledgement{}, fmt.Errorf("%s: %w", doing, fault)
}
