package broker

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestReferencesParse(t *testing.T) {
	for text, want := range map[string][5]string{ // scheme, path, selector, selected, key
		"aws-sm:prod/github#token":                                   {"aws-sm", "prod/github", "", "", "token"},
		"aws-sm:prod/github?stage=AWSPREVIOUS#token":                 {"aws-sm", "prod/github", "stage", "AWSPREVIOUS", "token"},
		"sealed:github-token":                                        {"sealed", "github-token", "", "", ""},
		"vault:secret/data/mcp/github-issues#token":                  {"vault", "secret/data/mcp/github-issues", "", "", "token"},
		"ssm:/prod/github":                                           {"ssm", "/prod/github", "", "", ""},
		"aws-sm:a#b#c?d=e":                                           {"aws-sm", "a", "", "", "b#c?d=e"},
		"aws-sm:a?version=x:y/z#k":                                   {"aws-sm", "a", "version", "x:y/z", "k"},
		"aws-sm:a:b:c":                                               {"aws-sm", "a:b:c", "", "", ""},
		"aws-sm:" + strings.Repeat("a", MaxReference-len("aws-sm:")): {"aws-sm", strings.Repeat("a", MaxReference-len("aws-sm:")), "", "", ""},
	} {
		r, err := ParseReference(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		selector, selected := r.Selector()
		if got := [5]string{r.Scheme(), r.Path(), selector, selected, r.Key()}; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if r.String() != text {
			t.Errorf("%s is written as %s", text, r)
		}
		whole := r.WithoutKey()
		if whole.Key() != "" || whole.Path() != r.Path() || whole.IsZero() || (whole == r) != (want[4] == "") {
			t.Errorf("%s without its key is %s", text, whole)
		}
	}
}

// rules are everything that a refusal may say. None can hold the input.
var rules = []string{
	"invalid reference: it is longer than 1024 bytes",
	"invalid reference: only printable ASCII without spaces is allowed",
	"invalid reference: it must start with the name of a store and a colon, as in aws-sm:prod/github#token",
	"invalid reference scheme: it must have 1 to 40 characters",
	"invalid reference scheme: only a-z, 0-9 and hyphen are allowed",
	"invalid reference: the key after # is empty",
	"invalid reference: after ? exactly one selector=value is allowed",
	"invalid reference: the path is empty",
	"invalid reference: empty, dot and wildcard path segments are not allowed",
	"invalid reference: " + nameNotARN,
	"invalid reference: stage=AWSCURRENT is what is read anyway: leave it out",
}

// A pasted secret is refused: there is no way to mean it literally, and the
// refusal does not repeat it.
func TestPastedSecretsAreRefusedAndNotRepeated(t *testing.T) {
	for _, pasted := range []string{
		"ghp_" + strings.Repeat("madeup", 6), "AKIAMADEUP0123456789", "made-up password", "xoxb-1-2-madeup",
		"eyJhbGciOiJub25lIn0" + ".eyJzdWIiOiJtYWRlLXVwIn0.", "Bearer:made-up", "user_name:made-up", "Basic bWFkZS11cA==",
		"postgres://user:made-up@db.example/x", "-----BEGIN PRIVATE KEY-----\nmade-up\n", `{"token":"made-up"}`, "https://user:made-up@api.example",
	} {
		r, err := ParseReference(pasted)
		if !errors.Is(err, ErrInvalid) || !r.IsZero() || r.String() != "" {
			t.Errorf("%q was taken for a reference: %v", pasted, err)
			continue
		}
		if !slices.Contains(rules, err.Error()) {
			t.Errorf("%q: the refusal %q says more than a rule", pasted, err)
		}
	}
}

func TestMalformedReferencesAreRefused(t *testing.T) {
	for text, rule := range map[string]int{
		strings.Repeat("a", MaxReference+1): 0,
		"aws-sm:a b":                        1, "aws-sm:a\n": 1, "aws-sm:\u00e9": 1, "aws-sm:a\x00": 1, "aws-sm:a\x7f": 1, "aws-sm:a\xff": 1,
		"": 2, "aws-sm": 2, "prod/github#token": 2,
		":a": 3, ":": 3, strings.Repeat("a", 41) + ":a": 3,
		"AWS-SM:a": 4, "aws_sm:a": 4, "aws/sm:a": 4, "a#b:c": 4,
		"aws-sm:a#": 5, "aws-sm:#": 5, "aws-sm:a?x=y#": 5,
		"aws-sm:a?": 6, "aws-sm:a?stage": 6, "aws-sm:a?=x": 6, "aws-sm:a?stage=": 6, "aws-sm:a?a=b=c": 6, "aws-sm:a?a=b&c=d": 6, "aws-sm:a??a=b": 6, "aws-sm:a?a=b?c=d": 6,
		"aws-sm:": 7, "aws-sm:#token": 7, "aws-sm:?stage=x": 7,
		"aws-sm:/": 8, "aws-sm:a//b": 8, "aws-sm://a": 8, "aws-sm:a/": 8, "aws-sm:..": 8, "aws-sm:prod/../dev": 8, "aws-sm:prod/./x": 8,
		"aws-sm:./x": 8, "aws-sm:prod/*": 8, "aws-sm:*": 8, "aws-sm:pr*d": 8,
		"aws-sm:" + arn: 9, "aws-sm:" + strings.TrimSuffix(arn, "-AbCdEf") + "#token": 9, "aws-sm:ARN" + arn[3:]: 9, "other:arn:aws": 9,
		"aws-sm:prod/github?stage=AWSCURRENT#token": 10,
	} {
		r, err := ParseReference(text)
		if !errors.Is(err, ErrInvalid) || err.Error() != rules[rule] || !r.IsZero() {
			t.Errorf("%q: %v, want %q", text, err, rules[rule])
		}
	}
}

const arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/github-AbCdEf"

func TestScopeIsComparedLexically(t *testing.T) {
	for _, c := range []struct {
		scope Scope
		path  string
		want  bool
	}{
		{Scope{"prod/github"}, "prod/github", true},
		{Scope{"prod/github"}, "prod/github2", false},
		{Scope{"prod/github"}, "prod/github/x", false},
		{Scope{"prod/github"}, "Prod/github", false},
		{Scope{"prod/*"}, "prod/github", true},
		{Scope{"prod/*"}, "prod/a/b", true},
		{Scope{"prod/*"}, "prod", false},
		{Scope{"prod/*"}, "production/github", false},
		{Scope{"prod/*"}, "/prod/github", false},
		{Scope{"prod/*"}, arn, false},
		{Scope{"arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/*"}, arn, false}, // of a time when ARNs were taken
		{Scope{arn, "*"}, arn, false},
		{Scope{"arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/*"}, "prod/github", false},
		{Scope{"dev/*", "prod/github"}, "prod/github", true},
		{Scope{"*"}, "prod/github", true},
		{Scope{}, "prod/github", false},
	} {
		r, err := StoredReference("aws-sm:" + c.path + "?stage=x#prod/")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.scope.Allows(r); got != c.want {
			t.Errorf("%q allows %q: %v, want %v", c.scope, c.path, got, c.want)
		}
	}
}

func TestScopesThatSayNothingOrTooMuchAreRefused(t *testing.T) {
	for _, scope := range []Scope{nil, {}, {""}, {"/*"}, {"prod*"}, {"*/x"}, {"**"}, {"prod/*/x"}, {"prod/**"}, {"prod/*", "a*b"}, {"*/*"}} {
		if err := CheckScope(scope); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", scope, err)
		}
	}
	if err := CheckNewScope(Scope{"*", "prod/*", "prod/github"}); err != nil {
		t.Error(err)
	}
	for _, scope := range []Scope{{"prod/*", arn}, {arn[:len(arn)-len("github-AbCdEf")] + "*"}, {"ARN:aws:/*"}} {
		if err := CheckNewScope(scope); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "write the secret's name") {
			t.Errorf("%q: %v, want the rule", scope, err)
		}
		if err := CheckScope(scope); err != nil {
			t.Errorf("%q is not read back: %v", scope, err)
		}
	}
}

