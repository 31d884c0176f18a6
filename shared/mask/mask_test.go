package mask

import (
	"bytes"
	"testing"

	"bindery/shared/secret"
)

func TestQuick(t *testing.T) {
	m, err := New(Secret{secret.New(`ghp_16C7e42F292c6912E7/710c838347"e178B4a`), "[masked:x]"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		`ab ghp_16C7e42F292c6912E7/710c838347"e178B4a x`,
		`ab ghp_16C7e42F292c6912E7\/710c838347\"e178B4a x`,
		`ab ghp_16C7e42F292c6912E7\\/710c838347\\\"e178B4a x`,
		`ab ghp_16C7e42F292c6912E7%2f710c838347%22e178B4a x`,
		`ab%20ghp_16C7e42F292c6912E7%2f710c838347%22e178B4a%20x`,
		`ab%20ghp_\u00316C7e42F292c6912E7%2f710c838347%22e178B4a%20x`,
		`Z2hwXzE2QzdlNDJGMjkyYzY5MTJFNy83MTBjODM4MzQ3ImUxNzhCNGE=!`,
	} {
		t.Log(m.String(s))
	}
}

func BenchmarkNo(b *testing.B) {
	m, _ := New(Secret{secret.New(`ghp_16C7e42F292c6912E7a710c838347Ae178B4a`), "[masked:x]"})
	src := bytes.Repeat([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"The quick brown fox \"jumps\" over\nthe lazy dog and the quick brown fox jumps over the lazy dog"}]}}`), 400)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, n := m.Bytes(src); n != 0 {
			b.Fatal(n)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New(Secret{secret.New(`ghp_16C7e42F292c6912E7a710c838347Ae178B4a`), "[masked:x]"}, Secret{secret.New(`ghp_16C7e42F292c6912E7a710c838347Ae178B4b`), "[masked:y]"})
	}
}
