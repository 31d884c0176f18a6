package broker

import "strings"

// Sees reports whether the caller of a decision would be allowed to make the
// named use of the server: call this tool, get this prompt, read this resource.
// It judges by the same reads and the same rules as the decision, so that a
// list shows what a call would be allowed. Only what was read for it can be
// judged: the call must have had Lists set. Within a legacy session only what
// the session's own binding serves is seen.
func (d *Decision) Sees(action Action, target string) bool {
	c, s := d.Call, d.snapshot
	c.Action, c.Target, s.Tool = action, target, nil
	if action == CallTool {
		for i := range s.Tools {
			if s.Tools[i].Name == target {
				s.Tool = &s.Tools[i]
				break
			}
		}
	}
	chosen, err := permit(&s, &c, candidates(&s, &c), d.at)
	return err == nil && (c.Session == "" || chosen.Name == d.Binding.Name)
}

// SeesTemplate reports whether some expansion of a URI template (RFC 6570)
// could be read.
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
