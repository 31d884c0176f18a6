package awsfault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

func api(code string, fault smithy.ErrorFault) error {
	return fmt.Errorf("operation error: %w", &smithy.GenericAPIError{Code: code, Message: "canary message", Fault: fault})
}

func TestKindsOfTrouble(t *testing.T) {
	cases := map[string]struct {
		err     error
		passing bool
		text    string
	}{
		"throttled":            {api("ThrottlingException", smithy.FaultClient), true, "do: unavailable: ThrottlingException"},
		"server fault":         {api("InternalServiceError", smithy.FaultServer), true, "do: unavailable: InternalServiceError"},
		"denied":               {api("AccessDeniedException", smithy.FaultClient), false, "do: store denied: AccessDeniedException"},
		"no answer":            {errors.New("dial tcp canary"), true, "do: unavailable: no answer"},
		"cancelled":            {fmt.Errorf("canary: %w", context.Canceled), true, "do: unavailable: context canceled"},
		"too late":             {fmt.Errorf("canary: %w", context.DeadlineExceeded), true, "do: unavailable: context deadline exceeded"},
		"a message for a code": {api("canary with spaces", smithy.FaultClient), false, "do: store denied: unknown code"},
		"a very long code":     {api(strings.Repeat("canary", 20), smithy.FaultClient), false, "do: store denied: unknown code"},
	}
	for name, c := range cases {
		f := awsfault.Of(c.err)
		err := f.Wrap("do", broker.ErrStoreDenied)
		if f.Passing != c.passing || err.Error() != c.text || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: passing %t, %v", name, f.Passing, err)
		}
	}
}
