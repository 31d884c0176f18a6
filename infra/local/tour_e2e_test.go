//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shown is what each step of README.md's five minutes, and then what
// docs/mcp.md and docs/retention.md have to try, must bring to the screen, in this order. Headers are as curl's -i shows them.
var shown = [][]string{
	{`[masked:alice-notes]`, `"X-User-Email":"alice@example.com"`},
	{
		"HTTP/1.1 200 OK", "[masked:alice-notes]",
		"HTTP/1.1 200 OK", "[masked:reporter-notes]", `"Bindery-Mode":"agent_scoped"`,
		"HTTP/1.1 403 Forbidden", "not allowed, or no such server",
	},
	{"HTTP/1.1 200 OK", `"text":"deleted"`, "HTTP/1.1 403 Forbidden", "not allowed, or no such server"},
	{"HTTP/1.1 200 OK", `"phase":"refusal"`, `"target":"delete_everything"`, `"reason":"tool_above_agent_ceiling"`},
	{
		"HTTP/1.1 200 OK", `"name":"everything"`, `"name":"notes"`,
		"HTTP/1.1 200 OK", `"v2"`, `"risk":"critical"`,
		"HTTP/1.1 403 Forbidden", "not allowed, or no such server",
	},
	{"HTTP/1.1 200 OK", `"policies":"`, "HTTP/1.1 200 OK", "done", "HTTP/1.1 403 Forbidden", "not allowed, or no such server"},
	{"HTTP/1.1 200 OK", `"binding":"alice-notes"`, "HTTP/1.1 200 OK", "text/csv", "notes,alice-notes"},
	{"/connect/", "drive is connected", "you are alice-at-drive", `"connections":[{"server":"drive"`, `"provider":"revoked"`, "/connect/"},
	{
		"HTTP/1.1 200 OK", `"maker":"random"`, `"step":"retired"`,
		"HTTP/1.1 200 OK", "[masked:bob-notes]", "HTTP/1.1 403 Forbidden", "not allowed, or no such server",
		"HTTP/1.1 200 OK", `"kind":"binding","subject":"notes/bob-notes"`, `"reason":"the tour"`,
		"HTTP/1.1 200 OK", `"revoked":false`, "HTTP/1.1 200 OK", "[masked:bob-notes]",
	},
	{
		"HTTP/1.1 403 Forbidden", "not allowed, or no such server", `"step":"retired"`,
		"HTTP/1.1 200 OK", "text/markdown", "pushed to a public repository", "no use since", ": retired.", "| notes | bob-notes |",
		"HTTP/1.1 200 OK", `"revoked":false`, "HTTP/1.1 200 OK", "[masked:bob-notes]",
	},
	{"HTTP/1.1 202", `"tools":[`, "HTTP/1.1 200 OK", "text/event-stream", "HTTP/1.1 204", "HTTP/1.1 200 OK", "[masked:alice-notes]"},
	{"HTTP/1.1 200 OK", `"binding":"alice-notes"`, "HTTP/1.1 200 OK", `"alice-notes"`, "HTTP/1.1 200 OK", "text/csv", "alice-notes"},
}

var (
	stepHead = regexp.MustCompile(`(?m)^\*\*\d+\. `)
	fence    = regexp.MustCompile("(?ms)^```(?:sh)?\n(.*?)^```$")
)

// section gives what a document says under a heading.
func section(t *testing.T, name, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	_, found, _ := strings.Cut(string(text), "\n"+heading+"\n")
	found, _, _ = strings.Cut(found, "\n## ")
	return found
}

// steps gives the commands of each step, as one would paste them. What npx runs
// needs Node and is left out.
func steps(t *testing.T) [][]string {
	t.Helper()
	var all [][]string
	texts := stepHead.Split(section(t, "README.md", "## Five minutes"), -1)[1:]
	for _, text := range append(texts, section(t, "docs/mcp.md", "### Try it"), section(t, "docs/retention.md", "## A person asks what is kept")) {
		var commands []string
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(block[1], "npx ") {
				commands = append(commands, block[1])
			}
		}
		all = append(all, commands)
	}
	if len(all) != len(shown) {
		t.Fatalf("the documents have %d steps, and %d are known here", len(all), len(shown))
	}
	return all
}

