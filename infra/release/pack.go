package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// build has make compile the functions: what `sam build` compiles is the same.
func (r *release) build(ctx context.Context, into string) error {
	targets := map[string]string{"arm64": "arm64:arm64", "x86_64": "amd64:x86_64"}
	var wanted []string
	for _, a := range r.architectures {
		wanted = append(wanted, targets[a])
	}
	command := exec.CommandContext(ctx, "make", "--no-print-directory", "build", "BUILD="+into,
		"FUNCTIONS="+strings.Join(r.functions, " "), "ARCHITECTURES="+strings.Join(wanted, " "))
	command.Env = r.environment()
	command.Stderr = os.Stderr
	fmt.Printf("compiling %d functions for %s (some minutes the first time)\n", len(r.functions), strings.Join(r.architectures, " and "))
	if err := command.Run(); err != nil {
		return fmt.Errorf("build the functions: %w", err)
	}
	return nil
}

// environment is that of the build. What would change the bytes is not taken from
// whoever releases: neither from variables nor from what `go env -w` has written,
// which stands in for every variable that is empty.
func (r *release) environment() []string {
	return append(os.Environ(), "GOENV=off", "GOWORK=off", "GOPROXY="+r.proxy, "GOTOOLCHAIN="+r.golang,
		"GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "MAKEFLAGS=")
}

// artifact is one function for one architecture, in provenance.json.
type artifact struct {
	Function     string `json:"function"`
	Architecture string `json:"architecture"`
	Zip          string `json:"zip"`
	SBOM         string `json:"sbom"`
	Bootstrap    string `json:"bootstrap_sha256"` // of the file in the zip, as Lambda runs it

	info *buildinfo.BuildInfo
}

// provenance says of what a release is made, and how.
type provenance struct {
	Version   string     `json:"version"`
	Commit    string     `json:"commit"`
	Committed string     `json:"committed"`
	Go        string     `json:"go"`
	Build     string     `json:"build"`
	Artifacts []artifact `json:"artifacts"`
}

// pack writes the zips, what each is made of, and the provenance.
func (r *release) pack(built string, found map[string]module) (all []artifact, err error) {
	for _, function := range r.functions {
		for _, architecture := range r.architectures {
			a, err := r.packOne(filepath.Join(built, architecture, function, "bootstrap"), function, architecture, found)
			if err != nil {
				return nil, fmt.Errorf("%s for %s: %w", function, architecture, err)
			}
			all = append(all, a)
		}
	}
	return all, r.write("provenance.json", provenance{r.version, r.commit, r.at.Format("2006-01-02T15:04:05Z"), r.golang,
		"make build FUNCTIONS='" + strings.Join(r.functions, " ") + "'", all})
}

func (r *release) packOne(bootstrap, function, architecture string, found map[string]module) (artifact, error) {
	binary, err := os.ReadFile(bootstrap)
	if err != nil {
		return artifact{}, fmt.Errorf("read what was built: %w", err)
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return artifact{}, fmt.Errorf("read how it was built: %w", err)
	}
	if root, err := os.Getwd(); err != nil || bytes.Contains(binary, []byte(root+"/")) {
		return artifact{}, fmt.Errorf("it holds the path of this folder, so it is not built the same elsewhere")
	}
	sum := sha256.Sum256(binary)
	name := function + "-" + architecture
	a := artifact{function, architecture, name + ".zip", name + ".cdx.json", hex.EncodeToString(sum[:]), info}
	if err := r.zip(a.Zip, binary); err != nil {
		return artifact{}, err
	}
	bom, err := r.bom(a, found)
	if err != nil {
		return artifact{}, err
	}
	return a, r.write(a.SBOM, bom)
}

// zip writes a function as Lambda takes it. Nothing in it depends on when or where.
func (r *release) zip(name string, bootstrap []byte) error {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: r.at}
	header.SetMode(0o755)
	file, err := w.CreateHeader(header)
	if err == nil {
		_, err = file.Write(bootstrap)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("pack it: %w", err)
	}
	return r.store(name, packed.Bytes())
}

func (r *release) write(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return r.store(name, append(text, '\n'))
}

func (r *release) store(name string, text []byte) error {
	if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

const sums = "SHA256SUMS"

// sum lists every file of the release, in the form that sha256sum reads.
func (r *release) sum() error {
	files, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("list the release: %w", err)
	}
	var lines []string
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(r.dir, f.Name()))
		if err != nil {
			return fmt.Errorf("read %s: %w", f.Name(), err)
		}
		sum := sha256.Sum256(text)
		lines = append(lines, hex.EncodeToString(sum[:])+"  "+f.Name()+"\n")
	}
	slices.Sort(lines)
	return r.store(sums, []byte(strings.Join(lines, "")))
}

// sign signs the list of sums with OpenSSH, which has the key, or asks an agent or
// a token for it.
func (r *release) sign(ctx context.Context) error {
	if r.key == "" {
		fmt.Println("release: not signed, no SIGN_KEY was given")
		return nil
	}
	if _, err := output(ctx, "ssh-keygen", "-Y", "sign", "-q", "-n", signing, "-f", r.key, filepath.Join(r.dir, sums)); err != nil {
		return fmt.Errorf("sign the sums: %w", err)
	}
	return nil
}
