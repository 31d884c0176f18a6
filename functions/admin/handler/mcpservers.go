package handler

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/literal"
	"bindery/shared/mask"
	"bindery/shared/secret"
)

// Why something of a file is left out. The texts are all that is said of it.
const (
	leftStdio    = "it is started by a command; Bindery relays to servers that have a URL"
	leftKind     = "its transport is not streamable HTTP"
	leftURL      = "it has no URL, or one that is not plain: https, without user or fragment"
	leftPath     = "a part of its path is long and random: put it by hand if that is no secret"
	leftName     = "no name can be made of its name, or its name looks like a secret"
	leftTwice    = "another entry of the file has the same name, as names are spelled here"
	leftExists   = "a server of this name exists and is another"
	leftShape    = "it is not what it should be there"
	leftOwn      = "a header that Bindery sets itself, or that no server may be given"
	leftEnv      = "variables are for commands"
	leftWeak     = "its value is too short or too uniform to be masked"
	leftTooMany  = "more places than a server has fields"
	leftBindings = "its binding: values are missing"
)

// LeftOut is something of a file that was not taken over.
type LeftOut struct {
	Entry  string `json:"entry" doc:"Name in the file, or the number of the entry where the name looks like a secret" example:"Notes"`
	Where  string `json:"where,omitempty" example:"header X-Region"`
	Reason string `json:"reason"`
}

// ImportInput is a value that the file itself leaves open, as in ${TOKEN}.
type ImportInput struct {
	Server   string `json:"server"`
	Where    string `json:"where"`
	Field    string `json:"field" doc:"Of the binding, for the reference of the value"`
	Variable string `json:"variable,omitempty"`
}

// ImportReference is a literal that has become a reference.
type ImportReference struct {
	Server    string `json:"server"`
	Where     string `json:"where" example:"header Authorization"`
	Field     string `json:"field"`
	Reference string `json:"reference" example:"sealed:notes-imported#token"`
}

// clientFile is what a file of mcpServers comes to. Values are the literals, by
// server and field.
type clientFile struct {
	given      map[string]string // names in the file, by those here
	servers    map[string]ServerBody
	values     map[string]map[string]string
	references []ImportReference
	inputs     []ImportInput
	left       []LeftOut
}

// readServers reads the entries of a file in the order of their names.
func readServers(entries map[string]any) *clientFile {
	u := &clientFile{given: map[string]string{}, servers: map[string]ServerBody{}, values: map[string]map[string]string{}, references: []ImportReference{}, inputs: []ImportInput{}, left: []LeftOut{}}
	names := sortedKeys(entries)
	for i, given := range names {
		name := nameFrom(given)
		_, looks := literal.Find(given)
		switch {
		case looks:
			u.left = append(u.left, LeftOut{fmt.Sprintf("entry %d", i+1), "", leftName})
		case name == "":
			u.left = append(u.left, LeftOut{given, "", leftName})
		case slices.ContainsFunc(names[:i], func(earlier string) bool { return nameFrom(earlier) == name }):
			u.left = append(u.left, LeftOut{given, "", leftTwice})
		default:
			u.given[name] = given
			u.read(name, entries[given])
		}
	}
	return u
}

func (u *clientFile) leave(name, where, reason string) {
	u.left = append(u.left, LeftOut{u.given[name], where, reason})
}

// read reads one entry.
func (u *clientFile) read(name string, entry any) {
	e, ok := entry.(map[string]any)
	kind, _ := e["type"].(string)
	address, _ := e["url"].(string)
	if address == "" {
		address, _ = e["serverUrl"].(string)
	}
	switch {
	case !ok:
		u.leave(name, "", leftShape)
		return
	case e["command"] != nil || kind == "stdio":
		u.leave(name, "", leftStdio)
		return
	case !slices.Contains([]string{"", "http", "streamable-http", "streamableHttp", "streamable_http"}, kind):
		u.leave(name, "", leftKind)
		return
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" || parsed.Opaque != "" || parsed.Scheme != "https" && parsed.Scheme != "http" {
		u.leave(name, "", leftURL)
		return
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		u.leave(name, "", leftURL)
		return
	}
	parsed.RawQuery, parsed.ForceQuery = "", false
	if _, looks := literal.Find(parsed.String()); looks || strings.ContainsAny(parsed.String(), "{}$") {
		u.leave(name, "", leftURL)
		return
	}
	if randomPath(parsed.Path) {
		u.leave(name, "", leftPath)
		return
	}
	u.servers[name] = ServerBody{URL: parsed.String(), Attach: []Attachment{}, State: string(broker.Active)}
	u.values[name] = map[string]string{}
	if e["env"] != nil {
		u.leave(name, "env", leftEnv)
	}
	u.headers(name, e["headers"])
	for _, parameter := range sortedKeys(query) {
		if len(query[parameter]) != 1 {
			u.leave(name, "query", leftShape)
			continue
		}
		u.place(name, broker.InQuery, parameter, query.Get(parameter))
	}
}

