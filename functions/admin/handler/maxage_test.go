package handler

import (
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// TestACardMayKeepWhatItsReferencesName for up to an hour, and no other card may.
func TestACardMayKeepWhatItsReferencesName(t *testing.T) {
	f := newFixture(t)
	f.call(t, "root", "PUT", "/stores/aws-sm", storeBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "admin", "PUT", wiki, wikiBody, "If-None-Match", "*").want(t, 200, "")
	keeping := func(seconds string) string {
		return strings.Replace(bindingBody, `"state"`, `"max_age_seconds":`+seconds+`,"state"`, 1)
	}
	card := wiki + "/bindings/dev-wiki"
	for _, never := range []string{"-1", "3601", "1.5", `"60"`} {
		f.call(t, "root", "PUT", card, keeping(never), "If-None-Match", "*").want(t, 422, "invalid")
	}
	f.call(t, "root", "PUT", card, keeping("3600"), "If-None-Match", "*").want(t, 200, "")
	a := f.call(t, "auditor", "GET", card, nil).want(t, 200, "")
	stored, err := f.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "wiki"}, "dev-wiki")
	if err != nil || stored.MaxAge != time.Hour || a.body["max_age_seconds"] != 3600.0 {
		t.Errorf("%v, kept for %v, shown as %v", err, stored.MaxAge, a.body["max_age_seconds"])
	}
	if !strings.Contains(f.exported(t, "root"), `"max_age_seconds":3600`) {
		t.Error("an export leaves the age out")
	}
	own := strings.NewReplacer(`"service_account"`, `"user_delegated"`, `"static"`, `"personal_key"`).Replace(keeping("60"))
	f.call(t, "root", "PUT", wiki+"/bindings/own", own, "If-None-Match", "*").want(t, 422, "")
}
