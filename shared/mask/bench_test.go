package mask

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"bindery/shared/secret"
)

const benchSize = 256 << 10

// prose is deterministic English-like text with the punctuation, the paths,
// hashes, links and code of tool answers.
func prose(r *rand.Rand, size int) string {
	words := strings.Fields(`the repository contains a function that returns an error when the
		request is not valid and commit 5e1f0c9a8d7b6a5f4e3d2c1b0a998877 was merged into main by octocat see
		https://github.com/example/project/issues/1284?tab=files&q=is%3Aopen+label%3Abug for details
		func (s *Server) handle(w http.ResponseWriter) { return s.next() } path/to/file.go:132 2026-07-28T12:00:00Z
		"quoted text" user_name=alice, status: open; priority [high] 98.6% naïve <b>bold</b>`)
	var b strings.Builder
	for line := 0; b.Len() < size; {
		word := words[r.IntN(len(words))]
		b.WriteString(word)
		if line += len(word) + 1; line > 70 {
			b.WriteByte('\n')
			line = 0
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// toolResult is a tools/call answer of about size bytes, with one text item
// for every 2 KiB.
func toolResult(b testing.TB, size int, item func(r *rand.Rand) string) []byte {
	r := rand.New(rand.NewPCG(7, 7))
	var items []map[string]any
	for total := 0; total < size; {
		text := item(r)
		items = append(items, map[string]any{"type": "text", "text": text})
		total += len(text)
	}
	doc, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 7,
		"result": map[string]any{"content": items, "isError": false}})
	if err != nil {
		b.Fatal(err)
	}
	return doc
}

func proseItem(r *rand.Rand) string { return prose(r, 2048) }

// listItem is JSON text: a list of records, as most API wrappers return them.
func listItem(r *rand.Rand) string {
	var records []map[string]any
	for range 10 {
		records = append(records, map[string]any{"id": r.IntN(1e9), "title": prose(r, 60), "state": "open",
			"labels": []string{"bug", "p1"}, "user": map[string]any{"login": "octocat", "site_admin": false},
			"url": "https://api.github.com/repos/example/project/issues/1284"})
	}
	text, _ := json.Marshal(records)
	return string(text)
}

func events(doc []byte) []byte {
	return []byte("event: message\nid: 7\ndata: " + string(doc) + "\n\n")
}

func tokens(n int) []string {
	r := rand.New(rand.NewPCG(1, 1))
	values := make([]string, n)
	for i := range values {
		letters := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		b := []byte("ghp_")
		for len(b) < 40 {
			b = append(b, letters[r.IntN(len(letters))])
		}
		values[i] = string(b)
	}
	return values
}

func benchNoMatch(b *testing.B, src []byte) {
	run := func(name string, values ...string) {
		m := maskerFor(b, values...)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, n := m.Bytes(src); n != 0 {
					b.Fatal(n)
				}
			}
		})
	}
	for _, n := range []int{1, 2, 4} {
		run(fmt.Sprintf("tokens=%d", n), tokens(n)...)
	}
	run("password", `s3cr"t/pa\ss+w%rd&`)
	run("short", "s3cr3t42")
	run("key", "-----BEGIN "+"PRIVATE KEY-----\n"+strings.Repeat(tokens(1)[0]+"+/abcdefghijklmnopqrstuv\n", 26)+"-----END PRIVATE KEY-----\n")
}

func BenchmarkMaskNoMatchJSON(b *testing.B) {
	benchNoMatch(b, toolResult(b, benchSize, proseItem))
}

func BenchmarkMaskNoMatchSSE(b *testing.B) {
	benchNoMatch(b, events(toolResult(b, 4096, proseItem)))
}

// BenchmarkMaskNoMatchEscapeHeavy is JSON text inside a JSON string: one escape
// for every few bytes.
func BenchmarkMaskNoMatchEscapeHeavy(b *testing.B) {
	benchNoMatch(b, toolResult(b, benchSize, listItem))
}

func BenchmarkMaskOneMatch(b *testing.B) {
	value := tokens(2)[1]
	m := maskerFor(b, tokens(2)...)
	for _, size := range []int{2 << 10, benchSize} {
		src := toolResult(b, size, func(r *rand.Rand) string { return prose(r, 2048) })
		src = []byte(strings.Replace(string(src), "priority", "token="+value, 1))
		b.Run(fmt.Sprintf("%dKiB", len(src)>>10), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, n := m.Bytes(src); n != 1 {
					b.Fatal(n)
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{1, 2, 4} {
		var secrets []Secret
		for i, v := range tokens(n) {
			secrets = append(secrets, Secret{secret.New(v), fmt.Sprintf("[masked:binding-%d]", i)})
		}
		b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New(secrets...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
