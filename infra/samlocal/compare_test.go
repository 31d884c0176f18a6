package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func asIs(text, _ string) string { return text }

const goldenPage = `{
  "statusCode": 403,
  "headers": null,
  "multiValueHeaders": {
    "Content-Type": [
      "application/json"
    ]
  },
  "body": "{\"type\":\"urn:made-up:forbidden\"}"
}
`

func TestAnAnswerThatIsNotTheGoldenOneIsNotOk(t *testing.T) {
	for name, c := range map[string]struct {
		form         form
		golden, said string
		ok           bool
	}{
		"the same page":       {page{}, goldenPage, `{"statusCode":403,"headers":null,"multiValueHeaders":{"Content-Type":["application/json"]},"body":"{\"type\":\"urn:made-up:forbidden\"}"}`, true},
		"another status":      {page{}, goldenPage, `{"statusCode":200,"multiValueHeaders":{"Content-Type":["application/json"]},"body":"{\"type\":\"urn:made-up:forbidden\"}"}`, false},
		"another body":        {page{}, goldenPage, `{"statusCode":403,"multiValueHeaders":{"Content-Type":["application/json"]},"body":"{}"}`, false},
		"a header more":       {page{}, goldenPage, `{"statusCode":403,"multiValueHeaders":{"Content-Type":["application/json"],"X":["y"]},"body":"{\"type\":\"urn:made-up:forbidden\"}"}`, false},
		"no page":             {page{}, goldenPage, `{"errorMessage":"exit status 1","errorType":"Runtime.ExitError"}`, false},
		"nothing":             {page{}, goldenPage, ``, false},
		"the same answer":     {result{}, `{"answer":{"done":true},"log":[]}`, `{"done":true}`, true},
		"another answer":      {result{}, `{"answer":{"done":true},"log":[]}`, `{"done":false}`, false},
		"an error instead":    {result{}, `{"answer":{"done":true},"log":[]}`, `{"errorMessage":"no","errorType":"errorString"}`, false},
		"the same error":      {result{}, `{"error":"no","log":[]}`, `{"errorMessage":"no","errorType":"errorString"}`, true},
		"another error":       {result{}, `{"error":"no","log":[]}`, `{"errorMessage":"yes","errorType":"errorString"}`, false},
		"an answer instead":   {result{}, `{"error":"no","log":[]}`, `null`, false},
		"no answer at all":    {result{}, `{"log":[]}`, `null`, true},
		"a result of nothing": {result{}, `{"log":[]}`, ``, false},
		"the same verdict":    {verdict{}, `{"errorMessage":"Unauthorized"}`, `{"errorMessage":"Unauthorized","errorType":"errorString"}`, true},
		"another verdict":     {verdict{}, `{"errorMessage":"Unauthorized"}`, `{"principalId":"p"}`, false},
	} {
		if err := c.form.same([]byte(c.golden), []byte(c.said), asIs); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAnswerOfAnotherKindIsNotOk(t *testing.T) {
	for name, c := range map[string]struct {
		form               form
		golden, said, want string
		ok                 bool
	}{
		"the same refusal":  {page{}, goldenPage, `{"statusCode":403,"multiValueHeaders":{"Content-Type":["application/json"]},"body":"{\"type\":\"urn:made-up:forbidden\",\"more\":1}"}`, "", true},
		"another refusal":   {page{}, goldenPage, `{"statusCode":403,"multiValueHeaders":{"Content-Type":["application/json"]},"body":"{\"type\":\"urn:made-up:other\"}"}`, "", false},
		"another status":    {page{}, goldenPage, `{"statusCode":405,"multiValueHeaders":{"Content-Type":["application/json"]},"body":""}`, "", false},
		"what is wanted":    {page{}, goldenPage, `{"statusCode":405,"multiValueHeaders":{"Content-Type":["application/json"]},"body":""}`, "405 application/json", true},
		"no page":           {page{}, goldenPage, `null`, "", false},
		"the same members":  {result{}, `{"answer":{"seen":2}}`, `{"seen":0}`, "", true},
		"other members":     {result{}, `{"answer":{"seen":2}}`, `{"ignored":true}`, "", false},
		"an error":          {result{}, `{"answer":{"seen":2}}`, `{"errorMessage":"no","errorType":"errorString"}`, "", false},
		"the wanted error":  {result{}, `{"log":[]}`, `{"errorMessage":"no","errorType":"errorString"}`, "error", true},
		"no error, wanted":  {result{}, `{"log":[]}`, `null`, "error", false},
		"never of verdicts": {verdict{}, `{}`, `{}`, "", false},
	} {
		if err := c.form.sameKind([]byte(c.golden), []byte(c.said), c.want); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEverySampleIsRunAndHasItsGoldenAnswer, and what is compared by its kind
// alone exists and has a reason.
func TestEverySampleIsRunAndHasItsGoldenAnswer(t *testing.T) {
	known := map[string]bool{"catalogue": true} // samples of what Bindery sends
	for _, s := range scenes() {
		known[s.folder] = true
		files, err := filepath.Glob(filepath.Join("../../events", s.folder, "*.json"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no samples: %v", s.folder, err)
		}
		names := map[string]bool{}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			names[name] = true
			if _, err := os.Stat(filepath.Join("../../functions", s.folder, "handler/testdata/events", name+".golden.json")); err != nil {
				t.Error(err)
			}
		}
		for name, other := range s.apart {
			if !names[name] || len(other.why) < 20 {
				t.Errorf("%s/%s is no sample, or nothing says why it is apart", s.folder, name)
			}
		}
	}
	folders, err := os.ReadDir("../../events")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.IsDir() && !known[f.Name()] {
			t.Errorf("events/%s is run by nobody", f.Name())
		}
	}
}

func TestWhatFailedIsInTheLastLineAndInTheError(t *testing.T) {
	s := &stage{words: func(text string) string { return text }}
	one := &tally{}
	one.take(scene{folder: "ledger", form: result{}}, "neither", s, nil, errors.New("the container ended"))
	if one.total != 1 || one.ok != 0 || one.err() == nil || !strings.HasPrefix(one.summary(), "0 of 1 events ok") {
		t.Errorf("%s, %v", one.summary(), one.err())
	}
}
