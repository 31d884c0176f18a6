//go:build e2e && !nojava

package cost

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"bindery/infra/cost"
	"bindery/shared/broker"
)

var update = flag.Bool("update", false, "rewrite what was measured")

// settled is how long what is given back beside the outcome may take.
const settled = time.Second

// measured is where infra/cost finds it.
const measured = "../../infra/cost/measured.json"

// TestWhatACallCosts measures every mode. The requests are held to the table of
// infra/cost, and all that was measured to what is written there.
func TestWhatACallCosts(t *testing.T) {
	s := newScene(t)
	got := cost.Measured{Modes: map[cost.Mode]cost.Use{}}
	trips := cost.Trips()
	got.Twenty, got.Look = s.twenty(), s.look() // before there are markers to read
	for i, w := range ways() {
		t.Run(string(w.mode), func(t *testing.T) {
			use := s.measure(w, "github-issues-"+string(rune('a'+i)), trips[w.mode])
			if diff := cmp.Diff(trips[w.mode].Requests, use.Requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if want := trips[w.mode].Rounds; use.Rounds != want {
				t.Errorf("%d rounds, want %d", use.Rounds, want)
			}
			got.Modes[w.mode] = use
		})
	}
	if *update {
		text, err := json.MarshalIndent(got, "", "  ")
		must(t, err)
		must(t, os.WriteFile(measured, append(text, '\n'), 0o644))
		return
	}
	before, err := cost.Load()
	must(t, err)
	if diff := cmp.Diff(before, got, cmp.Comparer(similar)); diff != "" {
		t.Errorf("what a call costs has changed: rewrite it by go test -tags e2e ./tests/cost -update, then go test ./infra/cost -update (-written +measured):\n%s", diff)
	}
}

// similar sizes differ by the digits of a time or a port.
func similar(a, b cost.Bytes) bool { return max(a, b)-min(a, b) <= max(a, b)/20 }

// measure calls until the mode is warm, then once to count, and then with every
// request held up a moment, to see which follow each other. A busy machine may
// hold up a request longer than that, so what was seen is looked at again.
func (s *scene) measure(w way, name string, want cost.Trip) cost.Use {
	s.t.Helper()
	if w.request == nil {
		w.request = toolCall
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	for range 3 {
		s.index(s.send(w.request(s, w.next(s, name)), w.status).records)
	}
	use := s.counted(w, w.next(s, name))
	for again := range 5 { // the busier the machine, the longer what is side by side takes to begin
		r := w.request(s, w.next(s, name))
		s.reset(time.Duration(80+20*again) * time.Millisecond)
		done := s.send(r, w.status)
		_, _, _, use.Rounds = s.meter.read()
		s.meter.reset(0)
		use.Together = s.index(done.records)
		if use.Rounds == want.Rounds {
			break
		}
	}
	return use
}

// counted is one call, and its records in the ledger.
func (s *scene) counted(w way, server string) (use cost.Use) {
	s.t.Helper()
	r := w.request(s, server)
	s.reset(0)
	done := s.send(r, w.status)
	if n := len(done.records); n > 1 && done.records[n-1].Reason != w.reason {
		s.t.Errorf("%s: it ended with %q", w.mode, done.records[n-1].Reason)
	}
	use.Requests, use.Reads, use.Writes, _ = s.meter.read()
	text, lines := s.log.take()
	use.LogBytes, use.LogLines = cost.Bytes(len(text)), lines
	if use.Records = len(done.records); use.Records > 0 {
		use.RecordBytes = s.stored(s.Config.Tables.Audit, done.receipt)
		use.Apart = s.index(apart(done.records)...)
		use.IndexBytes = s.stored(s.Config.Tables.AuditIndex, done.receipt)
	}
	return use
}

func (s *scene) reset(delay time.Duration) {
	s.log.take()
	s.meter.reset(delay)
}

// answered is one call that has ended.
type answered struct {
	receipt string
	session string
	records []broker.Record
}

// send makes a request and waits for its last record. A stream is hung up on
// when it is open.
func (s *scene) send(e *events.APIGatewayProxyRequest, status int) answered {
	s.t.Helper()
	response, err := s.call(s.t.Context(), *e)
	must(s.t, err)
	header := http.Header(response.MultiValueHeaders)
	a := answered{receipt: header.Get("Bindery-Receipt"), session: header.Get("Mcp-Session-Id")}
	body := []byte("a stream")
	if e.HTTPMethod == http.MethodGet {
		_, err = response.Body.Read(make([]byte, 16))
	} else {
		body, err = io.ReadAll(response.Body)
	}
	must(s.t, err)
	if closing, ok := response.Body.(io.Closer); ok {
		must(s.t, closing.Close())
	}
	if response.StatusCode != status {
		s.t.Fatalf("%s %s: status %d %s", e.HTTPMethod, e.Path, response.StatusCode, body)
	}
	if a.receipt != "" {
		a.records, err = s.Audit(s.t.Context(), a.receipt)
		must(s.t, err)
		if e.HTTPMethod == http.MethodGet {
			time.Sleep(settled)
		}
	}
	return a
}

// index hands records to the ledger's adapter, batch by batch.
func (s *scene) index(batches ...[]broker.Record) (u cost.Units) {
	s.t.Helper()
	s.meter.reset(0)
	for _, batch := range batches {
		must(s.t, s.ledger.IndexRecords(s.t.Context(), batch))
	}
	_, u.Reads, u.Writes, _ = s.meter.read()
	return u
}

// apart makes a batch of each record, as those of a slow call come to the ledger.
func apart(records []broker.Record) (batches [][]broker.Record) {
	for r := range slices.Chunk(records, 1) {
		batches = append(batches, r)
	}
	return batches
}

// stored is how many bytes the items of a receipt have in a table: its records,
// or what leads to them.
func (s *scene) stored(table, receipt string) (bytes cost.Bytes) {
	s.t.Helper()
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(s.AWS), &dynamodb.ScanInput{TableName: &table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(s.t.Context())
		must(s.t, err)
		for _, item := range page.Items {
			if of, ok := item["receipt"].(*types.AttributeValueMemberS); ok && of.Value == receipt {
				bytes += sizeOf(item)
			}
		}
	}
	return bytes
}

// twenty is what the ledger needs for each of twenty calls in one batch, of as
// many people: they share nothing but their card and when they came.
func (s *scene) twenty() cost.Units {
	s.t.Helper()
	alice := s.token
	defer func() { s.token = alice }()
	s.static("many", s.secret("many"), 0)
	var records []broker.Record
	for _, s.token = range s.people {
		records = append(records, s.send(toolCall(s, "many"), http.StatusOK).records...)
	}
	u := s.index(records)
	return cost.Units{Reads: u.Reads / cost.Twenty, Writes: u.Writes / cost.Twenty}
}

// look is what is read while a stream is open, each time that is seen to it that
// it may be.
func (s *scene) look() (u cost.Units) {
	s.t.Helper()
	s.static("watched", s.secret("watched"), 0)
	response, err := s.call(s.t.Context(), *s.request("watched", http.MethodGet, ""))
	must(s.t, err)
	_, err = response.Body.Read(make([]byte, 16))
	must(s.t, err)
	s.meter.reset(0)
	for before, asked := 0, 0; asked == 0 || asked > before; before, asked = asked, s.meter.count() {
		time.Sleep(settled)
	}
	_, u.Reads, u.Writes, _ = s.meter.read()
	must(s.t, response.Body.(io.Closer).Close())
	return u
}

// sizeOf is the size of an item as DynamoDB counts it: names and values, and what
// storage adds to each item.
func sizeOf(item map[string]types.AttributeValue) cost.Bytes {
	const stored = 100
	return stored + cost.Bytes(members(item))
}

func members(of map[string]types.AttributeValue) (n int) {
	for name, v := range of {
		n += len(name) + valueSize(v)
	}
	return n
}

func valueSize(v types.AttributeValue) int {
	const list, element = 3, 1
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 2
	case *types.AttributeValueMemberL:
		n := list
		for _, one := range v.Value {
			n += element + valueSize(one)
		}
		return n
	case *types.AttributeValueMemberM:
		return list + len(v.Value)*element + members(v.Value)
	}
	return 1
}
