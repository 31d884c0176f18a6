package cost

import "maps"

// Trip is what one call, or one more of something in a call, asks AWS for.
type Trip struct {
	Requests map[string]int // by operation
	Rounds   int            // of requests that wait for each other
}

// Total is the number of requests.
func (t Trip) Total() (n int) {
	for _, one := range t.Requests {
		n += one
	}
	return n
}

// decided is what every decision reads, and the record that every call leaves.
func decided() map[string]int { return map[string]int{"BatchGetItem": 1, "Query": 5, "PutItem": 1} }

// with is a call that was decided, what is revoked of its credential, its
// outcome, and more.
func with(rounds int, more map[string]int) Trip {
	all := decided()
	all["BatchGetItem"]++
	all["PutItem"]++
	for operation, n := range more {
		all[operation] += n
	}
	return Trip{all, rounds}
}

// Mode is one way of making a call.
type Mode string

// The modes. Warm means that the process has served such a call before.
const (
	Static          Mode = "static"
	StaticKept      Mode = "static, kept by max_age_seconds"
	Sealed          Mode = "sealed value"
	SealedKept      Mode = "sealed value, kept by max_age_seconds"
	Grant           Mode = "own account, token fresh"
	GrantRefreshed  Mode = "own account, token refreshed"
	Client          Mode = "client credentials, token kept"
	ClientNew       Mode = "client credentials, new token"
	Exchange        Mode = "token exchange, token kept"
	ExchangeNew     Mode = "token exchange, new token"
	Vault           Mode = "Vault"
	Env             Mode = "environment variable"
	Refused         Mode = "refused"
	Unauthenticated Mode = "no valid token"
	Question        Mode = "consent asked for again"
	List            Mode = "static, tools/list"
	Session         Mode = "static, in a session"
	Limited         Mode = "static, two subjects counted"
	Stream          Mode = "static, a GET stream opened and closed"
	Markers100      Mode = "static, 100 wide markers"
	Markers1000     Mode = "static, 1000 wide markers"

	SessionCold  Mode = "static, in a session, the key of the day read"
	SessionFirst Mode = "static, the first session of a day"
	PolicyCold   Mode = "static, a policy set read"
)

// Trips are what the end-to-end tests hold each kind of call to: tests/e2e
// counts requests and rounds, tests/cost requests and capacity.
func Trips() map[Mode]Trip {
	static := map[string]int{"GetSecretValue": 1}
	plus := func(more map[string]int) map[string]int {
		all := maps.Clone(static)
		maps.Copy(all, more)
		return all
	}
	return map[Mode]Trip{
		Static:       with(3, static),
		StaticKept:   with(3, nil),
		SealedKept:   with(3, nil),
		Vault:        with(3, nil),
		Env:          with(3, nil),
		List:         with(3, plus(map[string]int{"Query": 1})),
		Session:      with(3, static),
		SessionCold:  with(5, plus(map[string]int{"GetItem": 1, "Decrypt": 1})),
		SessionFirst: with(8, plus(map[string]int{"GetItem": 1, "GenerateDataKey": 1, "PutItem": 2, "Decrypt": 1})),
		Limited:      with(3, plus(map[string]int{"UpdateItem": 2})),
		PolicyCold:   with(4, plus(map[string]int{"GetItem": 1})),
		Stream:       with(6, plus(map[string]int{"Query": 4, "PutItem": 3, "DeleteItem": 3})),
		Sealed:       with(4, map[string]int{"GetItem": 1, "Decrypt": 1}),
		Grant:        with(4, map[string]int{"Query": 1, "Decrypt": 1}),
		GrantRefreshed: with(10, map[string]int{"BatchGetItem": 1, "Query": 1, "GetItem": 1, "UpdateItem": 2,
			"GetSecretValue": 1, "Decrypt": 1, "GenerateDataKey": 1}),
		Client:    with(4, map[string]int{"GetItem": 1}),
		ClientNew: with(6, map[string]int{"BatchGetItem": 1, "GetItem": 1, "GetSecretValue": 1}),
		// What an exchange rests on is in no store, so nothing is looked up of it.
		Exchange:        with(3, map[string]int{"BatchGetItem": -1, "GetItem": 1}),
		ExchangeNew:     with(5, map[string]int{"BatchGetItem": -1, "GetItem": 1, "Sign": 2}),
		Refused:         {decided(), 2},
		Unauthenticated: {map[string]int{}, 0},
		Question:        with(5, map[string]int{"Query": 1, "GetItem": 2}),
		Markers100:      with(3, static),
		Markers1000:     with(3, static),
	}
}
