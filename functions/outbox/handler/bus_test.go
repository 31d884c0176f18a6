package handler

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"bindery/shared/broker"
	"bindery/shared/events"
)

// bridgeTo is the bus of an endpoint that answers one thing, and what it was
// asked.
func bridgeTo(t *testing.T, status int, answer string) (Bus, *string) {
	t.Helper()
	asked := new(string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		*asked = string(text)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return bridge{eventbridge.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &s.URL, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}), "security"}, asked
}

func two() []events.Event {
	return []events.Event{{Type: "bindery.a.b.v1", Time: noon, Detail: []byte(`{"id":"1"}`)}, {Type: "bindery.c.d.v1", Time: noon, Detail: []byte(`{"id":"2"}`)}}
}

func TestEventBridgeIsTold(t *testing.T) {
	bus, asked := bridgeTo(t, 200, `{"FailedEntryCount":0,"Entries":[{"EventId":"x"},{"EventId":"y"}]}`)
	faults, err := bus.Send(t.Context(), two())
	if err != nil || len(faults) != 2 || faults[0] != nil || faults[1] != nil {
		t.Errorf("%v, %v", faults, err)
	}
	var put struct {
		Entries []struct {
			EventBusName, Source, DetailType, Detail string
			Time                                     float64
		}
	}
	if err := json.Unmarshal([]byte(*asked), &put); err != nil || len(put.Entries) != 2 {
		t.Fatalf("%s, %v", *asked, err)
	}
	if e := put.Entries[1]; e.EventBusName != "security" || e.Source != "bindery" || e.DetailType != "bindery.c.d.v1" || e.Detail != `{"id":"2"}` || int64(e.Time) != noon.Unix() {
		t.Errorf("%+v", e)
	}
}

// TestOnlyABadEventIsGivenUp: whatever else a bus says may be set right.
func TestOnlyABadEventIsGivenUp(t *testing.T) {
	for code, refused := range map[string]bool{"MalformedDetail": true, "InvalidArgument": true, "ThrottlingException": false, "InternalFailure": false,
		"AccessDeniedException": false, "NotAuthorizedForSourceException": false, "planted secret": false, "": false} {
		bus, _ := bridgeTo(t, 200, `{"FailedEntryCount":1,"Entries":[{"EventId":"x"},{"ErrorCode":"`+code+`","ErrorMessage":"planted secret"}]}`)
		faults, err := bus.Send(t.Context(), two())
		if err != nil || len(faults) != 2 || faults[0] != nil || faults[1] == nil {
			t.Fatalf("%s: %v, %v", code, faults, err)
		}
		if errors.Is(faults[1], ErrRefused) != refused || errors.Is(faults[1], broker.ErrUnavailable) == refused || strings.Contains(faults[1].Error(), "planted") {
			t.Errorf("%s: %v", code, faults[1])
		}
	}
}

// TestAnswersThatSayNothingOfEachEvent leave all of them untold.
func TestAnswersThatSayNothingOfEachEvent(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
	}{
		"none":      {200, `{}`},
		"too few":   {200, `{"FailedEntryCount":0,"Entries":[{"EventId":"x"}]}`},
		"too many":  {200, `{"FailedEntryCount":0,"Entries":[{"EventId":"x"},{"EventId":"y"},{"EventId":"z"}]}`},
		"no JSON":   {200, `<html>planted</html>`},
		"throttled": {400, `{"__type":"ThrottlingException","message":"planted"}`},
		"denied":    {400, `{"__type":"AccessDeniedException","message":"planted"}`},
		"broken":    {500, `planted`},
	} {
		bus, _ := bridgeTo(t, c.status, c.answer)
		faults, err := bus.Send(t.Context(), two())
		if !errors.Is(err, broker.ErrUnavailable) || faults != nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v, %v", name, faults, err)
		}
	}
}