func (u *clientFile) headers(server string, given any) {
	headers, ok := given.(map[string]any)
	if !ok && given != nil {
		u.leave(server, "headers", leftShape)
	}
	for _, name := range sortedKeys(headers) {
		value, ok := headers[name].(string)
		if !ok {
			u.leave(server, "headers", leftShape)
			continue
		}
		u.place(server, broker.InHeader, name, value)
	}
}

// place makes an attachment of a header or parameter, and keeps its value as a
// literal, unless the file leaves it open.
func (u *clientFile) place(server string, in broker.Placement, name, value string) {
	if _, looks := literal.Find(name); looks {
		u.leave(server, string(in), leftShape)
		return
	}
	s := u.servers[server]
	prefix, rest := "", strings.TrimSpace(value)
	if in == broker.InHeader {
		prefix, rest = scheme(rest)
	}
	field := u.field(server, in, name)
	row := broker.Attachment{In: in, Name: name, Template: prefix + "{" + field + "}"}
	where := string(in) + " " + name
	variable, open := input(rest)
	switch {
	case ownHeader(in, name):
		u.leave(server, where, leftOwn)
		return
	case field == "" || credential.CheckAttachments([]broker.Attachment{row}) != nil:
		u.leave(server, string(in), leftOwn)
		return
	case len(s.Attach) == 16:
		u.leave(server, where, leftTooMany)
		return
	case !open && mask.Check(secret.New(rest)) != nil:
		u.leave(server, where, leftWeak)
		return
	case open:
		u.inputs = append(u.inputs, ImportInput{server, where, field, variable})
	default:
		u.values[server][field] = rest
		u.references = append(u.references, ImportReference{Server: server, Where: where, Field: field})
	}
	s.Attach = append(s.Attach, Attachment{In: string(row.In), Name: row.Name, Template: row.Template})
	u.servers[server] = s
}

// scheme splits off the word of an authorization scheme that is no secret.
func scheme(value string) (prefix, rest string) {
	word, rest, found := strings.Cut(value, " ")
	if found && slices.Contains([]string{"bearer", "basic", "token", "apikey", "api-key"}, strings.ToLower(word)) && strings.TrimSpace(rest) != "" {
		return word + " ", strings.TrimSpace(rest)
	}
	return "", value
}

// field is the name of a credential field that the server has not yet.
func (u *clientFile) field(server string, in broker.Placement, name string) string {
	made := nameFrom(name)
	if in == broker.InHeader && strings.EqualFold(name, "Authorization") {
		made = "token"
	}
	for _, a := range u.servers[server].Attach {
		if strings.Contains(a.Template, "{"+made+"}") {
			made = nameFrom(string(in) + "-" + name)
		}
	}
	for _, a := range u.servers[server].Attach {
		if strings.Contains(a.Template, "{"+made+"}") {
			return ""
		}
	}
	return made
}

// ownHeader reports whether the relay fills a header for each call.
func ownHeader(in broker.Placement, name string) bool {
	low := strings.ToLower(name)
	return in == broker.InHeader && (strings.HasPrefix(low, "mcp-") || slices.Contains([]string{"accept", "accept-encoding", "cache-control", "content-type",
		"origin", "user-agent", "last-event-id"}, low))
}

// variables are how files leave a value open.
var variables = regexp.MustCompile(`^(?:env:|input:)?([A-Za-z_][A-Za-z0-9_.-]{0,63})`)

// input reports whether a value is left open, and the name of what is to fill it.
// A default beside the name is not kept.
func input(value string) (variable string, open bool) {
	for _, begin := range []string{"${", "{{"} {
		_, after, found := strings.Cut(value, begin)
		if !found {
			continue
		}
		if m := variables.FindStringSubmatch(strings.TrimSpace(after)); m != nil {
			variable = m[1]
		}
		if _, looks := literal.Find(variable); looks {
			variable = ""
		}
		return variable, true
	}
	return "", false
}

// nameFrom spells a name as names are spelled here, or gives nothing.
func nameFrom(given string) string {
	made := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, given)
	made = strings.Trim(made, "-")
	return strings.Trim(made[:min(len(made), broker.MaxName)], "-")
}
