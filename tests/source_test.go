package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "bindery"

// source is one Go file of the product.
type source struct {
	path string // from the root, with slashes
	pkg  string // its folder
	test bool
	text string
	set  *token.FileSet
	file *ast.File
}

// sources parses every Go file, whatever its build tags; testdata is not ours
// to judge.
func sources(t *testing.T) []source {
	t.Helper()
	root, err := os.OpenRoot("..")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var found []source
	for _, top := range []string{"functions", "shared", "infra", "tests"} {
		err := fs.WalkDir(root.FS(), top, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
				return fs.SkipDir
			case d.IsDir() || path.Ext(name) != ".go":
				return nil
			}
			text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
			if err != nil {
				return err
			}
			f, err := parse(name, string(text))
			found = append(found, f)
			return err
		})
		if err != nil {
			t.Fatalf("reading the source: %v", err)
		}
	}
	if len(found) < 50 {
		t.Fatalf("only %d Go files were found: the walk is wrong", len(found))
	}
	return found
}

func parse(name, text string) (source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), text, set, file}, err
}

// imports names what the file imports; packages of this module by folder.
func (f source) imports() []string {
	var list []string
	for _, i := range f.file.Imports {
		name, _ := strconv.Unquote(i.Path.Value) // the parser has checked it
		list = append(list, strings.TrimPrefix(name, module+"/"))
	}
	return list
}

// uses calls found for each "import path.Name" the file mentions, by whatever
// name it imports the package, and for each "import path.Name{}" it makes.
func (f source) uses(found func(name string, at ast.Node)) {
	local := map[string]string{}
	for _, i := range f.file.Imports {
		full, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(full)
		if i.Name != nil {
			name = i.Name.Name
		}
		local[name] = full
	}
	tell := func(n ast.Node, made string) {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && local[x.Name] != "" {
				found(local[x.Name]+"."+s.Sel.Name+made, s)
			}
		}
	}
	ast.Inspect(f.file, func(n ast.Node) bool {
		tell(n, "")
		switch n := n.(type) {
		case *ast.CompositeLit:
			tell(n.Type, "{}")
		case *ast.CallExpr:
			if x, ok := n.Fun.(*ast.Ident); ok && x.Name == "new" && len(n.Args) == 1 {
				tell(n.Args[0], "{}")
			}
		}
		return true
	})
}

func (f source) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

// ships says that the file is part of a deployment.
func (f source) ships() bool {
	return !f.test && (under(f.pkg, "functions") || under(f.pkg, "shared") && !under(f.pkg, "shared/brokertest"))
}

// TestSource holds the rules that every file keeps.
func TestSource(t *testing.T) {
	for _, f := range sources(t) {
		for _, finding := range f.findings() {
			t.Error(finding)
		}
	}
}

const maxFile, maxFunction = 300, 80

// elsewhere lists what only one package may use, or none, in what ships.
var elsewhere = []struct{ name, only, why string }{
	{"net/http.Client{}", "shared/egress", "egress is the only HTTP client"},
	{"net/http.Transport{}", "shared/egress", "egress is the only HTTP client"},
	{"net/http.DefaultTransport", "shared/egress", "egress is the only HTTP client"},
	{"net.Dialer{}", "shared/egress", "egress checks the address at dial time"},
	{"net.Dial", "", "egress checks the address at dial time"},
	{"os.Getenv", "functions", "settings are read once, by main through shared/config"},
}

// anywhere lists what no file but a test's may use: clients without a time
// limit, an address check or a context.
var anywhere = []string{"net/http.DefaultClient", "net/http.Get", "net/http.Head",
	"net/http.Post", "net/http.PostForm", "net/http.DefaultServeMux", "net/http.HandleFunc", "net/http.Handle"}

