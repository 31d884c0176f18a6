//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// source copies what a release is made of into a folder of its own, as one commit
// that is the same each time.
func source(t *testing.T, root string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	for _, name := range []string{"functions", "shared", "infra/release", "infra/licence"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"Makefile", "go.mod", "go.sum", "LICENSE", ".gitignore"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	shell(t, dir, `git init -q . && git add . && git -c user.name=test -c user.email=test@example.com commit -q -m all`)
	return dir
}

func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func shell(t *testing.T, dir, script string) (out string, ok bool) {
	t.Helper()
	run := exec.CommandContext(t.Context(), "sh", "-ec", script)
	run.Dir = dir
	run.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-03-01T12:00:00Z", "GIT_COMMITTER_DATE=2026-03-01T12:00:00Z", "GIT_CONFIG_GLOBAL=/dev/null")
	text, err := run.CombinedOutput()
	return string(text), err == nil
}

// made makes a release of one function in a folder.
func made(t *testing.T, in, key string) (string, error) {
	t.Helper()
	t.Chdir(in)
	args := []string{"-version", "1.2.3", "-functions", "outbox", "-architectures", "x86_64"}
	if key != "" {
		args = append(args, "-key", key)
	}
	return filepath.Join(in, "build", "bindery-1.2.3"), run(t.Context(), args)
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[f.Name()] = string(text)
	}
	return found
}

// TestTheSameCommitGivesTheSameBytes in two folders, down to the list of sums.
func TestTheSameCommitGivesTheSameBytes(t *testing.T) {
	first := source(t, checkout(t))
	var both []map[string]string
	for _, in := range []string{first, source(t, first)} {
		dir, err := made(t, in, "")
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, files(t, dir))
	}
	if len(both[0]) != 5 {
		t.Errorf("%d files in the release", len(both[0]))
	}
	for name, text := range both[0] {
		if both[1][name] != text {
			t.Errorf("%s differs", name)
		}
	}
	billOf(t, both[0]["outbox-x86_64.cdx.json"])
	var p provenance
	if err := json.Unmarshal([]byte(both[0]["provenance.json"]), &p); err != nil || p.Version != "1.2.3" || len(p.Commit) != 40 ||
		p.Committed != "2026-03-01T12:00:00Z" || !strings.HasPrefix(p.Go, "go1.") || len(p.Artifacts) != 1 || len(p.Artifacts[0].Bootstrap) != 64 {
		t.Errorf("provenance %+v, %v", p, err)
	}
	// What is deployed of a release is what is in it.
	out, ok := shell(t, first, "make -s build-OutboxFunction RELEASE=$PWD/build/bindery-1.2.3 LAMBDA_ARCH=x86_64 ARTIFACTS_DIR=$PWD && sha256sum bootstrap")
	if !ok || !strings.Contains(out, p.Artifacts[0].Bootstrap) {
		t.Errorf("sam build would take something else: %s", out)
	}
	if text := both[0]["LICENCES.txt"]; !strings.Contains(text, "==== github.com/aws/aws-lambda-go@") || !strings.Contains(text, "==== Go's standard library") {
		t.Error("a licence is missing")
	}
}

// billOf looks at a bill of materials.
func billOf(t *testing.T, text string) {
	t.Helper()
	var b bom
	reader := json.NewDecoder(strings.NewReader(text))
	reader.DisallowUnknownFields()
	if err := reader.Decode(&b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Spec != "1.6" || !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.Serial) {
		t.Errorf("its head is %s %s %s", b.Format, b.Spec, b.Serial)
	}
	refs := map[string]bool{}
	for _, c := range b.Components {
		if refs[c.Ref] || c.PURL == "" || len(c.Licences) == 0 || c.Name != "std" && (len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64) {
			t.Errorf("component %+v", c)
		}
		refs[c.Ref] = true
	}
	if len(b.Components) < 10 || b.Components[0].Name != "std" {
		t.Errorf("%d components, the first is %+v", len(b.Components), b.Components[0])
	}
	if len(b.Dependencies) != 1 || len(b.Dependencies[0].On) != len(b.Components) {
		t.Error("what depends on what is not said")
	}
}

