package identity

import (
	"errors"
	"strings"
	"testing"

	"bindery/shared/broker"
)

const minimal = `{"issuers":[{"name":"corp","issuer":"https://login.example.com/","kind":"user",
	"environments":["prod"],"algorithms":["RS256"],"claims":{}}]}`

func TestDocumentFaultsAreReportedAllAtOnce(t *testing.T) {
	_, err := Parse([]byte(`{"issuers":[
		{"name":"Corp!","issuer":"http://login.example.com","kind":"robot","environments":[],"algorithms":["HS256","none"],
		 "audiences":[{"audience":"","servers":["*"]}],"jwks_uri":"ftp://x","clock_skew":"1h","keys_max_age":"1m","agents":"maybe",
		 "scopes":["a b"],"claims":{"principal":["a.b"],"attributes":{"X":"y"},"email":"/"},"groups":{"g":"Not A Name","":"x"},
		 "require":{"":"x"}},
		{"name":"Corp!","issuer":"http://login.example.com","kind":"user","environments":["PROD"],"algorithms":[],"claims":{}}]}`), false)
	if !errors.Is(err, broker.ErrInvalid) {
		t.Fatal(err)
	}
	for _, fault := range []string{
		"issuers[0].name", "issuers[0].issuer: the scheme", "issuers[0].kind", "issuers[0].environments", "issuers[0].algorithms",
		"issuers[0].audiences[0]", "issuers[0].jwks_uri", "issuers[0].clock_skew", "issuers[0].keys_max_age", "issuers[0].agents",
		"issuers[0].scopes", "issuers[0].claims.principal", "issuers[0].claims.attributes", "issuers[0].claims.email",
		"issuers[0].groups", "issuers[0].require", "issuers[1].name: the name is used twice", "issuers[1].issuer: the issuer is listed twice",
		"issuers[1].environments", "issuers[1].algorithms",
	} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("not reported: %s", fault)
		}
	}
}

func TestDocumentIsReadStrictly(t *testing.T) {
	edit := func(old, new string) string { return strings.Replace(minimal, old, new, 1) }
	for name, test := range map[string]struct{ raw, want string }{
		"unknown field":         {edit(`"claims":{}`, `"claims":{"prinzipal":[]},"extra":1`), "issuers[0].claims.prinzipal: unknown field; issuers[0].extra: unknown field"},
		"field of another case": {edit(`"kind"`, `"Kind"`), "issuers[0].Kind: unknown field"},
		"duplicate field":       {edit(`"kind":"user"`, `"kind":"user","kind":"workload"`), "duplicate"},
		"duplicate group":       {edit(`"claims":{}`, `"claims":{"groups":"g"},"groups":{"a":"x","a":"y"}`), "duplicate"},
		"wrong type":            {edit(`["prod"]`, `"prod"`), "environments"},
		"trailing text":         {minimal + "{}", "JSON"},
		"empty":                 {"", "JSON"},
		"list":                  {"[]", "one JSON object"},
		"no issuers":            {`{"issuers":[]}`, "at least one issuer"},
		"bad duration":          {edit(`"claims"`, `"max_age":"soon","claims"`), "duration"},
		"zero duration":         {edit(`"claims"`, `"clock_skew":"0s","claims"`), "above zero"},
		"issuer with a query":   {edit("example.com/", "example.com/?a"), "issuer: it must be https"},
		"issuer with a user":    {edit("login.", "a@login."), "issuer: it must be https"},
		"nested claim":          {edit(`"claims":{}`, `"claims":{"agent":["act.sub"]}`), "JSON Pointer"},
		"groups without claim":  {edit(`"claims":{}`, `"claims":{},"groups":{"a":"b"}`), "claims.groups"},
	} {
		if _, err := Parse([]byte(test.raw), false); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
}

func TestPlainHTTPOnlyToLoopbackAndOnlyLocally(t *testing.T) {
	loopback := strings.Replace(minimal, "https://login.example.com/", "http://127.0.0.1:9400", 1)
	if _, err := Parse([]byte(loopback), true); err != nil {
		t.Error(err)
	}
	if _, err := Parse([]byte(loopback), false); err == nil {
		t.Error("http to loopback was accepted outside local")
	}
	if _, err := Parse([]byte(strings.Replace(minimal, "https:", "http:", 1)), true); err == nil {
		t.Error("http to another host was accepted")
	}
}

func TestDigestFollowsTheMeaning(t *testing.T) {
	digest := func(raw string) string {
		d, err := Parse([]byte(raw), false)
		if err != nil {
			t.Fatal(err)
		}
		return d.Digest()
	}
	same := digest(minimal)
	if same == "" || digest(strings.ReplaceAll(minimal, "\n\t", "  ")) != same ||
		digest(strings.Replace(minimal, `"kind"`, `"clock_skew":"30s","kind"`, 1)) != same {
		t.Error("two documents that say the same have different digests")
	}
	if digest(strings.Replace(minimal, "RS256", "ES256", 1)) == same {
		t.Error("two documents that differ have the same digest")
	}
}
