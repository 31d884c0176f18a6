package parts

import (
	"bufio"
	"context"
	_ "embed" // the pinned requirements
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed moto-requirements.txt
var motoRequirements string

// motoSeries is the release series whose behaviour the tests know.
const motoSeries = "5.2."

// aboutMoto prints the version of an interpreter's moto and where the
// interpreter truly is, and fails unless all
// that its server needs is there. (moto_server has no --version.)
const aboutMoto = `import importlib.metadata as m, sys
for need in ("flask", "flask-cors", "py-partiql-parser", "docker"): m.version(need)
print(m.version("moto"), sys.executable)`

// Moto starts an AWS-compatible endpoint with DynamoDB and its streams, Secrets
// Manager, KMS and STS, empty and in memory. It needs Python 3.10 or newer. A
// moto_server on PATH is used when it is of the right series; otherwise the
// pinned one is installed (about 125 MB, once).
func Moto(ctx context.Context, p Progress) (*Process, error) {
	h, err := findHome()
	if err != nil {
		return nil, err
	}
	return h.moto(ctx, p)
}

func (h home) moto(ctx context.Context, p Progress) (*Process, error) {
	python, ok := motoOnPath(ctx)
	if !ok {
		var err error
		if python, err = h.installMoto(ctx, p); err != nil {
			return nil, err
		}
	}
	p.say("moto: starting the AWS-compatible endpoint")
	return h.start(ctx, program{
		name: "moto",
		argv: func(port string) []string {
			return []string{python, "-m", "moto.server", "-H", "127.0.0.1", "-p", port}
		},
		env:   []string{"PYTHONUNBUFFERED=1"},
		ready: func(port string) string { return "Running on http://127.0.0.1:" + port },
		wait:  startTime,
	})
}

// motoOnPath finds the interpreter behind a moto_server on PATH whose version
// fits. Where that is a shim of a version manager, its first line names no
// Python, and the python3 on PATH is the one it would run.
func motoOnPath(ctx context.Context) (python string, ok bool) {
	script, err := exec.LookPath("moto_server")
	if err != nil {
		return "", false
	}
	for _, python := range []string{scriptPython(script), "python3"} {
		if python == "" {
			continue
		}
		ask := exec.CommandContext(ctx, python, "-c", aboutMoto)
		ask.Env = plainEnv() // as it will be started
		out, err := ask.Output()
		version, python, found := strings.Cut(strings.TrimSpace(string(out)), " ")
		if err == nil && found && strings.HasPrefix(version, motoSeries) {
			return python, true
		}
	}
	return "", false
}

// scriptPython is the Python that a script's first line names, or "".
func scriptPython(script string) string {
	f, err := os.Open(script)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(f, 512).ReadString('\n')
	line, found := strings.CutPrefix(strings.TrimSpace(line), "#!")
	interpreter, _, _ := strings.Cut(line, " ")
	if err != nil || !found || !strings.HasPrefix(filepath.Base(interpreter), "python") {
		return ""
	}
	return interpreter
}

func (h home) installMoto(ctx context.Context, p Progress) (python string, err error) {
	base, about, err := basePython(ctx)
	if err != nil {
		return "", err
	}
	pins := []string{motoRequirements, base, about, runtime.GOOS, runtime.GOARCH}
	dir, err := h.install(ctx, p, "moto", pins, func(dir string) error {
		p.say("moto: installing the pinned release from the Python package index (about 30 MB to download, once)")
		venv := tool{dir: dir, doing: "making a Python virtual environment for moto",
			advice: "install Python's venv module (package python3-venv on Debian and Ubuntu) and try again",
			argv:   []string{base, "-m", "venv", "venv"}}
		if err := venv.run(ctx); err != nil {
			return err
		}
		list := filepath.Join(dir, "requirements.txt")
		if err := os.WriteFile(list, []byte(motoRequirements), 0o644); err != nil {
			return fmt.Errorf("%w: writing the requirements of moto: %w", ErrInstall, err)
		}
		pip := tool{dir: dir, doing: "installing moto from the Python package index", advice: tryAgain,
			env: []string{"PYTHONPATH=", "PIP_USER=0", "TMPDIR=" + dir},
			argv: []string{filepath.Join(dir, "venv", "bin", "python"), "-m", "pip", "install", "--quiet", "--retries", "1",
				"--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", list}}
		return pip.run(ctx)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "venv", "bin", "python"), nil
}

// basePython is the real interpreter behind python3, and its full version.
func basePython(ctx context.Context) (path, version string, err error) {
	const instead = "install Python 3.10 or newer, or set AWS_ENDPOINT_URL to an AWS-compatible endpoint"
	if _, err := exec.LookPath("python3"); err != nil {
		return "", "", fmt.Errorf("%w: python3 was not found: %s", ErrRuntime, instead)
	}
	const ask = `import os, sys; print(os.path.realpath(sys.executable)); print(sys.version.split()[0]); print(sys.version_info >= (3, 10))`
	out, err := exec.CommandContext(ctx, "python3", "-c", ask).Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 3 {
		return "", "", fmt.Errorf("%w: python3 on PATH does not run: %s", ErrRuntime, instead)
	}
	if lines[2] != "True" {
		return "", "", fmt.Errorf("%w: python3 is %s, which is too old: %s", ErrRuntime, lines[1], instead)
	}
	return lines[0], lines[1], nil
}
