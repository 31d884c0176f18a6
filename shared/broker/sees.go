package broker

import "strings"

// Sees reports whether the caller of a decision would be allowed to make the
// named use of the server: call this tool, get this prompt, read this resource.
// It judges by the same reads and the same rules as the decision, so that a
// list shows what a call would be allowed. What policies say of arguments is
// not known here: an element is seen unless its use is forbidden with any; one
// whose use needs an approval is seen. Only what was read for it can be
// judged: the call must have had Lists set. Within a legacy session only what
// the session's own binding serves is seen.
//
// It is not safe for concurrent use.
func (d *Decision) Sees(action Action, target string) bool {
	if d.lists == nil {
		d.lists = newLists(d)
	}
	l, c, s := d.lists, d.Call, d.snapshot
	c.Action, c.Target, s.Tool = action, target, nil
	if action == CallTool {
		s.Tool = l.tools[target]
	}
	l.found = l.found[:0]
	for _, covering := range l.covering {
		if covering.Allow.permits(action, target) {
			l.found = append(l.found, covering)
		}
	}
	chosen, err := permit(&s, &c, l.found, d.at)
	return err == nil && l.usable[chosen.Name] && (c.Session == "" || chosen.Name == d.Binding.Name) &&
		d.shows(c, chosen, s.Tool)
}

// lists is what judging many elements of lists shares: the bindings that cover
// the caller, best first, which of them can be honoured, and the tools' records.
type lists struct {
	covering []candidate
	usable   map[string]bool
	tools    map[string]*Tool
	found    []candidate // of the element at hand
}

func newLists(d *Decision) *lists {
	l := &lists{usable: map[string]bool{}, tools: map[string]*Tool{}}
	c := d.Call
	c.Action = List // which every binding permits
	l.covering = candidates(&d.snapshot, &c, marksOf(&d.snapshot))
	for _, b := range l.covering {
		l.usable[b.Name] = usable(b.Binding, d.Server.Attach, d.Stores) == nil
	}
	for i := range d.snapshot.Tools {
		l.tools[d.snapshot.Tools[i].Name] = &d.snapshot.Tools[i]
	}
	return l
}

// SeesTemplate reports whether some expansion of a URI template (RFC 6570)
// could be read, as far as bindings go; policies judge the template as it is
// written, as if it were a URI.
func (d *Decision) SeesTemplate(template string) bool { return d.Sees(expandResource, template) }

// expandResource is the question whether a template can lead to a resource
// that may be read. It is no action of a call.
const expandResource Action = "expand_resource"

// permitsTemplate: an entry covers a template when the entry's fixed part and
// the template's agree as far as both go.
func (a Allow) permitsTemplate(template string) bool {
	fixed, _, _ := strings.Cut(template, "{")
	for _, entry := range a.Resources {
		prefix, open := strings.CutSuffix(entry, "*")
		if strings.HasPrefix(prefix, fixed) || open && strings.HasPrefix(fixed, prefix) {
			return true
		}
	}
	return false
}
