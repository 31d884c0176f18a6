// Package tests holds what is true of the product as a whole: how its packages
// may depend on each other, what its source may not contain, what its template
// deploys, and whole calls end to end. It never tests one package's inside.
package tests

import (
	"strings"
	"testing"
)

// TestImportArrows holds the map in shared/README.md. It reads the imports of
// every file under every build tag.
func TestImportArrows(t *testing.T) {
	for _, f := range sources(t) {
		for _, to := range f.imports() {
			if why := arrow(f.pkg, to, f.test); why != "" {
				t.Errorf("%s imports %s: %s", f.path, to, why)
			}
		}
	}
}

// arrow says why package from may not import package to, or nothing. Packages
// of this module are named by their folder; inTest means from a _test file.
func arrow(from, to string, inTest bool) string {
	standard, own := !strings.Contains(strings.SplitN(to, "/", 2)[0], "."), inModule(to)
	if own {
		return ownArrow(from, to, inTest)
	}
	switch {
	case standard || inTest:
		return ""
	case from == "shared/broker", from == "shared/secret", from == "shared/mask":
		return "it imports the standard library and shared/secret only"
	}
	return ""
}

func ownArrow(from, to string, inTest bool) string {
	testOnly := inTest || under(from, "tests") || under(from, "shared/brokertest")
	switch {
	case under(to, "functions") && !under(from, "functions") && !under(from, "infra") && !under(from, "tests"):
		return "only infra, tests and functions import functions"
	case under(to, "infra") && !under(from, "infra") && !testOnly:
		return "nothing that ships imports infra"
	case under(to, "shared/brokertest") && !testOnly:
		return "brokertest is for tests"
	case to == "shared/wire" && !testOnly && !under(from, "functions") && !under(from, "infra"):
		return "only functions and infra are wired"
	case to == "shared/memory" && !testOnly:
		return "the memory stores are for tests"
	case under(to, "tests"):
		return "nothing imports the whole-product tests"
	case testOnly:
		return ""
	}
	switch {
	case from == "shared/secret":
		return "secret imports nothing of ours"
	case from == "shared/broker", from == "shared/mask":
		return unless(to == "shared/secret", "it imports shared/secret and nothing else of ours")
	case under(from, "functions"):
		function := strings.Join(strings.Split(from, "/")[:2], "/")
		return unless(under(to, "shared") || under(to, function), "a function does not import another")
	case under(from, "infra"):
		handler := under(to, "functions") && strings.HasSuffix(to, "/handler")
		return unless(under(to, "shared") || under(to, "infra") || handler, "infra starts a function by its handler package")
	case from == "shared/wire":
		return unless(under(to, "shared"), "wire joins what is under shared")
	case from == "shared/start":
		return unless(to == "shared/telemetry" || to == "shared/awsclient", "what every function does first knows the metrics and the way to AWS, and no function")
	case from == "shared/probe":
		return unless(to == "shared/broker" || to == "shared/egress" || to == "shared/mcp",
			"a probe is a call of its own: it knows the protocol and the faults of the way there, and nothing else")
	case under(from, "shared"):
		return unless(to == "shared/broker" || to == "shared/secret" || to == "shared/awsfault" || to == "shared/awsclient",
			"an adapter imports broker, secret, awsfault and awsclient, never another adapter: the interface belongs in broker, and wire joins them")
	}
	return "no arrow is drawn from this folder; add it to the map first"
}

