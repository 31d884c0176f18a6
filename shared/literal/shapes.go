package literal

import "strings"

// shape is a token that begins with a mark of its service.
type shape struct {
	rule   Rule
	prefix string
	body   func(byte) bool // what may follow
	least  int             // how much of it at least
}

// shapes are the marks that services publish for this very purpose.
var shapes = []shape{
	{"a GitHub token", "ghp_", alnum, 20}, {"a GitHub token", "gho_", alnum, 20}, {"a GitHub token", "ghu_", alnum, 20},
	{"a GitHub token", "ghs_", alnum, 20}, {"a GitHub token", "ghr_", alnum, 20}, {"a GitHub token", "github_pat_", urlSafe, 20},
	{"a GitLab token", "glpat-", urlSafe, 16}, {"a GitLab token", "gldt-", urlSafe, 16}, {"a GitLab token", "glrt-", urlSafe, 16},
	{"a GitLab token", "glptt-", urlSafe, 16}, {"a GitLab token", "glcbt-", urlSafe, 16}, {"a GitLab token", "glsoat-", urlSafe, 16},
	{"a Slack token", "xoxb-", urlSafe, 10}, {"a Slack token", "xoxp-", urlSafe, 10}, {"a Slack token", "xoxa-", urlSafe, 10},
	{"a Slack token", "xoxr-", urlSafe, 10}, {"a Slack token", "xoxs-", urlSafe, 10}, {"a Slack token", "xoxe-", urlSafe, 10},
	{"a Slack token", "xapp-", urlSafe, 10}, {"a Slack webhook", "hooks.slack.com/services/", path, 20},
	{"an AWS access key id", "AKIA", upperDigit, 16}, {"an AWS access key id", "ASIA", upperDigit, 16},
	{"a Google key", "AIza", urlSafe, 30}, {"a Google token", "ya29.", urlSafe, 20}, {"a Google client secret", "GOCSPX-", urlSafe, 20},
	{"an Anthropic key", "sk-ant-", urlSafe, 16}, {"an OpenAI key", "sk-proj-", urlSafe, 20}, {"an OpenAI key", "sk-svcacct-", urlSafe, 20},
	{"an OpenAI key", "sk-admin-", urlSafe, 20}, {"an OpenAI key", "sk-", alnum, 32},
	{"an npm token", "npm_", alnum, 30}, {"a PyPI token", "pypi-AgE", urlSafe, 20}, {"a Hugging Face token", "hf_", alnum, 30},
	{"a Stripe key", "sk_live_", alnum, 16}, {"a Stripe key", "sk_test_", alnum, 16}, {"a Stripe key", "rk_live_", alnum, 16},
	{"a Stripe key", "rk_test_", alnum, 16}, {"a Stripe secret", "whsec_", alnum, 16},
	{"a Vault token", "hvs.", urlSafe, 20}, {"a Vault token", "hvb.", urlSafe, 20}, {"a Vault token", "hvr.", urlSafe, 20},
	{"a DigitalOcean token", "dop_v1_", alnum, 20}, {"a Linear key", "lin_api_", alnum, 20}, {"a Notion token", "ntn_", alnum, 30},
	{"a Grafana token", "glsa_", urlSafe, 20}, {"a Grafana token", "glc_", alnum, 20}, {"a Supabase token", "sbp_", alnum, 20},
	{"an Atlassian token", "ATATT3", urlSafe, 20}, {"a Postman key", "PMAK-", urlSafe, 20}, {"a New Relic key", "NRAK-", alnum, 20},
	{"a Databricks token", "dapi", hexadecimal, 32}, {"a SendGrid key", "SG.", mixed, 22}, {"an age key", "AGE-SECRET-KEY-1", alnum, 20},
}

// find gives where the shape begins, or -1. A mark inside a word is none.
func (s shape) find(text string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], s.prefix)
		if i < 0 {
			return -1
		}
		at := from + i
		from = at + len(s.prefix)
		if (at == 0 || !alnum(text[at-1])) && run(text[from:], s.body, s.least) == s.least {
			return at
		}
	}
}

// run is how many bytes at the beginning are of a class, counted up to most.
func run(text string, class func(byte) bool, most int) int {
	n := 0
	for n < len(text) && n < most && class(text[n]) {
		n++
	}
	return n
}

func lower(c byte) bool       { return c >= 'a' && c <= 'z' }
func upper(c byte) bool       { return c >= 'A' && c <= 'Z' }
func digit(c byte) bool       { return c >= '0' && c <= '9' }
func alnum(c byte) bool       { return lower(c) || upper(c) || digit(c) }
func urlSafe(c byte) bool     { return alnum(c) || c == '-' || c == '_' }
func mixed(c byte) bool       { return alnum(c) || c == '_' }
func upperDigit(c byte) bool  { return upper(c) || digit(c) }
func hexadecimal(c byte) bool { return digit(c) || c >= 'a' && c <= 'f' }
func path(c byte) bool        { return urlSafe(c) || c == '/' }
func joined(c byte) bool      { return urlSafe(c) || c == '+' || c == '=' }
func token(c byte) bool       { return joined(c) || c == '.' || c == '/' || c == '~' }
