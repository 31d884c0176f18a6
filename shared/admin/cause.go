package admin

import (
	"errors"
	"fmt"
	"strings"
)

// Cause tells an error for the log in words that hold no value. An error that
// comes to nothing but foreseen faults was put into words by Bindery. Of any
// other, which may say anything, only the types are told.
func Cause(err error, foreseen func(error) bool) string {
	types, known := typesOf(err, foreseen)
	if known {
		return err.Error()
	}
	return strings.Join(types, ", ")
}

// typesOf gives the types of an error and of all that it wraps, and reports
// whether it comes to foreseen faults alone.
func typesOf(err error, foreseen func(error) bool) (types []string, known bool) {
	types = []string{fmt.Sprintf("%T", err)}
	var wrapped []error
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		wrapped = several.Unwrap()
	} else if one := errors.Unwrap(err); one != nil {
		wrapped = []error{one}
	}
	if len(wrapped) == 0 {
		return types, foreseen(err)
	}
	known = true
	for _, w := range wrapped {
		more, all := typesOf(w, foreseen)
		types, known = append(types, more...), known && all
	}
	return types, known
}
