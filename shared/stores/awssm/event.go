package awssm

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"bindery/shared/broker"
)

// Event is what AWS tells of one secret, by way of CloudTrail and EventBridge.
type Event struct {
	ID   string // of EventBridge: the same each time it is delivered
	What string // as in "PutSecretValue"
	At   time.Time

	name string // of the secret; may be what somebody asked for, with part of the random end of an ARN
	arn  string // whole; empty: the event names the secret alone
}

// Faults of an event.
var (
	ErrNoEvent = errors.New("the event is not of Secrets Manager")
	ErrForeign = errors.New("the event is of another account or region, of a call that failed, or says nothing of a value")
)

// Account is where Bindery's own secrets are.
type Account struct{ ID, Region string }

// said are the calls and events after which a secret gives another value, or
// none, or one again.
var said = map[string]bool{"PutSecretValue": true, "UpdateSecretVersionStage": true, "UpdateSecret": true, "RotationSucceeded": true,
	"DeleteSecret": true, "CancelRotateSecret": true, "RestoreSecret": true}

const (
	maxEvent    = 256 << 10 // of EventBridge
	maxSecretID = 2048
	maxEventID  = 64
)

type eventText struct {
	ID      string    `json:"id"`
	Source  string    `json:"source"`
	Account string    `json:"account"`
	Region  string    `json:"region"`
	Time    time.Time `json:"time"`
	Detail  struct {
		Source   string `json:"eventSource"`
		Name     string `json:"eventName"`
		Error    string `json:"errorCode"`
		Asked    ids    `json:"requestParameters"`
		Answered ids    `json:"responseElements"`
		Further  ids    `json:"additionalEventData"`
	} `json:"detail"`
}

// ids are the names that the parts of an event give the secret: arn and aRN are
// one for this reader.
type ids struct {
	SecretID string `json:"secretId"`
	ARN      string `json:"arn"`
}

// ParseEvent reads an event about secrets of an account. It trusts no more of
// it than which secret to look at again.
func ParseEvent(text []byte, own Account) (Event, error) {
	var e eventText
	if len(text) > maxEvent || json.Unmarshal(text, &e) != nil || e.Source != "aws.secretsmanager" {
		return Event{}, ErrNoEvent
	}
	d := e.Detail
	if d.Source != "secretsmanager.amazonaws.com" || !said[d.Name] || d.Error != "" || own.ID == "" || e.Account != own.ID || e.Region != own.Region ||
		e.ID == "" || len(e.ID) > maxEventID || e.Time.IsZero() {
		return Event{}, ErrForeign
	}
	found := Event{ID: e.ID, What: d.Name, At: e.Time.UTC()}
	for _, id := range []string{d.Answered.ARN, d.Further.SecretID, d.Asked.SecretID} {
		name, isARN, ok := secretName(id, own)
		switch {
		case id == "":
		case !ok:
			return Event{}, ErrForeign
		case isARN && found.arn == "" && strings.HasPrefix(id, "arn:") && endsRandom(name):
			found.arn, found.name = id, name[:len(name)-randomEnd]
		case found.name == "":
			found.name = name
		}
	}
	if found.name == "" {
		return Event{}, ErrForeign
	}
	return found, nil
}

// randomEnd is what AWS appends to a name in an ARN: a dash and six characters.
const randomEnd = 7

func endsRandom(name string) bool { return len(name) > randomEnd && name[len(name)-randomEnd] == '-' }

// secretName takes the name out of an id, which is a name or an ARN of the account.
func secretName(id string, own Account) (name string, isARN, ok bool) {
	if len(id) > maxSecretID {
		return "", false, false
	}
	if !strings.HasPrefix(id, "arn:") {
		return id, false, true
	}
	parts := strings.SplitN(id, ":", 7)
	if len(parts) != 7 || parts[2] != "secretsmanager" || parts[3] != own.Region || parts[4] != own.ID || parts[5] != "secret" || parts[6] == "" {
		return "", true, false
	}
	return parts[6], true, true
}

// Concerns reports whether a reference may lead to the secret of the event:
// whatever version it names. Where the event does not give the whole ARN it may
// say so of another secret, too, which is looked at for nothing.
func (e Event) Concerns(r broker.Reference) bool {
	path := r.Path()
	return path == e.name || e.arn == "" && endsRandom(e.name) && e.name[:len(e.name)-randomEnd] == path
}