func inModule(path string) bool {
	for _, top := range []string{"functions", "shared", "infra", "tests"} {
		if under(path, top) {
			return true
		}
	}
	return false
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func unless(fine bool, why string) string {
	if fine {
		return ""
	}
	return why
}

// TestImportArrowsAreRefused shows that each arrow that must not be drawn is
// seen, beside one of its kind that may.
func TestImportArrowsAreRefused(t *testing.T) {
	for _, c := range []struct {
		from, to string
		inTest   bool
		fine     bool
	}{
		{from: "shared/broker", to: "shared/secret", fine: true},
		{from: "shared/broker", to: "net/url", fine: true},
		{from: "shared/broker", to: "shared/dynamo"},
		{from: "shared/broker", to: "github.com/aws/aws-sdk-go-v2/aws"},
		{from: "shared/broker", to: "github.com/google/go-cmp/cmp", inTest: true, fine: true},
		{from: "shared/secret", to: "shared/broker"},
		{from: "shared/secret", to: "golang.org/x/crypto/hkdf"},
		{from: "shared/mask", to: "shared/secret", fine: true},
		{from: "shared/mask", to: "shared/broker"},
		{from: "shared/mask", to: "github.com/cloudflare/ahocorasick"},
		{from: "shared/dynamo", to: "github.com/aws/aws-sdk-go-v2/service/dynamodb", fine: true},
		{from: "shared/dynamo", to: "shared/awsfault", fine: true},
		{from: "shared/dynamo", to: "shared/awsclient", fine: true},
		{from: "shared/broker", to: "shared/awsfault"},
		{from: "shared/broker", to: "shared/awsclient"},
		{from: "shared/dynamo", to: "shared/seal"},
		{from: "shared/stores/sealed", to: "shared/seal"},
		{from: "shared/oauth", to: "shared/secret", fine: true},
		{from: "shared/oauth", to: "golang.org/x/oauth2", fine: true},
		{from: "shared/oauth", to: "shared/egress"},
		{from: "shared/probe", to: "shared/mcp", fine: true},
		{from: "shared/probe", to: "shared/stores/awssm"},
		{from: "shared/stores/sealed", to: "shared/stores/awssm"},
		{from: "shared/start", to: "shared/telemetry", fine: true},
		{from: "shared/start", to: "shared/config"},
		{from: "shared/wire", to: "shared/dynamo", fine: true},
		{from: "shared/wire", to: "functions/proxy/handler"},
		{from: "shared/dynamo", to: "shared/wire"},
		{from: "functions/admin/handler", to: "shared/wire", fine: true},
		{from: "shared/identity", to: "shared/mask"},
		{from: "shared/identity", to: "shared/brokertest/idp"},
		{from: "shared/identity", to: "shared/brokertest/idp", inTest: true, fine: true},
		{from: "shared/seal", to: "infra/local/parts"},
		{from: "shared/seal", to: "infra/local/parts", inTest: true, fine: true},
		{from: "shared/config", to: "functions/proxy/handler"},
		{from: "shared/config", to: "functions/proxy/handler", inTest: true},
		{from: "shared/brokertest/storesuite", to: "shared/memory", fine: true},
		{from: "shared/brokertest/storesuite", to: "functions/proxy/handler"},
		{from: "functions/proxy/handler", to: "shared/dynamo", fine: true},
		{from: "functions/proxy/handler", to: "shared/memory"},
		{from: "functions/proxy/handler", to: "shared/brokertest/faultproxy"},
		{from: "functions/proxy/handler", to: "infra/local/parts"},
		{from: "functions/proxy", to: "functions/proxy/handler", fine: true},
		{from: "functions/proxy", to: "functions/admin/handler"},
		{from: "infra/local/stack", to: "functions/proxy/handler", fine: true},
		{from: "infra/local/stack", to: "functions/proxy"},
		{from: "infra/local", to: "infra/local/parts", fine: true},
		{from: "infra/local", to: "shared/brokertest/idp"},
		{from: "infra/local", to: "tests"},
		{from: "tests", to: "infra/local/stack", fine: true},
		{from: "tests/compiled", to: "functions/proxy/handler", fine: true},
	} {
		if why := arrow(c.from, c.to, c.inTest); (why == "") != c.fine {
			t.Errorf("%s -> %s (in a test: %t): refused with %q, want it allowed: %t", c.from, c.to, c.inTest, why, c.fine)
		}
	}
}
