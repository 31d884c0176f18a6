// Package broker is the domain: which binding allows a call, which credential
// it may have, and what is written down about it.
//
// One call passes these doors in this order, and no caller can skip one,
// because each door's result is the only key to the next:
//
//	Decide   reads the catalogue once, chooses the binding, touches no secret
//	Obtain   stores the audit intent and fetches the credential side by side,
//	         and releases the credential only when the intent is stored
//	         (the caller relays the call)
//	Settle   stores the outcome
//
// The package knows no AWS, no JWT and no HTTP: it declares the interfaces it
// consumes (ports.go) and is handed their implementations. It never logs, and
// it never calls Reveal on a secret.
package broker
