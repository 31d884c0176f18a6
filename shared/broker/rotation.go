package broker

import (
	"context"
	"time"

	"bindery/shared/secret"
)

// A rotation changes a secret, or what a card refers to, in two phases: the new
// one is made and staged, where no call uses it; the upstream is asked with it;
// only then it is promoted, and the one before goes on for its grace. Whatever
// fails on the way is taken back.

// MakerKind is how a new value comes about.
type MakerKind string

// The makers.
const (
	MakeRandom       MakerKind = "random"        // Bindery makes it up: the upstream reads it from the same store
	MakeByRecipe     MakerKind = "recipe"        // the upstream issues it on a declared request
	MakeClientSecret MakerKind = "client_secret" // a provider issues a client's secret (RFC 7592)
	MakeInStore      MakerKind = "store"         // the store rotates by itself (Secrets Manager), when it is told to
)

// RotationPlan says how one secret is rotated.
type RotationPlan struct {
	Environment string
	Name        string
	Version     int64
	State       State
	Owner       string
	Reference   Reference // with the key of the member that changes; without: the whole value
	Maker       MakerKind
	Random      Random        // of MakeRandom
	Recipe      Recipe        // of MakeByRecipe
	Provider    string        // of MakeClientSecret
	Every       time.Duration // 0: only when somebody asks
	Grace       time.Duration // how long the value before goes on
	Server      string        // with Binding: the card through which the upstream is asked
	Binding     string
	Origin      string // of MakeByRecipe: that of the server when the plan was put; moved, the recipe is sent nowhere
}

// Random says of what a made-up value consists.
type Random struct {
	Length   int    // 16 to 512 characters
	Alphabet string // empty: A-Z a-z 0-9
}

// Recipe is the request by which an upstream issues a new key, and the one by
// which it takes an old one back. Texts may hold {name} for a field of the
// plan's card and, in Retire, {old} for what Keep found in the answer before.
type Recipe struct {
	Issue  RecipeCall
	Value  string     // JSON pointer (RFC 6901) to the new value in the answer
	Keep   string     // JSON pointer to what names the new key there; empty: nothing does
	Retire RecipeCall // empty Method: nothing to be said
}

// RecipeCall is one request of a recipe. Its origin is one that the plan was
// approved for; it goes through the same guards as calls do.
type RecipeCall struct {
	Method  string
	URL     string
	Headers map[string]string
	Body    string // JSON
}

// RotationStep is how far a rotation has come.
type RotationStep string

// The steps, each stored before the next is begun.
const (
	RotationOrdered   RotationStep = "ordered"      // nothing has been changed anywhere
	RotationMade      RotationStep = "staged"       // the new value exists, and no call uses it
	RotationTried     RotationStep = "probed"       // the upstream takes it
	RotationInUse     RotationStep = "promoted"     // calls use it; the value before still works
	RotationOver      RotationStep = "retired"      // the value before is over
	RotationUndoing   RotationStep = "rolling_back" // something failed: the value before is being restored
	RotationUndone    RotationStep = "rolled_back"
	RotationAbandoned RotationStep = "failed" // taking it back failed too often: somebody has to look
)

// Ended reports whether nothing more happens.
func (s RotationStep) Ended() bool {
	return s == RotationOver || s == RotationUndone || s == RotationAbandoned
}

// Rotation is one run. Of each subject at most one has not ended.
type Rotation struct {
	Environment string
	Subject     string // "reference/aws-sm:prod/github" or, where a card is given another reference, "binding/github/dev"
	ID          string // a receipt
	Previous    string // id of the subject's run before; empty: there was none
	Version     int64
	Plan        string // name of the plan; empty for a card
	By          string // principal who asked; empty: the schedule
	Step        RotationStep
	Begun       time.Time
	Moved       time.Time // when the step was reached
	Holder      string    // who works on it now; empty: nobody
	HeldUntil   time.Time
	Next        time.Time // when it is to go on: at once, at a retry, or when the grace is over; zero: it has ended
	Until       time.Time // when the grace is over; zero: it has not begun
	Tries       int       // of the step under way
	From        string    // version id of the value before, or version of the card before
	To          string    // of the new one
	Kept        []byte    // sealed: what a maker or store needs to go on or back; empty: nothing
	Fields      []Field   // of a card: its references afterwards
	Before      []Field   // and before
	Reason      Reason    // why it failed
}