// here puts what a started stack printed in the place of the defaults.
func here(t *testing.T, printed string) *strings.Replacer {
	t.Helper()
	found := func(pattern string) []string {
		match := regexp.MustCompile(pattern).FindStringSubmatch(printed)
		if match == nil {
			t.Fatalf("no %s in:\n%s", pattern, printed)
		}
		return match
	}
	issuer := found(`curl -s (http://\S+)/token`)
	servers := found(`servers: +(http://[^/]+)/mcp/([^/]+)/notes`)
	return strings.NewReplacer("http://127.0.0.1:8080", servers[1], "http://127.0.0.1:8081", issuer[1],
		"/mcp/local/", "/mcp/"+servers[2]+"/", "aws-sm:local/", "aws-sm:"+servers[2]+"/")
}

// tour runs every command in one shell and says what each step showed wrongly.
func tour(t *testing.T, all [][]string) (wrong []string) {
	t.Helper()
	const end = "\n=== end of a step ===\n"
	script := ""
	for _, commands := range all {
		script += strings.Join(commands, "\n") + "\nprintf '" + strings.ReplaceAll(end, "\n", `\n`) + "'\n"
	}
	command := exec.CommandContext(t.Context(), "bash", "-c", script)
	command.Env = append(os.Environ(), "no_proxy=127.0.0.1")
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		wrong = append(wrong, fmt.Sprintf("the shell ended with %v and said %s", err, stderr.String()))
	}
	screens := strings.Split(string(out), end)
	for i, texts := range shown {
		if i >= len(screens) {
			return append(wrong, fmt.Sprintf("step %d was not reached", i+1))
		}
		rest := screens[i]
		for _, text := range texts {
			_, after, ok := strings.Cut(rest, text)
			if !ok {
				wrong = append(wrong, fmt.Sprintf("step %d: no %q in its place in:\n%s", i+1, text, screens[i]))
				break
			}
			rest = after
		}
	}
	return wrong
}

// testTour takes README.md's five minutes through a running stack, and through
// again with a mistake in each step, which must be noticed.
func testTour(t *testing.T, printed string) {
	replace := here(t, printed)
	all, person := steps(t), browser(t)
	for _, commands := range all {
		for i := range commands {
			commands[i] = replace.Replace(commands[i])
			if strings.HasPrefix(commands[i], "drive() {") { // and then a person opens the link
				commands[i] += `curl -s --data "$(drive | grep -o 'http[^ "]*/connect/[A-Z2-7]*')" ` + person
			}
		}
	}
	for _, wrong := range tour(t, all) {
		t.Error(wrong)
	}
	for i, mistake := range [][2]string{
		{"account=alice", "account=nobody"}, {"Bindery-Binding", "Bindery-Bindin"},
		{"alice-reporter delete_everything", "alice-reporter whoami"}, {"$RECEIPT", "$RECEIP"},
		{"ask admin", "ask alice"}, {`"to":50`, `"to":6`}, {"aws-sm:local/alice-notes", "aws-sm:local/bob-notes"},
		{`"name":"whoami"`, `"name":"whoam"`}, {"notes/bob-notes", "notes/reporter-notes"},
		{"local/bob-notes", "local/alice-notes"}, {"Mcp-Session-Id", "Mcp-Session"},
		{"user-alice", "user-nobody"},
	} {
		broken := append([][]string(nil), all...)
		broken[i] = nil
		for _, command := range all[i] {
			broken[i] = append(broken[i], strings.ReplaceAll(command, mistake[0], mistake[1]))
		}
		if len(tour(t, broken)) == 0 {
			t.Errorf("step %d went well with %s in place of %s", i+1, mistake[1], mistake[0])
		}
	}
}
