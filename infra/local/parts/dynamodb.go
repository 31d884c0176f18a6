package parts

import (
	"context"
	"crypto/sha256"
	_ "embed" // the pinned build files
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

//go:embed dynamodb/pom.xml
var dynamoPOM string

//go:embed dynamodb/archives.sha256
var dynamoArchives string

//go:embed dynamodb/Loopback.java
var dynamoLauncher string

// DynamoDBLocal starts AWS's own DynamoDB Local, empty and in memory, with its
// telemetry off and the same tables for all credentials and regions. It needs a
// JDK 17 or newer, and Maven for the first start (about 50 MB, once).
func DynamoDBLocal(ctx context.Context, p Progress) (*Process, error) {
	return dynamoDBLocal(ctx, p, "-inMemory")
}

// DynamoDBLocalIn starts DynamoDB Local on the tables that are in the folder
// dir, or on none yet. It holds more there than in memory, where it gives up
// after some millions of items.
func DynamoDBLocalIn(ctx context.Context, p Progress, dir string) (*Process, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: the folder of DynamoDB Local's tables: %w", ErrInstall, err)
	}
	return dynamoDBLocal(ctx, p, "-dbPath", dir)
}

func dynamoDBLocal(ctx context.Context, p Progress, kept ...string) (*Process, error) {
	h, err := findHome()
	if err != nil {
		return nil, err
	}
	return h.dynamoDBLocal(ctx, p, kept...)
}

func (h home) dynamoDBLocal(ctx context.Context, p Progress, kept ...string) (*Process, error) {
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := h.install(ctx, p, "dynamodb-local", []string{dynamoPOM, dynamoArchives, dynamoLauncher},
		func(dir string) error { return installDynamo(ctx, p, dir) })
	if err != nil {
		return nil, err
	}
	p.say("dynamodb-local: starting")
	return h.start(ctx, program{
		name: "dynamodb-local",
		dir:  dir,
		argv: func(port string) []string {
			return append([]string{java, "-Djava.library.path=lib", "-cp", "classes:lib/*", "Loopback",
				"-sharedDb", "-disableTelemetry", "-port", port}, kept...)
		},
		env:   []string{"DDB_LOCAL_TELEMETRY=0"},
		ready: func(port string) string { return "listening on 127.0.0.1:" + port },
		wait:  startTime,
	})
}

// findJava returns the java to run, after making sure of a whole JDK: the
// launcher is compiled from source.
func findJava(ctx context.Context) (string, error) {
	const instead = "install a JDK 17 or newer, or leave out the tests that need DynamoDB Local"
	java, err := exec.LookPath("java")
	if err != nil {
		return "", fmt.Errorf("%w: java was not found: %s", ErrRuntime, instead)
	}
	out, err := exec.CommandContext(ctx, "javac", "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: javac was not found or does not run: %s", ErrRuntime, instead)
	}
	if major, ok := javaMajor(string(out)); !ok || major < 17 {
		return "", fmt.Errorf("%w: %.40q is too old: %s", ErrRuntime, strings.TrimSpace(string(out)), instead)
	}
	return java, nil
}

// javaMajor reads "javac 17.0.15" as 17. The old form "javac 1.8.0" reads as 1.
func javaMajor(version string) (int, bool) {
	found := regexp.MustCompile(`(?m)^javac (\d+)`).FindStringSubmatch(version)
	if found == nil {
		return 0, false
	}
	major, err := strconv.Atoi(found[1])
	return major, err == nil
}

func installDynamo(ctx context.Context, p Progress, dir string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("%w: mvn was not found: install Maven 3.6 or newer, or leave out the tests that need DynamoDB Local", ErrRuntime)
	}
	p.say("dynamodb-local: installing the pinned release from the Maven repository (about 50 MB to download, once)")
	for name, content := range map[string]string{"pom.xml": dynamoPOM, "Loopback.java": dynamoLauncher} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("%w: writing %s of DynamoDB Local: %w", ErrInstall, name, err)
		}
	}
	lib := filepath.Join(dir, "lib")
	mvn := tool{dir: dir, doing: "installing DynamoDB Local from the Maven repository", advice: tryAgain,
		argv: []string{"mvn", "-q", "-B", "--strict-checksums", "dependency:copy-dependencies", "-DoutputDirectory=" + lib}}
	if err := mvn.run(ctx); err != nil {
		return err
	}
	if err := verifyArchives(lib, dynamoArchives); err != nil {
		return err
	}
	javac := tool{dir: dir, doing: "compiling the launcher of DynamoDB Local", advice: "check the JDK on PATH",
		argv: []string{"javac", "--release", "17", "-cp", "lib/*", "-d", "classes", "Loopback.java"}}
	return javac.run(ctx)
}

// verifyArchives holds every file in dir to the list: one "sha256  name" a
// line, none missing and none besides.
func verifyArchives(dir, list string) error {
	want := map[string]string{}
	for line := range strings.Lines(list) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		want[name] = sum
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("%w: reading what Maven delivered: %w", ErrInstall, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return fmt.Errorf("%w: reading what Maven delivered: %w", ErrInstall, err)
		}
		sum := sha256.Sum256(content)
		if hex.EncodeToString(sum[:]) != want[file.Name()] {
			return fmt.Errorf("%w: %s from the Maven repository is not the pinned one: do not use it, check the repository that Maven asks", ErrInstall, file.Name())
		}
		delete(want, file.Name())
	}
	for name := range want {
		return fmt.Errorf("%w: Maven did not deliver %s", ErrInstall, name)
	}
	return nil
}