// Whatever comes in: no panic; what parses is written back exactly and names
// only parts of what came in; what does not parse gives no reference, and the
// refusal is one of the known rules, so it cannot repeat a pasted secret.
func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{
		"aws-sm:prod/github#token", "sealed:github-token", "aws-sm:" + arn + "?stage=AWSPREVIOUS#k", "aws-sm:a?stage=AWSCURRENT",
		"aws-sm:a#b#c?d=e", "aws-sm:a?b=c", "aws-sm:a??", "::", "#", "aws-sm:/a/../b", "aws-sm:a*", "ghp_madeup", "aws-sm:\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReference(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || !slices.Contains(rules, err.Error()) || !r.IsZero() {
				t.Fatalf("the refusal says %q with reference %q", err, r)
			}
			if stored, err := StoredReference(text); err == nil && stored.String() != text {
				t.Fatalf("%q was stored, and is written as %q", text, stored)
			}
			return
		}
		if r.String() != text || r.IsZero() || r.Scheme() == "" || r.Path() == "" {
			t.Fatalf("%q is written as %q", text, r)
		}
		again, err := ParseReference(r.String())
		if err != nil || again != r {
			t.Fatalf("%q does not come back: %v", text, err)
		}
		whole, err := ParseReference(r.WithoutKey().String())
		if err != nil || whole != r.WithoutKey() {
			t.Fatalf("%q without its key does not parse: %v", text, err)
		}
		for _, segment := range strings.Split(r.Path(), "/") {
			if segment == ".." || segment == "." || strings.Contains(segment, "*") {
				t.Fatalf("%q leads out of its scope", text)
			}
		}
		if name, value := r.Selector(); (name == "") != (value == "") || strings.ContainsAny(r.Path(), "#? ") || CheckName("scheme", r.Scheme()) != nil {
			t.Fatalf("%q was split into %q", text, []string{r.Scheme(), r.Path(), name, value})
		}
	})
}
