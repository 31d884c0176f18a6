package handler

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
)

// mediaMarkdown is RFC 7763's.
const mediaMarkdown = "text/markdown; charset=utf-8; variant=GFM"

func reportOperation() huma.Operation {
	o := operation("report-incident", http.MethodGet, "/incidents/{incident}/report", "The incident as a document to hand over", 404)
	o.Responses = map[string]*huma.Response{"200": {Description: http.StatusText(http.StatusOK),
		Content: map[string]*huma.MediaType{"text/markdown": {Schema: &huma.Schema{Type: huma.TypeString, Description: "Markdown with tables"}}}}}
	return o
}

func (h *Handler) incidentReport(ctx context.Context, in *IncidentPath) (*sheet, error) {
	view, err := h.readIncident(ctx, "report-incident", in.Incident, incidentReport)
	if err != nil {
		return nil, err
	}
	text := view.report(h.environment, h.now())
	return &sheet{func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", mediaMarkdown)
		ctx.SetStatus(http.StatusOK)
		_, _ = ctx.BodyWriter().Write([]byte(text)) // whoever does not read to the end gets no more
	}}, nil
}

// report is the document. Names in it come from tokens, cards and callers: none
// of them may be more than a word in a cell.
func (v IncidentView) report(environment string, now time.Time) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("# Incident %s", v.ID)
	line("\nEnvironment %s. As of %s.", plainText(environment), now.UTC().Format(time.RFC3339))
	line("\n## What leaked\n")
	line("| | |\n|---|---|")
	line("| secret | %s |", plainText(v.Reference))
	line("| reported | %s by %s |", v.At.Format(time.RFC3339), plainText(v.By))
	line("| what happened | %s |", plainText(v.Reason))
	line("| no use since | %s |", orNever(v.Stopped))
	v.reportWork(line)
	v.reportExposure(line)
	line("\n## What is left to do\n")
	for n, step := range v.Next {
		line("%d. %s", n+1, step)
	}
	return b.String()
}

func (v IncidentView) reportWork(line func(string, ...any)) {
	line("\n## What was done\n")
	if r := v.Revocation; r != nil {
		line("- Revocation %s of the secret: %s. Sessions at upstreams: %d found, %d ended, %d given up. Sealed values: %d deleted. Not reached: %d.",
			r.ID, r.Work, r.Sessions.Found, r.Sessions.Ended, r.Sessions.GivenUp, r.Values.Ended, len(r.Unreached))
		if r.AcceptedUntil != nil {
			line("- Somebody else may accept what could not be ended until %s.", r.AcceptedUntil.UTC().Format(time.RFC3339))
		}
		for _, u := range r.Unknown {
			line("- %s", plainText(u))
		}
	}
	switch {
	case v.Rotation != nil && v.Rotation.Reason != "":
		line("- Rotation %s: %s (%s).", v.Rotation.ID, v.Rotation.Step, plainText(v.Rotation.Reason))
	case v.Rotation != nil:
		line("- Rotation %s: %s.", v.Rotation.ID, v.Rotation.Step)
	}
	if v.NoRotation != "" {
		line("- No rotation of what leaked: %s", plainText(v.NoRotation))
	}
}

func (v IncidentView) reportExposure(line func(string, ...any)) {
	line("\n## Who could use it\n\n| server | card | whom it covers | state | calls |\n|---|---|---|---|---|")
	for _, b := range v.Exposure.Bindings {
		line("| %s | %s | %s | %s | %s |", plainText(b.Server), plainText(b.Binding), plainText(actorText(b.card.binding.Actor)), plainText(b.State), plainText(b.Calls))
	}
	for _, s := range v.Exposure.SignsIn {
		line("| | | Bindery itself, to sign in to the store %s | | |", plainText(s))
	}
	for _, p := range v.Exposure.Clients {
		line("| | | Bindery itself, as a client of the provider %s | | |", plainText(p))
	}
	line("\n## Who did\n\n| principal | through | server | card | first | last |\n|---|---|---|---|---|---|")
	for _, p := range v.Exposure.People {
		line("| %s | %s | %s | %s | %s | %s |", plainText(p.Principal), plainText(p.Agent), plainText(p.Server), plainText(p.Binding),
			p.First.Format(time.RFC3339), p.Last.Format(time.RFC3339))
	}
	if v.Exposure.MorePeople || v.Exposure.MoreBindings {
		line("\nThe lists are cut. All of it: `GET /admin/v1/exposure/bindings` and `/exposure/people`.")
	}
	line("\nFrom the audit index, which was %d seconds behind. What Bindery cannot know:\n", v.Exposure.Lag.Seconds)
	for _, u := range v.Exposure.Unknown {
		line("- %s", plainText(u))
	}
}

func orNever(t *time.Time) string {
	if t == nil {
		return "it is still in use"
	}
	return t.UTC().Format(time.RFC3339)
}

// plainText escapes what Markdown or HTML would make something of, and leaves one
// line.
func plainText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp): // also what hides or turns text around
			b.WriteByte(' ')
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '.' && strings.HasSuffix(strings.ToLower(b.String()), "www"), // a link without saying so
			strings.ContainsRune("\\`*_{}[]()#+!|~>:@", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
