package leak_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"bindery/shared/brokertest/leak"
)

func TestFindsEveryEncoding(t *testing.T) {
	const canary = `ca"nary/+7Yq2vJx9LmZt`
	for name, text := range map[string]string{
		"raw": canary, "percent": url.QueryEscape(canary), "json": `ca\"nary/+7Yq2vJx9LmZt`, "hex": hex.EncodeToString([]byte(canary)),
		"base64": base64.StdEncoding.EncodeToString([]byte(canary)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(canary)),
		"basic auth": base64.StdEncoding.EncodeToString([]byte("u:" + canary)), "deeper": base64.StdEncoding.EncodeToString([]byte("me:" + canary + "!!")),
	} {
		if len(leak.Find([]byte("before "+text+" after"), canary)) == 0 {
			t.Errorf("%s was not found", name)
		}
	}
	if found := leak.Find([]byte("nothing to see here"), canary); found != nil {
		t.Errorf("found %v in innocent text", found)
	}
}

func TestFolderReadsEverything(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "core.1"), []byte("canary-in-a-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := leak.Folder(dir)
	if err != nil || len(leak.Find(text, "canary-in-a-file")) == 0 {
		t.Error(err)
	}
}
