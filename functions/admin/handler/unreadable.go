package handler

import (
	"context"

	"bindery/shared/broker"
	"bindery/shared/telemetry"
)

const indexUnreadable = "Rows of the audit index do not decode, so that people may be missing who used it: have the index filled anew."

// passedOver takes out of a list's fault how many rows it passed over, which an
// answer says beside the others. Any other fault stays.
func (h *Handler) passedOver(ctx context.Context, what string, err error) (rows int, rest error) {
	if rows = broker.Unread(err); rows == 0 {
		return 0, err
	}
	h.log.Error("rows do not decode: an answer lacks them and says so", "receipt", callerOf(ctx).Receipt, "what", what, string(telemetry.RowsUnreadable), rows)
	return rows, nil
}
