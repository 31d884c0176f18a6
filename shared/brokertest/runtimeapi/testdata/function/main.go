// Command function is what the tests of runtimeapi run: its path says what it does.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"bindery/shared/lambdahttp"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	switch os.Getenv("FAIL") {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot start")
		os.Exit(3)
	case "init":
		resp, err := http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime/init/error", "application/json", nil)
		if err == nil {
			_ = resp.Body.Close()
		}
		select {}
	}
	if os.Getenv("MODE") == "raw" {
		lambda.Start(func(in map[string]string) (map[string]string, error) {
			if in["fail"] != "" {
				return nil, fmt.Errorf("asked to fail")
			}
			return map[string]string{"got": in["say"]}, nil
		})
	}
	if os.Getenv("MODE") == "garbage" {
		lambda.Start(func(in map[string]string) (*garbage, error) { return &garbage{text: strings.NewReader(in["say"])}, nil })
	}
	mode := lambdahttp.Stream
	if os.Getenv("MODE") == "buffered" {
		mode = lambdahttp.Buffered
	}
	var opts []lambda.Option
	if os.Getenv("SIGTERM") == "flush" {
		opts = append(opts, lambda.WithEnableSIGTERM(func() { fmt.Println("flushed"); os.Exit(0) }))
	}
	lambdahttp.Start(routes(), mode, slog.New(slog.NewJSONHandler(os.Stderr, nil)), opts...)
}

// garbage claims to be a streamed HTTP answer. Its field is unexported, or
// aws-lambda-go would send it as JSON.
type garbage struct{ text io.Reader }

func (g *garbage) Read(p []byte) (int, error) { return g.text.Read(p) }

func (*garbage) ContentType() string { return "application/vnd.awslambda.http-integration-response" }

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-Multi", "one")
		w.Header().Add("X-Multi", "two")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, os.Environ()) })
	// Each event waits until the test says, over its own server, that it has seen the one before.
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for i := range 3 {
			wait(r)
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
		}
		wait(r)
		_, _ = fmt.Println("outcome recorded")
	})
	mux.HandleFunc("/panic-after", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		panic("hunter2")
	})
	mux.HandleFunc("/panic-before", func(http.ResponseWriter, *http.Request) { panic("hunter2") })
	mux.HandleFunc("/die", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		wait(r)
		os.Exit(4)
	})
	mux.HandleFunc("/die-early", func(http.ResponseWriter, *http.Request) { os.Exit(5) })
	mux.HandleFunc("/deadline", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}

func wait(r *http.Request) {
	resp, err := http.Get(r.Header.Get("X-Gate"))
	if err != nil {
		panic(err)
	}
	_ = resp.Body.Close()
}
