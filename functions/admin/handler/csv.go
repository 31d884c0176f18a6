package handler

import (
	"encoding/csv"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// mediaCSV says that there is a header row (RFC 4180).
const mediaCSV = "text/csv; charset=utf-8; header=present"

// Table is what every table takes.
type Table struct {
	After  string `query:"after" doc:"next of the page before, with the same question" maxLength:"4096"`
	Limit  int    `query:"limit" doc:"Most rows of a page; it may have fewer, even none, and still not be the last" minimum:"1" maximum:"200" default:"50"`
	Format string `query:"format" enum:"json,csv" doc:"As Accept: text/csv, for those who cannot send that"`
}

// IndexLag says how far the audit index may be behind the audit table.
type IndexLag struct {
	Newest  *time.Time `json:"newest,omitempty" doc:"Time of the newest record in the index; absent: it holds none"`
	Indexed *time.Time `json:"indexed,omitempty" doc:"When that record came into the index"`
	Seconds int64      `json:"seconds" doc:"How long that took"`

	Unreadable bool `json:"unreadable,omitempty" doc:"How far the index is behind cannot be read, and the rest says nothing"`
}

// sheet is an answer that is given as JSON or as CSV: the page, and the same
// rows as cells.
type sheet struct {
	Body func(huma.Context)
}

// sheetOperation describes an operation that answers with a sheet.
func (h *Handler) sheetOperation(page reflect.Type, id, path, summary string, errors ...int) huma.Operation {
	o := operation(id, http.MethodGet, path, summary, errors...)
	text := &huma.Schema{Type: huma.TypeString, Description: "RFC 4180, with a header row; a cell that a spreadsheet would run begins with '"}
	o.Responses = map[string]*huma.Response{"200": {
		Description: http.StatusText(http.StatusOK),
		Content: map[string]*huma.MediaType{
			"application/json": {Schema: h.api.OpenAPI().Components.Schemas.Schema(page, true, page.Name())},
			"text/csv":         {Schema: text},
		},
		Headers: map[string]*huma.Param{
			"Link": {Description: `The next page, rel="next"; absent at the end (RFC 8288)`, Schema: &huma.Schema{Type: huma.TypeString}},
			"Bindery-Index-Lag": {Description: "lag.seconds of a table that comes from the audit index",
				Schema: &huma.Schema{Type: huma.TypeInteger}},
			"Bindery-Unreadable-Rows": {Description: "unreadable of the page: rows that do not decode; absent where there is none",
				Schema: &huma.Schema{Type: huma.TypeInteger}},
		},
	}}
	return o
}

// newSheet makes the answer. lag is nil where the index has no part in it;
// unreadable is how many rows the page lacks.
func newSheet(format string, page any, next string, lag *IndexLag, unreadable int, header []string, rows [][]string) *sheet {
	return &sheet{func(ctx huma.Context) {
		if next != "" {
			url := ctx.URL()
			query := url.Query()
			query.Set("after", next)
			ctx.SetHeader("Link", "<"+url.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
		}
		if lag != nil && !lag.Unreadable {
			ctx.SetHeader("Bindery-Index-Lag", fmt.Sprint(lag.Seconds))
		}
		if unreadable > 0 {
			ctx.SetHeader("Bindery-Unreadable-Rows", fmt.Sprint(unreadable))
		}
		if format == "json" || format == "" && !prefersCSV(ctx.Header("Accept")) {
			ctx.SetHeader("Content-Type", "application/json")
			ctx.SetStatus(http.StatusOK)
			_ = huma.DefaultJSONFormat.Marshal(ctx.BodyWriter(), page)
			return
		}
		ctx.SetHeader("Content-Type", mediaCSV)
		ctx.SetStatus(http.StatusOK)
		w := csv.NewWriter(ctx.BodyWriter())
		w.UseCRLF = true
		_ = w.Write(header)
		for _, row := range rows {
			_ = w.Write(harmless(row))
		}
		w.Flush() // whoever does not read to the end gets no more
	}}
}

// prefersCSV reports whether text/csv is the first media type of an Accept
// header that this API can give.
func prefersCSV(accept string) bool {
	for entry := range strings.SplitSeq(accept, ",") {
		switch kind, _, _ := mime.ParseMediaType(entry); kind {
		case "text/csv", "text/*":
			return true
		case "application/json", "application/*", "*/*":
			return false
		}
	}
	return false
}

// harmless marks cells that a spreadsheet would run as a formula. Names and ids
// come from tokens and callers: none of them may act where an auditor opens
// them, also where a spreadsheet takes semicolons or tabs for borders of cells.
func harmless(row []string) []string {
	for i, cell := range row {
		cell = within.ReplaceAllString(cell, "$1'$2")
		if strings.IndexAny(strings.TrimLeft(cell, " "), "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20") == 0 {
			cell = "'" + cell
		}
		row[i] = cell
	}
	return row
}

// within finds what such a spreadsheet takes for the beginning of a formula in
// the middle of a cell. It does not know the quotes of a cell that it cuts.
var within = regexp.MustCompile("([;\t\r\n])([ \"]*[=+\\-@\uff1d\uff0b\uff0d\uff20])")

// several joins what stands in one cell.
func several(list []string) string { return strings.Join(list, "; ") }

// clock is a time in a cell.
func clock(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// instant is a time in an answer: absent where there is none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
