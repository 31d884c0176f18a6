package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tally is what came of the sample events.
type tally struct {
	total, ok, kinds int
	invoked          int // of them by `sam local invoke`, the others by start-lambda
	failed           []error
}

func (t *tally) summary() string {
	text := fmt.Sprintf("%d of %d events ok (%d by sam local invoke, %d by start-lambda", t.ok, t.total, t.invoked, t.total-t.invoked)
	if t.kinds > 0 {
		text += fmt.Sprintf("; %d compared by kind of answer alone", t.kinds)
	}
	return text + ")"
}

func (t *tally) err() error { return errors.Join(t.failed...) }

// runEvents gives each sample event to its function, in the world that its golden
// answer is of, and compares.
func (w *world) runEvents(ctx context.Context) (*tally, error) {
	t := &tally{}
	stage, err := w.newStage(ctx)
	if err != nil {
		return nil, err
	}
	if err := stage.tell(scenes()); err != nil {
		return nil, err
	}
	server, at, err := w.startLambda(ctx)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	for _, s := range scenes() {
		if w.options.only != "" && w.options.only != s.folder {
			continue
		}
		before := *t
		began := time.Now()
		if err := w.play(ctx, stage, s, at, t); err != nil {
			return nil, fmt.Errorf("events/%s: %w", s.folder, err)
		}
		w.say("events/%-11s %d of %d ok, %.0f s", s.folder, t.ok-before.ok, t.total-before.total, time.Since(began).Seconds())
	}
	if t.total == 0 {
		return nil, errors.New("no sample events were found")
	}
	return t, nil
}

// play runs the events of one function.
func (w *world) play(ctx context.Context, stage *stage, s scene, at string, t *tally) error {
	files, err := filepath.Glob(filepath.Join("events", s.folder, "*.json"))
	if err != nil || len(files) == 0 {
		return errors.Join(errors.New("there are none"), err)
	}
	asIs := false // what the scene presumes is there
	for i, file := range files {
		if !asIs {
			if err := stage.fill(ctx, s); err != nil {
				return err
			}
		}
		event, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		asIs = !s.changes || bytes.Contains(event, []byte(`"httpMethod": "GET"`))
		event = []byte(stage.words(string(event)))
		var said []byte
		if i == 0 || w.options.events == "all" {
			t.invoked++
			said, err = w.invoke(ctx, s.function, event)
		} else {
			said, err = ask(ctx, at, s.function, event)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.take(s, name, stage, said, err)
	}
	return nil
}

// take counts one answer.
func (t *tally) take(s scene, name string, stage *stage, said []byte, err error) {
	t.total++
	if err == nil {
		var golden []byte
		if golden, err = os.ReadFile(filepath.Join("functions", s.folder, "handler", "testdata", "events", name+".golden.json")); err == nil {
			if other, ok := s.apart[name]; ok {
				t.kinds++
				err = s.form.sameKind(golden, said, other.want)
			} else {
				err = s.form.same(golden, said, func(text, receipt string) string { return s.rename(stage.plain(text, receipt)) })
			}
		}
	}
	if err != nil {
		t.failed = append(t.failed, fmt.Errorf("events/%s/%s.json: %w", s.folder, name, err))
		return
	}
	t.ok++
}

// startLambda serves the functions as Lambda's own API does, also to each other.
func (w *world) startLambda(ctx context.Context) (*process, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	argv := append(w.sam("local", "start-lambda"), "--host", "127.0.0.1", "--port", fmt.Sprint(port))
	server, err := background("sam local start-lambda", filepath.Join(w.work, "start-lambda.log"), w.env(), argv...)
	if err != nil {
		return nil, "", err
	}
	if err := server.await(ctx, 2*time.Minute, func() bool { return listens(port) }); err != nil {
		server.stop()
		return nil, "", err
	}
	at := fmt.Sprintf("http://127.0.0.1:%d", port)
	return server, at, w.endpoint.invokeAt(at)
}

// invoke is `sam local invoke`: a container for one event.
func (w *world) invoke(ctx context.Context, function string, event []byte) ([]byte, error) {
	file := filepath.Join(w.work, "event.json")
	if err := os.WriteFile(file, event, 0o600); err != nil {
		return nil, err
	}
	out, err := output(ctx, w.env(), append(w.sam("local", "invoke", function), "--event", file)...)
	return []byte(out), err
}

// ask invokes a function that start-lambda serves.
func ask(ctx context.Context, at, function string, event []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/2015-03-31/functions/"+function+"/invocations", bytes.NewReader(event))
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Timeout: 2 * time.Minute}).Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("start-lambda answers %d", response.StatusCode)
	}
	return said, err
}
