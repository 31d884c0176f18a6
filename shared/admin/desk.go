// Package admin is the one place where what an administrator asks is permitted
// and recorded: nothing of the catalogue is shown or changed but through a
// Desk. A change is recorded before it is made, with what was there before and
// what is to be there after, and again when it has ended; what cannot be
// recorded is not made.
//
// The package knows no HTTP and no storage, never holds a secret, and never
// decides by itself who may do what: that is the Gate's.
package admin

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bindery/shared/broker"
)

// Caller is who asks, with what the records need to know of the request.
type Caller struct {
	Principal broker.Principal
	Roles     []string
	Receipt   string
	RequestID string
	Asked     *Asked // what the request has come to; nil: a question is recorded before it is answered
}

// Object is what is asked about.
type Object struct {
	Kind     string // "Server", "Binding", "Agent", "Tool", "Store", "Reference", "Value", "Policy", "Assignment"
	Server   string // the server it belongs to, or empty
	Name     string
	Owner    string // the group that owns it, or empty; of a binding or tool its server's
	Proposer string // principal who made the change that is to be approved
}

// Path names the object in records, as in "binding/github/dev-github".
func (o Object) Path() string {
	kind := strings.ToLower(o.Kind)
	if o.Server != "" {
		return kind + "/" + o.Server + "/" + o.Name
	}
	return kind + "/" + o.Name
}

// Need is one permission that an operation takes.
type Need struct {
	Do string // as in "put", "set_origin", "bind"
	On Object
}

// Operation is one thing that is asked: of the first need's object, with all
// needs permitted.
type Operation struct {
	ID    string // of the API, as in "put-server"
	Needs []Need // at least one

	Answer int // the status of a change that is made, or tried; 0: that of no fault
}

// Gate says who may do what. It is pure: the same question has the same answer.
type Gate interface {
	Permits(c Caller, n Need) bool
}

// Faults of a Desk.
var (
	ErrForbidden  = errors.New("not permitted")
	ErrUnrecorded = errors.New("the change could not be recorded, so it was not made")
)

// Desk permits and records. It is safe for concurrent use.
type Desk struct {
	Environment string
	Issuers     string // digest of the issuer document in force
	Gate        Gate
	Markers     broker.MarkerReader
	Journal     *broker.Journal
	Now         func() time.Time
	Status      func(error) int // the HTTP status that the caller gets for a fault, for the record

	refusals broker.Budget
}

// Admit fails with ErrForbidden, recorded, where whoever asks is revoked, whatever
// they ask for: nobody administers on, or lets themselves go. What cannot be read
// admits nobody.
func (d *Desk) Admit(ctx context.Context, c Caller, method string) error {
	err := broker.Barred(ctx, d.Markers, d.Environment, &c.Principal)
	switch reason := broker.ReasonOf(err); {
	case err == nil:
		return nil
	case reason == broker.CatalogueUnread:
		return fmt.Errorf("read whether the caller is revoked: %w", err)
	default:
		return errors.Join(ErrForbidden, d.refused(ctx, c, method, reason, d.Status(ErrForbidden)))
	}
}

// Sees reports whether a row may be shown in a list that has been recorded.
func (d *Desk) Sees(c Caller, n Need) bool { return d.Gate.Permits(c, n) }

// Change is what is to be done to an object.
type Change struct {
	Before, After any   // rows or views of them, never with a secret; nil: it is new, or goes
	Fault         error // what is known to be wrong with it; told only to who may make it
	Dry           bool  // nothing is made
	Apply         func(context.Context) error
	// Unrecorded is told that a record could not be stored. nil: what cannot be
	// recorded is not made. A stop is: nobody is to go on because of a table.
	Unrecorded func(error)
}

// Change permits a change, records it with before and after, makes it, and
// records how it ended. What has a fault, and a dry run, is recorded and not
// made.
func (d *Desk) Change(ctx context.Context, c Caller, o Operation, change Change) error {
	if err := d.permit(ctx, c, o); err != nil {
		return err
	}
	if change.Fault != nil {
		r := d.record(c, o, broker.Refused)
		r.Reason, r.Status = reasonOf(change.Fault), d.Status(change.Fault)
		return errors.Join(change.Fault, d.refuse(ctx, c, r))
	}
	r := d.record(c, o, broker.Intent)
	var err error
	if r.Before, err = text(change.Before); err == nil {
		r.After, err = text(change.After)
	}
	if err != nil {
		return err
	}
	if change.Dry {
		r.Phase, r.Reason, r.Status = broker.Outcome, broker.DryRun, d.status(o, nil)
		return d.store(ctx, c, r)
	}
	if err := d.storeOr(ctx, c, r, change.Unrecorded); err != nil {
		return err
	}
	fault := change.Apply(ctx)
	r.Phase, r.At, r.Before, r.After = broker.Outcome, d.Now().UTC(), "", ""
	r.Reason, r.Status = reasonOf(fault), d.status(o, fault)
	if d.storeOr(ctx, c, r, change.Unrecorded) != nil {
		return errors.Join(fault, broker.ErrUnavailable) // not ErrUnrecorded: it may have been made
	}
	return fault
}

