package broker

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// usable refuses a card this broker cannot honour exactly: a mode and a source
// that do not go together, a field missing or too many, a reference outside
// what its store may read, a provider missing or too many. All of it before any
// request leaves.
func usable(b *Binding, attach []Attachment, stores []Store) error {
	if !slices.Contains(modesOf(b.Source), b.Mode) {
		return refuse(ModeUnknown)
	}
	if b.Source != Static && b.MaxAge != 0 {
		return &Refusal{Reason: FieldsIncomplete, err: fmt.Errorf("%w max age: only what references name is kept for so long", ErrInvalid)}
	}
	if b.Source != Static {
		return delegable(b, attach)
	}
	if b.Provider != "" || len(b.Scopes) > 0 || b.Audience != "" {
		return refuse(ProviderUnfit)
	}
	if err := checkFields(b.Fields, attach); err != nil {
		return &Refusal{Reason: FieldsIncomplete, err: err}
	}
	for _, f := range b.Fields {
		if err := inScope(f, stores); err != nil {
			return err
		}
	}
	return nil
}

// modesOf says whose authority a source's credentials can carry. What belongs
// to a person is never shared, and what is shared is never a person's.
func modesOf(s SourceKind) []Mode {
	switch s {
	case Static, ClientCredentials:
		return []Mode{ServiceAccount, AgentScoped}
	case AuthorizationCode, PersonalKey, TokenExchange:
		return []Mode{UserDelegated}
	}
	return nil
}

// delegable holds a card without references to its rules: an access token fills
// the one field that the server has, and what a person types in fills them all.
func delegable(b *Binding, attach []Attachment) error {
	need, err := Fields(attach)
	switch {
	case err != nil:
		return &Refusal{Reason: FieldsIncomplete, err: err}
	case len(b.Fields) > 0:
		return &Refusal{Reason: FieldsIncomplete, err: fmt.Errorf("%w fields: source %s takes no references", ErrInvalid, b.Source)}
	case len(need) == 0, len(need) > 1 && b.Source != PersonalKey:
		return &Refusal{Reason: FieldsIncomplete, err: fmt.Errorf("%w fields: source %s cannot fill the %d that the server has", ErrInvalid, b.Source, len(need))}
	case b.Source == PersonalKey && (b.Provider != "" || len(b.Scopes) > 0):
		return &Refusal{Reason: ProviderUnfit, err: fmt.Errorf("%w provider: what people type in comes from none", ErrInvalid)}
	case b.Audience != "" && (b.Source != TokenExchange || len(b.Audience) > maxText || !utf8.ValidString(b.Audience)):
		return &Refusal{Reason: ProviderUnfit, err: fmt.Errorf("%w audience: only an exchange has one, of at most %d bytes", ErrInvalid, maxText)}
	case b.Source == PersonalKey:
		return nil
	}
	err = CheckName("provider", b.Provider)
	if err == nil {
		err = CheckScopes(b.Scopes)
	}
	if err != nil {
		return &Refusal{Reason: ProviderUnfit, err: err}
	}
	return nil
}

// maxScopes is how many scopes a card may ask for.
const maxScopes = 64

// CheckScopes accepts up to 64 distinct scope tokens of RFC 6749, section 3.3.
func CheckScopes(scopes []string) error {
	if len(scopes) > maxScopes {
		return fmt.Errorf("%w scopes: there may be at most %d", ErrInvalid, maxScopes)
	}
	for i, s := range scopes {
		if s == "" || len(s) > MaxID || slices.Contains(scopes[:i], s) {
			return fmt.Errorf("%w scopes: each must have 1 to %d characters and stand once", ErrInvalid, MaxID)
		}
		for at := range len(s) {
			if c := s[at]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
				return fmt.Errorf("%w scopes: only visible ASCII without quotes and backslashes", ErrInvalid)
			}
		}
	}
	return nil
}

// FieldFault says of which field a fault is, and which store its reference
// names. Neither is secret; the rest of the reference is left out.
type FieldFault struct {
	Field, Store string
	Err          error
}

// Error names the field.
func (f *FieldFault) Error() string { return fmt.Sprintf("field %q: %v", f.Field, f.Err) }

// Unwrap gives the fault.
func (f *FieldFault) Unwrap() error { return f.Err }

// inScope finds the registered store of a reference and holds the reference to
// the paths registered there.
func inScope(f Field, stores []Store) error {
	r := f.Reference
	for _, s := range stores {
		switch {
		case s.Name != r.Scheme() || s.State != Active:
		case !s.Paths.Allows(r):
			return &Refusal{Reason: ReferenceOutside, err: &FieldFault{f.Name, r.Scheme(), ErrInvalid}}
		default:
			return nil
		}
	}
	return &Refusal{Reason: StoreUnregistered, err: &FieldFault{f.Name, r.Scheme(), ErrInvalid}}
}
