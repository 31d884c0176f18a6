package broker

import (
	"context"
	"errors"
	"fmt"
)

// countTries is how often a change is counted against others who count it.
const countTries = 5

// CountChange counts one more change of a reference: m is a ChangeMarker without
// its epoch. It fails with ErrUnavailable where others keep being first; after any
// other error it may be repeated, and then may count twice, which is harmless.
func CountChange(ctx context.Context, reader MarkerReader, writer Markers, m Marker) error {
	for range countTries {
		found, err := reader.Markers(ctx, m.Environment, []MarkerKey{m.Key()})
		if err != nil {
			return err
		}
		m.Epoch = 1
		if len(found) > 0 {
			m.Epoch = found[0].Epoch + 1
		}
		if err := writer.PutMarker(ctx, m); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("count the change of the reference: %w: others keep counting", ErrUnavailable)
}