// storeOr stores a record, or tells that it could not.
func (d *Desk) storeOr(ctx context.Context, c Caller, r broker.Record, unrecorded func(error)) error {
	err := d.store(ctx, c, r)
	if err == nil || unrecorded == nil {
		return err
	}
	unrecorded(err)
	c.noted() // it was no refusal
	return nil
}

// Replayed records that an answer was given once more.
func (d *Desk) Replayed(ctx context.Context, c Caller, method string, a broker.Attempt) error {
	r := d.record(c, Operation{ID: method, Needs: []Need{{}}}, broker.Outcome)
	r.Object, r.Reason, r.Status = "attempt/"+a.Receipt, broker.Replayed, a.Status
	return d.store(ctx, c, r)
}

// status is what a change is answered.
func (d *Desk) status(o Operation, fault error) int {
	if fault == nil && o.Answer != 0 {
		return o.Answer
	}
	return d.Status(fault)
}

func (d *Desk) refused(ctx context.Context, c Caller, method string, reason broker.Reason, status int) error {
	r := d.record(c, Operation{ID: method, Needs: []Need{{}}}, broker.Refused)
	r.Object, r.Reason, r.Status = "", reason, status
	return d.refuse(ctx, c, r)
}

func (d *Desk) permit(ctx context.Context, c Caller, o Operation) error {
	for _, n := range o.Needs {
		if d.Gate.Permits(c, n) {
			continue
		}
		r := d.record(c, o, broker.Refused)
		r.Target, r.Reason, r.Status = n.Do, broker.NotPermitted, d.Status(ErrForbidden)
		return errors.Join(ErrForbidden, d.refuse(ctx, c, r))
	}
	return nil
}

func (d *Desk) record(c Caller, o Operation, phase broker.Phase) broker.Record {
	return broker.Record{
		Schema: broker.RecordSchema, Receipt: c.Receipt, Phase: phase, At: d.Now().UTC(), RequestID: c.RequestID,
		Environment: d.Environment, Server: strings.ToValidUTF8(o.Needs[0].On.Server, "?"), Issuers: d.Issuers,
		Principal: c.Principal.ID, Kind: c.Principal.Kind, Agent: c.Principal.Agent,
		Method: o.ID, Action: broker.Administer, Target: o.Needs[0].Do, Object: strings.ToValidUTF8(o.Needs[0].On.Path(), "?"),
	}
}

// refuse records a refusal, or counts it into a later record of the same
// principal: nobody fills the table by asking for what they may not have.
func (d *Desk) refuse(ctx context.Context, c Caller, r broker.Record) error {
	suppressed, ok := d.refusals.Take(c.Principal.ID, d.Now())
	if !ok {
		c.noted()
		return nil
	}
	r.Suppressed = suppressed
	err := d.store(ctx, c, r)
	if err != nil {
		d.refusals.GiveBack(c.Principal.ID, suppressed)
	}
	return err
}

// store appends within a time of its own: a record does not end with its caller.
func (d *Desk) store(ctx context.Context, c Caller, r broker.Record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	if err := d.Journal.Append(ctx, r); err != nil {
		return errors.Join(ErrUnrecorded, err)
	}
	c.noted()
	return nil
}

// noted says that the request has been recorded, or counted.
func (c Caller) noted() {
	if c.Asked != nil {
		c.Asked.recorded = true
	}
}

// maxSide is the longest side of a change that is recorded as it is, in bytes.
const maxSide = 60 << 10

// text is the JSON of one side of a change. What is too long is named by its
// digest, so that a row can always be stopped or deleted.
func text(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encode the change: %w", err)
	}
	side := strings.TrimSuffix(b.String(), "\n")
	if len(side) > maxSide {
		sum := sha256.Sum256([]byte(side))
		side = fmt.Sprintf(`{"bytes":%d,"sha256":"%x"}`, len(side), sum)
	}
	return side, nil
}

// reasonOf translates a fault of a change into the word for the record.
func reasonOf(err error) broker.Reason {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, broker.ErrConflict):
		return broker.ChangeLost
	case errors.Is(err, broker.ErrUndecodable): // also where what is stored is against a rule
		return broker.RowUndecodable
	case errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrNotFound):
		return broker.ChangeInvalid
	}
	return broker.ChangeFailed
}