// findings says what is wrong with one file.
func (f source) findings() (list []string) {
	report := func(at, what string) { list = append(list, at+": "+what) }
	if base := path.Base(f.pkg); slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "model", "models"}, base) {
		report(f.path, "the package name "+base+" says nothing")
	}
	if n := strings.Count(f.text, "\n"); n > maxFile && !ast.IsGenerated(f.file) {
		report(f.path, "has "+strconv.Itoa(n)+" lines, more than "+strconv.Itoa(maxFile))
	}
	for _, d := range f.file.Decls {
		d, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := f.set.Position(d.End()).Line - f.set.Position(d.Pos()).Line + 1; n > maxFunction {
			report(f.at(d), d.Name.Name+" has "+strconv.Itoa(n)+" lines, more than "+strconv.Itoa(maxFunction))
		}
		if d.Name.Name == "init" && d.Recv == nil {
			report(f.at(d), "no init: what happens at start is written in main")
		}
	}
	if f.test {
		return list
	}
	ast.Inspect(f.file, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			if x, ok := c.Fun.(*ast.Ident); ok && x.Name == "panic" {
				report(f.at(c), "no panic: give an error")
			}
		}
		return true
	})
	f.uses(func(name string, at ast.Node) {
		if slices.Contains(anywhere, name) {
			report(f.at(at), name+": no time limit, no address check")
		}
		if f.pkg == "shared/broker" && (name == "time.Now" || name == "time.Since" || name == "time.Until") {
			report(f.at(at), "broker is told the time")
		}
		for _, e := range elsewhere {
			if f.ships() && name == e.name && (e.only == "" || !under(f.pkg, e.only)) {
				report(f.at(at), name+": "+e.why)
			}
		}
	})
	return list
}

// TestSourceIsJudged shows that each rule can fail.
func TestSourceIsJudged(t *testing.T) {
	const p = "package p\n"
	for name, c := range map[string]struct{ path, text, want string }{
		"clean file":           {"shared/x/x.go", p + "func f() {}\n", ""},
		"long file":            {"shared/x/x.go", p + strings.Repeat("\n", 300), "301 lines"},
		"long generated file":  {"shared/x/x.go", "// Code generated by x. DO NOT EDIT.\n\n" + p + strings.Repeat("\n", 300), ""},
		"long function":        {"shared/x/x.go", p + "func f() {" + strings.Repeat("\n", 80) + "}\n", "f has 81 lines"},
		"long test function":   {"shared/x/x_test.go", p + "func f() {" + strings.Repeat("\n", 80) + "}\n", "f has 81 lines"},
		"name without meaning": {"shared/utils/x.go", p, "says nothing"},
		"init":                 {"shared/x/x.go", p + "func init() {}\n", "no init"},
		"a method called init": {"shared/x/x.go", p + "type t int\nfunc (t) init() {}\n", ""},
		"panic":                {"infra/x/x.go", p + "func f() { panic(1) }\n", "no panic"},
		"panic in a test":      {"shared/x/x_test.go", p + "func f() { panic(1) }\n", ""},
		"default client":       {"infra/x/x.go", p + "import h \"net/http\"\nvar c = h.DefaultClient\n", "net/http.DefaultClient"},
		"http.Get":             {"shared/brokertest/x.go", p + "import \"net/http\"\nfunc f() { http.Get(\"\") }\n", "net/http.Get"},
		"own client":           {"shared/x/x.go", p + "import \"net/http\"\nvar c = &http.Client{}\n", "only HTTP client"},
		"own client by new":    {"shared/x/x.go", p + "import \"net/http\"\nvar c = new(http.Client)\n", "only HTTP client"},
		"given a client":       {"shared/x/x.go", p + "import \"net/http\"\nvar c *http.Client\n", ""},
		"egress's client":      {"shared/egress/x.go", p + "import \"net/http\"\nvar c = &http.Client{}\n", ""},
		"clock in broker":      {"shared/broker/x.go", p + "import \"time\"\nvar now = time.Now\n", "told the time"},
		"clock elsewhere":      {"functions/proxy/x.go", p + "import \"time\"\nvar now = time.Now\n", ""},
		"setting read aside":   {"shared/x/x.go", p + "import \"os\"\nvar s = os.Getenv(\"X\")\n", "read once"},
	} {
		f, err := parse(c.path, c.text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := strings.Join(f.findings(), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: findings %q, want %q", name, got, c.want)
		}
	}
}

// TestPackagesAreDocumented: each package tells its idea before its code.
func TestPackagesAreDocumented(t *testing.T) {
	all := sources(t)
	for _, f := range all {
		if f.test && slices.ContainsFunc(all, func(g source) bool { return g.pkg == f.pkg && !g.test }) {
			continue
		}
		documented := slices.ContainsFunc(all, func(g source) bool {
			return g.pkg == f.pkg && g.test == f.test && g.file.Doc != nil && len(g.file.Doc.Text()) > 40
		})
		if !documented {
			t.Errorf("%s: its package has no doc comment", f.path)
		}
	}
}
