package lambdahttp

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// dump answers with the request it got.
var dump = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Add("X-Multi", "one")
	w.Header().Add("X-Multi", "two")
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, "%s %s %s\npath %q\nhost %q from %q id %q\nlength %d\n", r.Method, r.RequestURI, r.Proto, r.URL.Path, r.Host, r.RemoteAddr, RequestID(r.Context()), r.ContentLength)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
	}
	fmt.Fprintf(w, "body %q\n", body)
})

var discard = slog.New(slog.DiscardHandler)

// Each file holds one event and the bytes that go to the runtime in each mode.
// The eight NULs after the prelude are shown as a line.
func TestEventsToGoldenAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			event := a.Files[0].Data
			got := append(a.Files[:1:1],
				txtar.File{Name: "stream", Data: shown(invoke(t, StreamHandler(dump, discard), event))},
				txtar.File{Name: "buffered.json", Data: shown(invoke(t, BufferedHandler(dump, discard), event))})
			if *update {
				a.Files = got
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(a.Files, got); diff != "" {
				t.Errorf("-golden +got\n%s", diff)
			}
		})
	}
}

// invoke goes through aws-lambda-go: JSON in, the bytes for the runtime out.
func invoke(t *testing.T, handler any, event []byte) []byte {
	t.Helper()
	out, err := lambda.NewHandler(handler).Invoke(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func shown(b []byte) []byte {
	b = bytes.Replace(b, make([]byte, 8), []byte("\n-- 8 x NUL\n"), 1)
	return append(bytes.TrimSuffix(b, []byte("\n")), '\n')
}
