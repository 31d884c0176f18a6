package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/config"
)

func TestLimits(t *testing.T) {
	for text, want := range map[string]config.Limits{
		"": {Principal: broker.Limits{Streams: 20}, Agent: broker.Limits{Streams: 200}, Server: broker.Limits{Streams: 500}},
		"principal:calls=600,streams=20,request=4194304,answer=10485760;agent:calls=3000;server:streams=500": {
			Principal: broker.Limits{CallsPerMinute: 600, Streams: 20, RequestBytes: 4 << 20, AnswerBytes: 10 << 20},
			Agent:     broker.Limits{CallsPerMinute: 3000},
			Server:    broker.Limits{Streams: 500},
		},
		" server : streams = 5 ; ":         {Server: broker.Limits{Streams: 5}},
		"principal:streams=0":              {},
		"agent:calls=2147483647,request=0": {Agent: broker.Limits{CallsPerMinute: 1<<31 - 1}},
	} {
		env := complete()
		env[config.UseLimits] = text
		c, err := load(env)
		if diff := cmp.Diff(want, c.Limits); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
}

// TestMalformedLimits: whoever mistypes a limit must not believe that it holds.
func TestMalformedLimits(t *testing.T) {
	for text, names := range map[string]string{
		"principal":                        `"principal" must be like`,
		"calls=5":                          `"calls=5" must be like`,
		"everyone:calls=5":                 `"everyone" must be principal, agent or server`,
		"Principal:calls=5":                `"Principal" must be principal, agent or server`,
		"agent:calls=5;agent:calls=6":      `"agent" must be principal, agent or server, once each`,
		"agent:calls=5,calls=6":            `agent: "calls" must be`,
		"agent:":                           `agent: "" must be`,
		"agent:calls=5,":                   `agent: "" must be`,
		"agent:call=5":                     `agent: "call" must be`,
		"agent:calls":                      "agent: calls must be a whole number",
		"agent:calls=":                     "agent: calls must be a whole number",
		"agent:calls=-1":                   "agent: calls must be a whole number",
		"agent:calls=1e3":                  "agent: calls must be a whole number",
		"agent:calls=2147483648":           "agent: calls must be a whole number",
		"server:streams=5=6":               "server: streams must be a whole number",
		"server:streams=x;principal:wrong": `principal: "wrong" must be`,
	} {
		env := complete()
		env[config.UseLimits] = text
		_, err := load(env)
		if err == nil || !strings.Contains(err.Error(), config.UseLimits+" "+names) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