// TestAChangedByteDoesNotVerify, in whatever file, by the very commands of
// docs/releases.md.
func TestAChangedByteDoesNotVerify(t *testing.T) {
	page, err := os.ReadFile("../../docs/releases.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```sh\n(cd bindery-1.2.3\n.*?)^```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/releases.md does not say how to verify a release")
	}
	in := source(t, checkout(t))
	if out, ok := shell(t, in, "ssh-keygen -q -t ed25519 -N '' -f ../release-key"); !ok {
		t.Fatal(out)
	}
	dir, err := made(t, in, filepath.Join(in, "..", "release-key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(in, "..", "release-key.pub"), filepath.Join(in, "build", "release-key.pub")); err != nil {
		t.Fatal(err)
	}
	verified := func() bool {
		out, ok := shell(t, filepath.Join(in, "build"), string(block[1]))
		return ok && strings.HasSuffix(strings.TrimSpace(out), "verified")
	}
	if !verified() {
		t.Fatal("a genuine release does not verify")
	}
	genuine := files(t, dir)
	if len(genuine) != 6 {
		t.Errorf("%d files", len(genuine))
	}
	for name, text := range genuine {
		changed := bytes.Clone([]byte(text))
		changed[len(changed)/2] ^= 1
		overwrite(t, filepath.Join(dir, name), changed)
		if verified() {
			t.Errorf("it verifies with another byte in %s", name)
		}
		overwrite(t, filepath.Join(dir, name), []byte(text))
	}
	if out, ok := shell(t, in, "ssh-keygen -q -t ed25519 -N '' -f other && cp other.pub build/release-key.pub"); !ok {
		t.Fatal(out)
	}
	if verified() {
		t.Error("it verifies by somebody else's key")
	}
}

func overwrite(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotCommittedIsNotReleased(t *testing.T) {
	in := source(t, checkout(t))
	overwrite(t, filepath.Join(in, "functions/outbox/more.go"), []byte("package main\n"))
	shell(t, in, "git add functions/outbox/more.go")
	if _, err := made(t, in, ""); err == nil || !strings.Contains(err.Error(), "not committed") {
		t.Errorf("released: %v", err)
	}
	if _, err := os.Stat(filepath.Join(in, "build")); err == nil {
		t.Error("something was made")
	}
}

// TestWhatLiesBesideTheCommitIsNotCompiledIn, whether or not git is told to ignore it.
func TestWhatLiesBesideTheCommitIsNotCompiledIn(t *testing.T) {
	in := source(t, checkout(t))
	for _, name := range []string{"functions/outbox/more.go", "shared/more/more.go", "vendor/modules.txt", "go.work", "GNUmakefile"} {
		if err := os.MkdirAll(filepath.Join(in, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		overwrite(t, filepath.Join(in, name), []byte("\n"))
		overwrite(t, filepath.Join(in, ".git/info/exclude"), []byte(name+"\n"))
		if _, err := made(t, in, ""); err == nil || !strings.Contains(err.Error(), "compiled in: "+name) {
			t.Errorf("%s: released: %v", name, err)
		}
		shell(t, in, "rm "+name)
	}
}

// TestSettingsOfWhoeverReleasesAreNotCompiledIn: also not those of go env -w.
func TestSettingsOfWhoeverReleasesAreNotCompiledIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	overwrite(t, file, []byte("GOFLAGS=-tags=mine\nGOEXPERIMENT=arenas\nGOAMD64=v3\n"))
	t.Setenv("GOENV", file)
	t.Setenv("GOWORK", filepath.Join(t.TempDir(), "go.work"))
	for _, mine := range []bool{true, false} {
		command := exec.CommandContext(t.Context(), "go", "env", "GOFLAGS", "GOEXPERIMENT", "GOAMD64", "GOWORK")
		if !mine {
			command.Env = (&release{golang: "local", proxy: "off"}).environment()
		}
		text, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		if is := string(text) != "\n\nv1\noff\n"; is != mine {
			t.Errorf("the settings are %q", text)
		}
	}
}

func TestAReleaseIsMadeOnceUnderAVersion(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, version := range []string{"", "v1.2.3", "1.2", "1.2.3/..", "1.02.3", "1.2.3+dirty"} {
		if err := run(t.Context(), []string{"-version", version, "-functions", "outbox"}); err == nil || !strings.Contains(err.Error(), "semantic version") {
			t.Errorf("%q: %v", version, err)
		}
	}
	r := release{dir: t.TempDir()}
	if err := r.make(t.Context()); err == nil || !strings.Contains(err.Error(), "made once") {
		t.Errorf("an earlier release is overwritten: %v", err)
	}
}

// TestMakeReleaseReleasesEveryFunction that the template deploys.
func TestMakeReleaseReleasesEveryFunction(t *testing.T) {
	out, ok := shell(t, "../..", "make release GO=echo VERSION=1.2.3 SIGN_KEY=key")
	if !ok {
		t.Fatal(out)
	}
	list, err := os.ReadDir("../../functions")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range list {
		want = append(want, f.Name())
	}
	given := regexp.MustCompile(`-version 1\.2\.3 -key key -functions ([a-z ]+) -into`).FindStringSubmatch(out)
	if given == nil {
		t.Fatalf("make runs %s", out)
	}
	got := strings.Fields(given[1])
	if d := cmp.Diff(set(want), set(got)); d != "" {
		t.Errorf("functions (-folders +released):\n%s", d)
	}
}

func set(names []string) map[string]bool {
	all := map[string]bool{}
	for _, n := range names {
		all[n] = true
	}
	return all
}
