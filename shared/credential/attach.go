package credential

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// CheckAttachments refuses, with broker.ErrInvalid, attachments that Attach
// could not honour: an unknown placement, a header that Bindery or the
// transport sets, two attachments for one place, a basic template without a
// colon, literal text that no header carries.
func CheckAttachments(attach []broker.Attachment) error {
	var taken []string
	for _, a := range attach {
		p, err := parse(a)
		if err != nil {
			return err
		}
		place := string(p.in) + " " + p.name
		if slices.Contains(taken, place) {
			return fmt.Errorf("%w attachment: two attachments fill one %s", broker.ErrInvalid, p.in)
		}
		taken = append(taken, place)
	}
	return nil
}

// Attach puts a credential into the upstream call the way the server wants it:
// all of it, or an error and an unchanged request. What the request already
// holds under the same header or query name is replaced, whoever put it there.
// A field that is missing, or whose value its place cannot carry unchanged,
// fails with broker.ErrSecretMissing or broker.ErrSecretMalformed; the error
// names the field and never shows its value.
func Attach(req *http.Request, server *broker.Server, fields map[string]secret.Value) error {
	edits := make([]edit, 0, len(server.Attach))
	for _, a := range server.Attach {
		p, err := parse(a)
		if err != nil {
			return err
		}
		value, err := p.render(fields)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(edits, func(e edit) bool { return e.in == p.in && e.name == p.name }) {
			return fmt.Errorf("%w attachment: two attachments fill one %s", broker.ErrInvalid, p.in)
		}
		edits = append(edits, edit{in: p.in, name: p.name, value: value})
	}
	for _, e := range edits {
		if e.in == broker.InQuery {
			req.URL.RawQuery = replaceParameter(req.URL.RawQuery, e.name, e.value)
		} else {
			setHeader(req.Header, e.name, e.value)
		}
	}
	return nil
}

// edit is one attachment, rendered. It holds a secret.
type edit struct {
	in          broker.Placement // header or query
	name, value string
}

// place is an attachment that has been checked.
type place struct {
	in     broker.Placement // header or query: basic is a header
	name   string           // canonical
	basic  bool
	pieces []broker.Piece
}

func parse(a broker.Attachment) (place, error) {
	pieces, err := broker.ParseTemplate(a.Template)
	if err != nil {
		return place{}, err
	}
	p := place{in: a.In, name: a.Name, pieces: pieces}
	switch a.In {
	case broker.InQuery:
		if a.Name == "" {
			return place{}, fmt.Errorf("%w attachment: the query parameter needs a name", broker.ErrInvalid)
		}
		return p, nil
	case broker.InBasic:
		if a.Name != "" {
			return place{}, fmt.Errorf("%w attachment: basic takes no name", broker.ErrInvalid)
		}
		p.in, p.name, p.basic = broker.InHeader, "Authorization", true
		return p, p.checkBasic()
	case broker.InHeader:
		if p.name, err = headerName(a.Name); err != nil {
			return place{}, err
		}
		return p, p.checkLiterals()
	}
	return place{}, fmt.Errorf("%w attachment: the placement must be header, query or basic", broker.ErrInvalid)
}

// checkLiterals refuses literal text that a header would not carry as written.
func (p *place) checkLiterals() error {
	first, last := p.pieces[0].Literal, p.pieces[len(p.pieces)-1].Literal
	for _, piece := range p.pieces {
		if hasControl(piece.Literal) {
			return fmt.Errorf("%w attachment: the template holds control characters", broker.ErrInvalid)
		}
	}
	if strings.HasPrefix(first, " ") || strings.HasSuffix(last, " ") {
		return fmt.Errorf("%w attachment: the template begins or ends with a space", broker.ErrInvalid)
	}
	return nil
}

// checkBasic requires the colon between user and password in literal text.
func (p *place) checkBasic() error {
	colon := false
	for _, piece := range p.pieces {
		colon = colon || strings.Contains(piece.Literal, ":")
		if hasControl(piece.Literal) {
			return fmt.Errorf("%w attachment: the template holds control characters", broker.ErrInvalid)
		}
	}
	if !colon {
		return fmt.Errorf("%w attachment: a basic template is user:password, as in {user}:{password}", broker.ErrInvalid)
	}
	return nil
}

// render fills the template. From here on there is material in a string.
func (p *place) render(fields map[string]secret.Value) (string, error) {
	var text strings.Builder
	inUser := p.basic
	for i, piece := range p.pieces {
		if piece.Field == "" {
			text.WriteString(piece.Literal)
			inUser = inUser && !strings.Contains(piece.Literal, ":")
			continue
		}
		field := fields[piece.Field]
		if field.IsZero() {
			return "", fmt.Errorf("field %q: %w: it was not obtained", piece.Field, broker.ErrSecretMissing)
		}
		value := field.Reveal()
		if fault := p.fault(value, i, inUser); fault != "" {
			return "", fmt.Errorf("field %q: %w: %s", piece.Field, broker.ErrSecretMalformed, fault)
		}
		text.WriteString(value)
	}
	switch {
	case p.basic:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(text.String())), nil
	case p.in == broker.InQuery:
		return escapeQuery(text.String()), nil
	}
	return text.String(), nil
}

// fault says why a field's value cannot travel unchanged in this place, or
// nothing. net/http would cut spaces at the ends of a header: the upstream
// would get another value than the one that is masked.
func (p *place) fault(value string, piece int, inUser bool) string {
	switch {
	case p.basic && hasControl(value):
		return "basic authentication carries no control characters (RFC 7617, section 2), a line end included"
	case inUser && strings.Contains(value, ":"):
		return "the user part of basic authentication carries no colon (RFC 7617, section 2)"
	case p.basic || p.in == broker.InQuery:
		return ""
	case hasControl(value):
		return "a header carries no control characters, a line end included"
	case piece == 0 && strings.HasPrefix(value, " "), piece == len(p.pieces)-1 && strings.HasSuffix(value, " "):
		return "a header does not keep a space at its begin or end"
	}
	return ""
}

// hasControl finds what neither a header (RFC 9110, section 5.5; the tab it
// would allow is left out) nor basic authentication carries. Bytes above ASCII
// pass as they are.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// escapeQuery percent-encodes; a space becomes %20, which every reader of
// queries understands, where + is only one convention.
func escapeQuery(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// replaceParameter removes every parameter of that name and appends the new
// one. All other bytes of the query stay as they are, in their order.
func replaceParameter(query, name, escaped string) string {
	var kept []string
	if query != "" {
		kept = slices.DeleteFunc(strings.Split(query, "&"), func(parameter string) bool {
			raw, _, _ := strings.Cut(parameter, "=")
			decoded, err := url.QueryUnescape(raw)
			return err == nil && decoded == name
		})
	}
	return strings.Join(append(kept, escapeQuery(name)+"="+escaped), "&")
}
