package tests

import (
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// page is one document for people.
type page struct {
	path string // from the root, with slashes
	text string
}

// pages reads every document of the tree.
func pages(t *testing.T) []page {
	t.Helper()
	root := os.DirFS("..")
	var found []page
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && name != "."
		if d.IsDir() && (hidden || slices.Contains([]string{"testdata", "build", "node_modules"}, d.Name())) {
			return fs.SkipDir
		}
		if !d.IsDir() && path.Ext(name) == ".md" {
			text, err := fs.ReadFile(root, name)
			found = append(found, page{name, string(text)})
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 8 {
		t.Fatalf("only %d documents were found: the walk is wrong", len(found))
	}
	return found
}

// document reads one of them.
func document(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile("../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return page{name, string(text)}
}

var (
	fences   = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```$")
	spans    = regexp.MustCompile("`([^`\n]+)`")
	links    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

func (p page) prose() string { return fences.ReplaceAllString(p.text, "") }

// code gives fenced blocks and code spans, each as one text.
func (p page) code() (list []string) {
	for _, m := range fences.FindAllStringSubmatch(p.text, -1) {
		list = append(list, m[1])
	}
	for _, m := range spans.FindAllStringSubmatch(p.prose(), -1) {
		list = append(list, m[1])
	}
	return list
}

// anchors are the fragments under which the page's headings can be linked.
func (p page) anchors() (list []string) {
	for _, m := range headings.FindAllStringSubmatch(p.prose(), -1) {
		list = append(list, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
				return r
			}
			return -1
		}, strings.ToLower(m[1])))
	}
	return list
}

// broken lists the relative links of the page that lead nowhere.
func (p page) broken() (list []string) {
	for _, m := range links.FindAllStringSubmatch(p.prose(), -1) {
		if strings.HasPrefix(m[1], "https://") {
			continue
		}
		name, fragment, _ := strings.Cut(m[1], "#")
		to := p
		if name != "" {
			to.path = path.Join(path.Dir(p.path), name)
			if _, err := os.Stat("../" + to.path); err != nil || strings.HasPrefix(to.path, "..") {
				list = append(list, m[1])
				continue
			}
			text, _ := os.ReadFile("../" + to.path) // a folder has no anchors
			to.text = string(text)
		}
		if fragment != "" && !slices.Contains(to.anchors(), fragment) {
			list = append(list, m[1])
		}
	}
	return list
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for _, p := range pages(t) {
		for _, link := range p.broken() {
			t.Errorf("%s links to %s, which is not there", p.path, link)
		}
	}
}

var (
	targets   = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	mentioned = regexp.MustCompile(`\bmake ([a-z][a-z-]*)`)
)

// unknownTargets lists what the page tells people to make and nobody can.
func (p page) unknownTargets(makefile string) (list []string) {
	for _, code := range p.code() {
		for _, m := range mentioned.FindAllStringSubmatch(code, -1) {
			if !slices.ContainsFunc(targets.FindAllStringSubmatch(makefile, -1), func(t []string) bool { return t[1] == m[1] }) {
				list = append(list, m[1])
			}
		}
	}
	return list
}

func TestMakeTargetsInDocumentsExist(t *testing.T) {
	makefile := document(t, "Makefile").text
	for _, p := range pages(t) {
		for _, target := range p.unknownTargets(makefile) {
			t.Errorf("%s says `make %s`, and the Makefile has no such target", p.path, target)
		}
	}
}

var machine = regexp.MustCompile(`(?m)(?:^|[^\w.~/])(?:~|/(?:work|root|home|Users|tmp|private|mnt))/|[A-Z]:\\`)

func TestNoDocumentNamesAMachinePath(t *testing.T) {
	for _, p := range pages(t) {
		if at := machine.FindString(p.text); at != "" {
			t.Errorf("%s names a path of one machine: %q", p.path, at)
		}
	}
}

var (
	testNames = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	treePaths = regexp.MustCompile(`^(?:functions|shared|infra|tests|docs|events)/[\w./-]+$`)
)

// TestDocumentsNameTestsAndFilesThatExist: evidence that cannot be looked up
// is none.
func TestDocumentsNameTestsAndFilesThatExist(t *testing.T) {
	there := map[string]bool{}
	for _, f := range sources(t) {
		for _, d := range f.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				there[f.Name.Name] = true
			}
		}
	}
	for _, p := range pages(t) {
		for _, name := range testNames.FindAllString(p.text, -1) {
			if !there[name] {
				t.Errorf("%s names the test %s, which does not exist", p.path, name)
			}
		}
		for _, code := range p.code() {
			if _, err := os.Stat("../" + code); treePaths.MatchString(code) && err != nil {
				t.Errorf("%s names %s, which does not exist", p.path, code)
			}
		}
	}
}

// TestSharedReadmeListsEveryPackage: the map has each package, once, and
// nothing else. What brokertest holds is listed as brokertest.
func TestSharedReadmeListsEveryPackage(t *testing.T) {
	want := map[string]bool{}
	for _, f := range sources(t) {
		if name, ok := strings.CutPrefix(f.pkg, "shared/"); ok && !f.test {
			if under(name, "brokertest") {
				name = "brokertest"
			}
			want[name] = true
		}
	}
	got := map[string]bool{}
	for _, row := range table(t, "shared/README.md", "package") {
		for _, m := range spans.FindAllStringSubmatch(row[0], -1) {
			if !want[m[1]] || got[m[1]] {
				t.Errorf("shared/README.md lists %s, which is not there or is listed twice", m[1])
			}
			got[m[1]] = true
		}
	}
	for name := range want {
		if !got[name] {
			t.Errorf("shared/README.md does not list %s", name)
		}
	}
}

// TestReadmeHasTheCommandsThatRunPrints: a newcomer may copy from either.
func TestReadmeHasTheCommandsThatRunPrints(t *testing.T) {
	readme := document(t, "README.md").text
	printed := commands(t)
	if len(printed) < 3 {
		t.Fatalf("only %d commands were found in what `make run` prints", len(printed))
	}
	for _, command := range printed {
		if !strings.Contains(readme, command) {
			t.Errorf("README.md lacks what `make run` prints:\n%s", command)
		}
	}
}

// commands gives each command of the text that infra/local prints at the end,
// as it reads with the default ports.
func commands(t *testing.T) (list []string) {
	t.Helper()
	for _, f := range sources(t) {
		if f.pkg != "infra/local" {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || !strings.Contains(literal.Value, "TOKEN=$(") {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			text = strings.NewReplacer("%[1]s", "http://127.0.0.1:8080", "%[2]s", "http://127.0.0.1:8081", "%[3]s", "local").Replace(text)
			for paragraph := range strings.SplitSeq(text, "\n\n") {
				command := strings.TrimSpace(strings.ReplaceAll("\n"+paragraph, "\n  ", "\n"))
				switch word, _, _ := strings.Cut(command, " "); {
				case strings.HasPrefix(word, "TOKEN="), word == "npx", word == "curl":
					list = append(list, command)
				}
			}
			return true
		})
	}
	return list
}

// TestDocumentsAreJudged: each of the checks above can fail.
func TestDocumentsAreJudged(t *testing.T) {
	bad := page{"README.md", "# A heading: of it\n[a](nowhere.md) [b](#nothing) [c](SECURITY.md#nothing) [d](../x) [e](http://a.example)\n" +
		"[f](#a-heading-of-it) [g](https://a.example)\nRun `make tea`.\n```\nPORT=1 make coffee\nmake run\n```\n"}
	if got := strings.Join(bad.broken(), " "); got != "nowhere.md #nothing SECURITY.md#nothing ../x http://a.example" {
		t.Errorf("broken links: %s", got)
	}
	if got := strings.Join(bad.unknownTargets("run: ## x\nbuild-X:\n"), " "); got != "coffee tea" {
		t.Errorf("unknown targets: %s", got)
	}
	for text, want := range map[string]bool{"in /home/me/x": true, "`/tmp/x`": true, "~/x": true, `C:\x`: true,
		"/mcp/x": false, "https://a.example/home/x": false, "docs/tmp/x": false} {
		if machine.MatchString(text) != want {
			t.Errorf("machine path in %q: want %v", text, want)
		}
	}
}
