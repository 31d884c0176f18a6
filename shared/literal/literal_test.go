package literal

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
)

// of makes up the rest of a token: long enough, and marked as test material.
func of(n int) string { return first("canaryCANARY0123456789abcdefABCDEF0123456789", n) }

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// TestWhatLooksLikeASecretIsFound: alone, and inside a text.
func TestWhatLooksLikeASecretIsFound(t *testing.T) {
	for text, want := range map[string]Rule{
		"ghp_" + of(36):        "a GitHub token",
		"github_pat_" + of(40): "a GitHub token",
		"glpat-" + of(20):      "a GitLab token",
		"xoxb-" + of(30):       "a Slack token",
		"https://hooks.slack.com/services/" + of(30): "a Slack webhook",
		"AKIA" + "CANARY7EXAMPLE00":                  "an AWS access key id",
		"AIza" + of(35):                              "a Google key",
		"sk-ant-api03-" + of(40):                     "an Anthropic key",
		"sk-proj-" + of(40):                          "an OpenAI key",
		"sk-" + of(44):                               "an OpenAI key",
		"npm_" + of(36):                              "an npm token",
		"sk_live_" + of(24):                          "a Stripe key",
		"hvs." + of(24):                              "a Vault token",
		segment(`{"alg":"none","typ":"JWT"}`) + "." + segment(`{"sub":"canary","a":1}`) + "." + of(20): JWT,
		"-----BEGIN RSA PRIVATE KEY-----\ncanary":                                                      PrivateKey,
		"Authorization: Bearer canary-0123456789":                                                      Header,
		"bearer CANARY0123456789abcdef":                                                                Header,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("bot:canary-password")):                    Header,
		"https://bot:canary-pw@notes.example.com/mcp":                                                  UserInfo,
		"postgres://app:canary-pw@db.example.com/x":                                                    UserInfo,
		"https://notes.example.com/mcp?api_key=canary":                                                 Assignment,
		"https://notes.example.com/mcp?key=canary":                                                     Assignment,
		"password=canary":                     Assignment,
		`log in with PASSWORD = "canary"`:     Assignment,
		`{"client_secret":"canary-123"}`:      Assignment,
		"the password: canary-123":            Assignment,
		"NOTES_API_TOKEN=canary-words":        Assignment,
		"3kT9wQzLmV7xBn2RcY5s":                Random,
		"canary-3kT9wQzLmV7xBn2RcY5s":         Random,
		"sealed:3kT9wQzLmV7xBn2RcY5s":         Random,
		"q8Zr-T2v_K9xW3m+Lp7N4Hc6/b4Y=":       Random,
		"a/3kT9wQzLmV7xBn2RcY5s?stage=AWSCUR": Random,
	} {
		for _, around := range []string{text, "first (" + text + ") then more", "first\n" + text + "\n"} {
			if f, found := Find(around); !found || f.Rule != want {
				t.Errorf("%.12s...: found %v by %q, want %q", text, found, f.Rule, want)
			}
		}
	}
}

// innocent is what belongs in a catalogue.
var innocent = []string{
	"", "notes", "dev-notes", "team-notes", "p-7qz3kx5mwvo2aybt4hrcdn6lfe", "oidc:reporter", "prod", "X-User-Email",
	"0191d5a2-7b1c-7d3e-8f40-1234567890ab", "D0A1B2C3-1111-4222-8333-ABCDEF012345", "01JD7Y8Z9K3QW5RT6VXM2NBC4H",
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	"mfrggzdfmztwq2lknnwg23tpob", "MFRGGZDFMZTWQ2LKNNWG23TPOB",
	"aws-sm:prod/github#token", "aws-sm:prod/db/password", "aws-sm:prod/github?stage=AWSPREVIOUS#token", "sealed:github-token", "env:BINDERY_SECRET_GITHUB",
	"vault:secret/data/mcp/github#api_key", "aws-sm:prod/x?version=0191d5a2-7b1c-7d3e-8f40-1234567890ab#password",
	"aws-sm:arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/github-AbCdEf?stage=AWSPREVIOUS#token",
	"aws-sm:arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/k8s/oauth2-A1b2C3#client_secret",
	"arn:aws:iam::111122223333:role/notes-prod-NotesRole-U6GZ7F3S1Q5X", "arn:aws:kms:eu-west-1:111122223333:key/0191d5a2-7b1c-7d3e-8f40-1234567890ab",
	"https://notes.example.com/mcp", "https://abc123def456.execute-api.eu-west-1.amazonaws.com/Prod/v2/mcp", "https://vault.example.com:8200", "10.20.0.0/16",
	"https://{user}:{password}@example.com", "git+ssh://git@example.com/repo", "ec2-203-0-113-25.compute-1.amazonaws.com",
	"Bearer {token}", "token {token}", "{user}:{password}", "bot:{password}", "{token}:x-oauth-basic", "sig={sig}&token={token}", "Basic {credential}",
	"Bearer tokens are taken from the store by reference.", "Basic authentication is used here", "The token: see the store. Password= is set by {password}.",
	"Ask for a new token=required in the form", "Set password=${PASSWORD} or api_key=<your key>", "Reads issues and pull requests; owned by the platform team since 2024.",
	"createIssueCommentReactionV2Beta", "ListS3BucketsV2ForEC2Instances", "getHTTP2ServerV3ConfigByName", "search_code_in_repositories", "AbstractSingletonProxyFactoryBean",
	"Team-Platform-EU1-Prod2-K8s", "eu-west-1_AbCdEfGhI", "1234567890-abc123def456ghi789jkl012mno345pq.apps.example.com",
	`permit(principal, action == Action::"call_tool", resource) when { context.arguments.token == "x" && principal.groups.contains("team-a") };`,
	`@id("no-deletes") forbid (principal, action, resource == Tool::"github/delete_repository") unless { resource.production };`,
	"file:///public/*", "repo://owner/name/issues/{number}", "a PEM is -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----",
	"sk-bratislava-office-notes-server", "npm_config_registry", "risk-assessment-team", "AKIAs", "ghp_", "whsec_test", "eyJhbGciOi is how a JWT begins",
	strings.Repeat("a", 2000), strings.Repeat("ü", 2000), strings.Repeat("<", 310) + "12", strings.Repeat("aB1", 20),
}

