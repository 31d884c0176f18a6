package broker

import (
	"fmt"
	"slices"
	"strings"
)

// Piece is one part of a template: literal text, or the name of a field.
type Piece struct {
	Literal string
	Field   string
}

// ParseTemplate splits "Bearer {token}" into its pieces. A brace that opens
// nothing, closes nothing or holds no field name is refused; there is no escape.
func ParseTemplate(t string) ([]Piece, error) {
	var pieces []Piece
	for t != "" {
		literal, rest, open := strings.Cut(t, "{")
		if strings.Contains(literal, "}") {
			return nil, fmt.Errorf("%w template: } without {", ErrInvalid)
		}
		if literal != "" {
			pieces = append(pieces, Piece{Literal: literal})
		}
		if !open {
			break
		}
		field, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("%w template: { without }", ErrInvalid)
		}
		if err := CheckName("credential field", field); err != nil {
			return nil, err
		}
		pieces = append(pieces, Piece{Field: field})
		t = after
	}
	if !slices.ContainsFunc(pieces, func(p Piece) bool { return p.Field != "" }) {
		return nil, fmt.Errorf("%w template: it must hold at least one {field}", ErrInvalid)
	}
	return pieces, nil
}

// Fields lists the distinct fields that the attachments need, in first use
// order.
func Fields(attach []Attachment) ([]string, error) {
	var names []string
	for _, a := range attach {
		pieces, err := ParseTemplate(a.Template)
		if err != nil {
			return nil, err
		}
		for _, p := range pieces {
			if p.Field != "" && !slices.Contains(names, p.Field) {
				names = append(names, p.Field)
			}
		}
	}
	return names, nil
}

// checkFields requires exactly one reference for each field the server needs.
func checkFields(have []Field, attach []Attachment) error {
	need, err := Fields(attach)
	if err != nil {
		return err
	}
	if len(have) != len(need) {
		return fmt.Errorf("%w fields: the server needs %d and the binding has %d", ErrInvalid, len(need), len(have))
	}
	for _, name := range need {
		if !slices.ContainsFunc(have, func(f Field) bool { return f.Name == name && !f.Reference.IsZero() }) {
			return fmt.Errorf("%w fields: the binding has no reference for field %q", ErrInvalid, name)
		}
	}
	return nil
}
