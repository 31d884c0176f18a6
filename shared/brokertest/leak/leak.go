// Package leak finds planted canaries in whatever came out of a test: answers,
// logs, files, tables. It looks for each canary raw and in the encodings in
// which secrets usually escape. Test-only.
package leak

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Find says in which encodings a canary occurs in data; nothing is good.
func Find(data []byte, canary string) []string {
	var found []string
	for name, form := range forms(canary) {
		if bytes.Contains(data, []byte(form)) {
			found = append(found, name)
		}
	}
	return found
}

func forms(canary string) map[string]string {
	quoted, _ := json.Marshal(canary)
	all := map[string]string{
		"raw": canary, "hex": hex.EncodeToString([]byte(canary)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(canary))),
		"percent": url.QueryEscape(canary), "json": string(bytes.Trim(quoted, `"`)),
	}
	for shift := range 3 { // inside a longer base64 text the value may start at any of three bit positions
		padded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + canary))
		inner := padded[(shift*8+5)/6 : len(padded)-4]
		all[fmt.Sprintf("base64/%d", shift)] = inner
		all[fmt.Sprintf("base64url/%d", shift)] = strings.NewReplacer("+", "-", "/", "_").Replace(inner)
	}
	return all
}

// Tables gives every item of the tables, as text.
func Tables(ctx context.Context, client *dynamodb.Client, tables ...string) ([]byte, error) {
	var out bytes.Buffer
	for _, table := range tables {
		pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &table})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("scan %s: %w", table, err)
			}
			for _, item := range page.Items {
				for name, value := range item {
					fmt.Fprintf(&out, "%s %s=", table, name)
					write(&out, value)
					out.WriteByte('\n')
				}
			}
		}
	}
	return out.Bytes(), nil
}

func write(out *bytes.Buffer, value types.AttributeValue) {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		out.WriteString(v.Value)
	case *types.AttributeValueMemberN:
		out.WriteString(v.Value)
	case *types.AttributeValueMemberB:
		out.Write(v.Value)
	case *types.AttributeValueMemberL:
		for _, member := range v.Value {
			write(out, member)
			out.WriteByte(' ')
		}
	case *types.AttributeValueMemberM:
		for name, member := range v.Value {
			out.WriteString(name + "=")
			write(out, member)
			out.WriteByte(' ')
		}
	default:
		fmt.Fprintf(out, "%v", v)
	}
}

// Folder gives the names and contents of every file below a folder.
func Folder(path string) ([]byte, error) {
	var out bytes.Buffer
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		out.WriteString(file + "\n")
		out.Write(text)
		return err
	})
	return out.Bytes(), err
}