func TestWhatBelongsInACatalogueIsNotTakenForASecret(t *testing.T) {
	for _, text := range innocent {
		for _, around := range []string{text, "see " + text + " there"} {
			if f, found := Find(around); found {
				t.Errorf("%.60q: %s at %d", around, f.Rule, f.At)
			}
			if f, found := FindInNames(around); found {
				t.Errorf("%.60q among names: %s at %d", around, f.Rule, f.At)
			}
		}
	}
}

// TestNamesOfAgentsMayBeRandom where an issuer's name stands before them, and
// only there; the shape of a token is none.
func TestNamesOfAgentsMayBeRandom(t *testing.T) {
	for text, want := range map[string]bool{
		"auth0:canary3kT9wQzLmV7xBn2RcY5s":                      false,
		`principal == Agent::"okta:canary0oa1gjH63g214q0Hq0g4"`: false,
		"canary3kT9wQzLmV7xBn2RcY5s":                            true,
		"auth0:ghp_" + of(36):                                   true,
		`principal == Agent::"canary3kT9wQzLmV7xBn2RcY5s"`:      true,
	} {
		if _, found := FindInNames(text); found != want {
			t.Errorf("%.20s...: found %v", text, found)
		}
	}
}

// TestRandomWordsAreFound states how many: the rule is a guess, and this is how
// good it is.
func TestRandomWordsAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		alphabet string
		length   int
		least    int // of 1000
	}{
		{base62, 20, 900}, {base62, 24, 940}, {base62, 32, 970}, {base62, 40, 980}, {base62, 64, 995},
		{base62 + "-_", 32, 960}, {base62 + "-_", 43, 980}, {base62 + "+/", 40, 920}, {base62 + "+/", 64, 980},
	} {
		found := 0
		for range 1000 {
			word := make([]byte, c.length)
			for i := range word {
				word[i] = c.alphabet[r.IntN(len(c.alphabet))]
			}
			if _, ok := Find(string(word)); ok {
				found++
			}
		}
		t.Logf("%d of 1000 words of %d characters out of %d", found, c.length, len(c.alphabet))
		if found < c.least {
			t.Errorf("found %d of 1000 words of %d characters out of %d, want %d", found, c.length, len(c.alphabet), c.least)
		}
	}
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// TestAFindingSaysWhereAndNotWhat.
func TestAFindingSaysWhereAndNotWhat(t *testing.T) {
	f, found := Find("abc ghp_" + of(36))
	if !found || f != (Finding{"a GitHub token", 4}) {
		t.Errorf("found %v", f)
	}
}

// FuzzFind: no text makes it panic, or point outside; what was found in a text is
// found in a longer one that begins with it and a space.
func FuzzFind(f *testing.F) {
	for _, text := range innocent {
		f.Add(text)
	}
	f.Add("Bearer " + of(20) + " eyJ. ://a:b@ password='x")
	f.Fuzz(func(t *testing.T, text string) {
		finding, found := Find(text)
		if found && (finding.At < 0 || finding.At > len(text) || finding.Rule == "") || !found && finding != (Finding{}) {
			t.Fatalf("%v %v", finding, found)
		}
		if _, inNames := FindInNames(text); inNames && !found {
			t.Error("found among names only")
		}
		if _, again := Find(text + " and more"); found && !again {
			t.Error("not found in the longer text")
		}
	})
}

// BenchmarkFind reads texts that are hard for some rule. The time for a byte
// must not grow with the text.
func BenchmarkFind(b *testing.B) {
	for name, unit := range map[string]string{
		"plain": "the quick brown fox ", "marks": "sk-", "jwt": "eyJ", "equals": "=", "colons": "token: ", "urls": "://a@", "bearer": "bearer ", "words": "aB1-",
		"basic": "basic aaaa", "named": "password=",
	} {
		for _, size := range []struct {
			name  string
			bytes int
		}{{"16KiB", 16 << 10}, {"1MiB", 1 << 20}} {
			text := strings.Repeat(unit, size.bytes/len(unit))
			b.Run(name+"/"+size.name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					Find(text)
				}
			})
		}
	}
}
