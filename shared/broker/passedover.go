package broker

import (
	"errors"
	"fmt"
)

// PassedOver is the error of a list that gives, beside it, all it could read: so
// many rows do not decode. Whoever does not know it takes the list for unread; who
// goes on with the rest says that there was more.
type PassedOver struct {
	Rows int
	Err  error // of one of them
}

// Error implements error.
func (e *PassedOver) Error() string {
	return fmt.Sprintf("%d rows were passed over: %s", e.Rows, e.Err)
}

// Unwrap gives what is wrong with one of the rows.
func (e *PassedOver) Unwrap() error { return e.Err }

// Unread is how many rows a list passed over, by its error; 0 where that says
// anything else.
func Unread(err error) int {
	var passed *PassedOver
	if errors.As(err, &passed) {
		return passed.Rows
	}
	return 0
}
