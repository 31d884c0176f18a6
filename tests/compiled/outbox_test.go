//go:build e2e

package compiled

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

// TestTheOutboxFunctionTellsTheStream, started with the settings of the template
// and nothing else: no table is named to it.
func TestTheOutboxFunctionTellsTheStream(t *testing.T) {
	w := &world{dir: t.TempDir()}
	w.binary = filepath.Join(w.dir, "bootstrap")
	runtimeapi.Build(t, w.binary, []string{"outbox"})
	moto, err := parts.Moto(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(moto.Stop)
	_, w.Deployment = deploy(t, moto.URL)
	bus := eventbridge.NewFromConfig(stack.AWS(moto.URL))
	own, err := bus.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("security")})
	must(t, err)
	_, err = bus.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: aws.String("all"), EventSourceArn: own.EventBusArn,
		EventPattern: aws.String(`{"source":["bindery"]}`)})
	must(t, err)
	settings := append(w.settingsOf(func(s config.Setting) bool { return s.For("outbox") }), config.EventBus+"=security")
	function, err := runtimeapi.Start(t.Context(), w.binary, w.as(t, "outbox", settings, "EventBus", "security"))
	must(t, err)
	t.Cleanup(func() { function.Stop() })
	for file, want := range map[string]string{"records": `{"batchItemFailures":[]}`, "records-unreadable": `{"batchItemFailures":[]}`} {
		event, err := os.ReadFile("../../events/outbox/" + file + ".json")
		must(t, err)
		answers(t, function, string(event), want)
	}
	kept, err := bus.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("all")})
	if err != nil || kept.EventCount != 4 {
		t.Errorf("%+v, %v", kept, err)
	}
	moto.Stop()
	event, err := os.ReadFile("../../events/outbox/records.json")
	must(t, err)
	answers(t, function, string(event), `{"batchItemFailures":[{"itemIdentifier":"10100000000012345678"}]}`)
	function.Stop()
	if said := string(function.Stdout()); strings.Count(said, "a record is not told") != 3 || !strings.Contains(said, "events could not be sent") {
		t.Errorf("it said %s", said)
	}
}