// Rotations keeps runs. BeginRotation stores a new one (Version 0 becomes 1)
// if the latest of its subject is Previous, and has ended; otherwise it fails
// with ErrConflict. The very same again succeeds. PutRotation replaces the version
// that it carries of the latest run, or fails with ErrConflict; nothing replaces
// one that has ended, and the very same again succeeds. Rotation and RotationRun
// read consistently; DueRotations lists those to go on with, longest due first,
// and may lag; rows that do not decode are PassedOver. RotationsOf lists the runs of a subject, newest first, or of all of
// them where that is empty; a page begins after the id that the page before ended
// with. RotationRun and RotationsOf leave out what is kept.
type Rotations interface {
	BeginRotation(ctx context.Context, r Rotation) error
	PutRotation(ctx context.Context, r Rotation) error
	Rotation(ctx context.Context, environment, subject string) (Rotation, error) // the latest of the subject
	RotationRun(ctx context.Context, environment, id string) (Rotation, error)
	DueRotations(ctx context.Context, environment string, now time.Time, limit int) ([]Rotation, error)
	RotationsOf(ctx context.Context, environment, subject, after string, limit int) (found []Rotation, next string, err error)
}

// RotationPlans keeps plans by the rules of CatalogueWriter and CatalogueReader.
// One secret has one plan that is not deleted: a second, also one that is put at
// the very same time, is ErrConflict. The reference of a plan stays as it is.
type RotationPlans interface {
	PutRotationPlan(ctx context.Context, p RotationPlan) error
	RotationPlan(ctx context.Context, environment, name string) (RotationPlan, error)
	RotationPlans(ctx context.Context, environment string, p Page) ([]RotationPlan, error)
}

// StagingStore is a SecretStore in which a value can be prepared before any
// call gets it. id is the rotation's: each operation may be repeated under the
// same id, also after an answer was lost, and changes nothing further.
//
// Stage stores the value, for the member key (empty: the whole value) of w's
// reference; all other members stay as they are. It fails with ErrConflict where
// another value is staged. Without a value (MakeInStore) the store makes one by
// its own means and puts it into use; until it has, Stage fails with
// ErrUnavailable, and once it has, nothing can be restored. Staged reads what Stage stored, as Fetch would. Promote
// makes it what Fetch gives, and what was before the Previous. Restore takes
// back whatever has been done under the id: the value before is what Fetch gives
// again, and the staged one is gone. Retire ends the value before, as far as the
// store can.
type StagingStore interface {
	Stage(ctx context.Context, w Want, key, id string, value secret.Value) (from, to string, err error)
	Staged(ctx context.Context, w Want, id string) (Secret, error)
	Promote(ctx context.Context, w Want, id string) error
	Restore(ctx context.Context, w Want, id string) error
	Retire(ctx context.Context, w Want, id string) error
}

// Making is what a maker is told.
type Making struct {
	ID       string // of the rotation: the same for each attempt
	Plan     RotationPlan
	Server   Server                  // of the plan's card
	Fields   map[string]secret.Value // of the plan's card, as they are now
	Kept     secret.Value            // what Made.Keep said in the rotation before, or nothing
	Deadline time.Time
}

// Made is a new value. Keep is what Retire will need to end it one day.
type Made struct {
	Value secret.Value
	Keep  secret.Value
}

// ValueMaker makes new values. Make may be called again after a crash: a maker
// whose upstream cannot tell a repetition leaves a key behind there, and says so
// with ErrOutcomeUnknown. Retire ends an older value at the upstream; to end
// one that is over succeeds. Withdraw ends the new one, of a rotation that is
// taken back.
type ValueMaker interface {
	Make(ctx context.Context, m Making) (Made, error)
	Withdraw(ctx context.Context, m Making, made Made) error
	Retire(ctx context.Context, m Making, old secret.Value) error
}

// RotationCancelled is the reason of a run that an administrator took back.
const RotationCancelled Reason = "cancelled"
