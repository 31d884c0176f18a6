package drift

import (
	"context"
	"strings"
	"time"

	"bindery/shared/broker"
)

// ofReferences are the kinds of notice about references.
var ofReferences = []broker.NoticeKind{broker.NoticeMissing, broker.NoticeMalformed, broker.NoticeDenied, broker.NoticeKey,
	broker.NoticeDeleting, broker.NoticeOld}

var kindsOf = map[string]broker.NoticeKind{Missing: broker.NoticeMissing, Malformed: broker.NoticeMalformed, Denied: broker.NoticeDenied, Key: broker.NoticeKey}

// Ages says since when a version of a secret is known to be in use.
type Ages interface {
	SeenVersions(ctx context.Context, environment string, references []string) (map[string]broker.SeenVersion, error)
}

// Judge opens and closes the notices about one reference by what was seen of
// it. s must have been looked at for all its uses.
func (k *Keeper) Judge(ctx context.Context, s Sight, ages Ages, most time.Duration) error {
	subject := referenceSubject(s.Reference)
	wrong := map[broker.NoticeKind][]string{}
	unknown := map[broker.NoticeKind]bool{}
	all := make([]string, 0, len(s.Cards))
	for _, c := range s.Cards {
		name := c.Server + "/" + c.Binding
		all = append(all, name)
		switch kind := kindsOf[c.Result]; {
		case c.Result == Unavailable:
			for _, kind := range ofReferences {
				unknown[kind] = true
			}
		case kind == broker.NoticeMissing && !s.Inspection.Deleting.IsZero(): // it is both: one notice, that says when
		case kind != "":
			wrong[kind] = append(wrong[kind], name)
		}
	}
	due := map[broker.NoticeKind]time.Time{}
	if at := s.Inspection.Deleting; !at.IsZero() && len(all) > 0 {
		wrong[broker.NoticeDeleting], due[broker.NoticeDeleting] = all, at
	}
	old, known := k.old(ctx, s, ages, most)
	if old {
		wrong[broker.NoticeOld] = all
	}
	unknown[broker.NoticeOld] = unknown[broker.NoticeOld] || !known
	for _, kind := range ofReferences {
		var err error
		switch bindings := wrong[kind]; {
		case len(bindings) > 0:
			err = k.Found(ctx, Finding{Kind: kind, Subject: subject, Server: onlyServer(bindings), Bindings: bindings, Due: due[kind]})
		case unknown[kind]:
			err = k.Unknown(ctx, kind, subject)
		default:
			err = k.Gone(ctx, kind, subject)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// old reports whether the value is older than its store allows, and whether that
// can be told. It goes by what is certain: since when the store says that nothing
// was changed, and since when the very version is seen in use.
func (k *Keeper) old(ctx context.Context, s Sight, ages Ages, most time.Duration) (old, known bool) {
	if most == 0 || len(s.Cards) == 0 {
		return false, true
	}
	since := s.Inspection.Changed
	seen, err := ages.SeenVersions(ctx, k.Environment, []string{s.Reference.String()})
	if v := seen[s.Reference.String()]; err == nil && v.Version != "" {
		for _, a := range s.Accesses {
			if a.Version == v.Version && (since.IsZero() || v.Since.Before(since)) {
				since = v.Since
			}
		}
	}
	if !since.IsZero() && k.Now().Sub(since) > most {
		return true, true
	}
	return false, err == nil
}

func referenceSubject(r broker.Reference) string { return "reference/" + r.WithoutKey().String() }

// ofStore reports whether a notice is about a reference of a store.
func ofStore(n broker.Notice, store string) bool {
	return strings.HasPrefix(n.Subject, "reference/"+store+":") && isOfReferences(n.Kind)
}

func isOfReferences(kind broker.NoticeKind) bool {
	for _, k := range ofReferences {
		if k == kind {
			return true
		}
	}
	return false
}

// onlyServer is the server of all cards, or nothing where they have several.
func onlyServer(bindings []string) string {
	only := ""
	for i, b := range bindings {
		server, _, _ := strings.Cut(b, "/")
		if i > 0 && server != only {
			return ""
		}
		only = server
	}
	return only
}

// Reach tells a store that gives no answer from references that are wrong.
type Reach struct {
	Part bool // the store was asked before, and that is not counted

	silent, answered int
}

// enough is how many references a store leaves unanswered, having answered none,
// until it counts as unreachable.
const enough = 3

// Add counts what was seen of a reference.
func (r *Reach) Add(s Sight) {
	switch {
	case s.silent():
		r.silent++
	case len(s.Cards) > 0:
		r.answered++
	}
}

// Lost reports whether the store is not reached at all. At the end of what it is
// asked, one that was silent each time is.
func (r *Reach) Lost(end bool) bool {
	return r.answered == 0 && (r.silent >= enough || end && !r.Part && r.silent > 0)
}

// JudgeStore opens or closes the notice about a store as a whole.
func (k *Keeper) JudgeStore(ctx context.Context, store string, r Reach, end bool) error {
	switch {
	case r.Lost(end):
		return k.Found(ctx, Finding{Kind: broker.NoticeUnreachable, Subject: "store/" + store})
	case r.answered > 0:
		return k.Gone(ctx, broker.NoticeUnreachable, "store/"+store)
	case r.silent > 0: // too little to call it lost, and nothing that says it is not
		return k.Unknown(ctx, broker.NoticeUnreachable, "store/"+store)
	}
	return nil
}

// Group is the uses of one reference.
type Group struct {
	Reference broker.Reference
	Uses      []broker.Use
}

// Groups parts uses, which are in order, by their references.
func Groups(uses []broker.Use) []Group {
	var groups []Group
	for _, u := range uses {
		if len(groups) == 0 || groups[len(groups)-1].Reference != u.Reference {
			groups = append(groups, Group{Reference: u.Reference})
		}
		g := &groups[len(groups)-1]
		g.Uses = append(g.Uses, u)
	}
	return groups
}
