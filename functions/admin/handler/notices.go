package handler

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// NoticeView is something that somebody should look at before a call fails.
type NoticeView struct {
	ID             string     `json:"id" doc:"The same thing has the same id each time"`
	Version        int64      `json:"version"`
	Kind           string     `json:"kind" enum:"missing,malformed,denied,deleting,key,expired,expiring,old,unused,dying,rotation,unreachable"`
	Subject        string     `json:"subject" example:"reference/aws-sm:prod/github"`
	Server         string     `json:"server,omitempty" doc:"Where it matters; absent: at several, or at a store"`
	Bindings       []string   `json:"bindings,omitempty" doc:"server/binding of cards that it concerns, at most 20, of those that the caller may see"`
	State          string     `json:"state" enum:"open,acknowledged,closed"`
	Since          time.Time  `json:"since" doc:"When it was first found"`
	Seen           time.Time  `json:"seen" doc:"When it was last found"`
	Closed         *time.Time `json:"closed,omitempty"`
	Due            *time.Time `json:"due,omitempty" doc:"When it will hurt, where that is known"`
	AcknowledgedBy string     `json:"acknowledged_by,omitempty" doc:"Principal"`
	Note           string     `json:"note,omitempty"`
}

// NoticePath names a notice.
type NoticePath struct {
	Notice string `path:"notice" pattern:"^[a-z2-7]{26}$"`
}

// NoticeName is a notice on a card.
type NoticeName struct {
	ID    string     `json:"id"`
	Kind  string     `json:"kind"`
	Since time.Time  `json:"since"`
	Due   *time.Time `json:"due,omitempty"`
}

// NoticeList is one page of notices.
type NoticeList struct {
	Items []NoticeView `json:"items" doc:"Those that are not closed first"`
	Next  string       `json:"next,omitempty" doc:"after for the next page; absent at the end. A page may hold fewer than asked for and not be the last"`
}

func (h *Handler) noticeOperations() {
	huma.Register(h.api, operation("list-notices", http.MethodGet, "/notices", "List what somebody should look at"), h.listNotices)
	huma.Register(h.api, operation("get-notice", http.MethodGet, "/notices/{notice}", "Read a notice", 404), h.getNotice)
	huma.Register(h.api, operation("acknowledge-notice", http.MethodPost, "/notices/{notice}/acknowledge",
		"Say that a notice is known; it closes when it is no longer so", 404, 409, 412, 413, 415, 422, 428), h.acknowledgeNotice)
}

func (h *Handler) listNotices(ctx context.Context, in *struct {
	Kind   string `query:"kind" enum:"missing,malformed,denied,deleting,key,expired,expiring,old,unused,dying,rotation,unreachable"`
	State  string `query:"state" enum:"open,acknowledged,closed"`
	Server string `query:"server" pattern:"^[a-z0-9-]{1,40}$" doc:"Only those that concern this server"`
	After  string `query:"after" doc:"next of the page before" maxLength:"512"`
	Limit  int    `query:"limit" doc:"Most notices of a page" minimum:"1" maximum:"200" default:"50"`
}) (*struct{ Body NoticeList }, error) {
	if err := h.askList(ctx, "list-notices", admin.Object{Kind: noticeKind}); err != nil {
		return nil, err
	}
	at, err := placeOf(in.After, h.question("list-notices", in.Kind, in.State, in.Server))
	if err != nil {
		return nil, fault(err)
	}
	out := &struct{ Body NoticeList }{NoticeList{Items: []NoticeView{}}}
	owners := owners{Handler: h}
	for range pageReads {
		found, next, err := h.notices.NoticesOf(ctx, h.environment, at.after, in.Limit-len(out.Body.Items))
		if err != nil {
			return nil, fault(err)
		}
		for _, n := range found {
			if n.State == broker.NoticePending || in.Kind != "" && in.Kind != string(n.Kind) || in.State != "" && in.State != string(n.State) ||
				in.Server != "" && !slices.Contains(serversOf(n), in.Server) {
				continue
			}
			view, shown, err := owners.view(ctx, n, policy.ListNames)
			if err != nil {
				return nil, fault(err)
			}
			if shown {
				out.Body.Items = append(out.Body.Items, view)
			}
		}
		if at.after = next; next == "" || len(out.Body.Items) == in.Limit {
			break
		}
	}
	out.Body.Next = at.token()
	return out, nil
}

func (h *Handler) getNotice(ctx context.Context, in *NoticePath) (*one[NoticeView], error) {
	n, needs, read := h.noticeFor(ctx, in.Notice, policy.Read)
	if err := h.desk.Read(ctx, callerOf(ctx), admin.Operation{ID: "get-notice", Needs: needs}); err != nil {
		return nil, fault(err)
	}
	if read != nil {
		return nil, fault(read)
	}
	owners := owners{Handler: h}
	view, _, err := owners.view(ctx, n, policy.Read)
	if err != nil {
		return nil, fault(err)
	}
	return &one[NoticeView]{tag(n.Version), view}, nil
}

// acknowledgeNotice takes whoever owns all servers that it concerns: one note is
// for all of them.
func (h *Handler) acknowledgeNotice(ctx context.Context, in *struct {
	NoticePath
	Condition
	Body struct {
		Note string `json:"note" minLength:"1" maxLength:"1024" doc:"What is done about it. Never a secret"`
	}
}) (*one[NoticeView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	before, needs, wrong := h.noticeFor(ctx, in.Notice, policy.Acknowledge)
	next := before
	next.Version, next.State, next.By, next.Note = version, broker.NoticeAcknowledged, callerOf(ctx).Principal.ID, in.Body.Note
	switch {
	case wrong != nil:
	case before.Version != version:
		wrong = broker.ErrConflict
	case !before.State.IsOpen():
		wrong = told{broker.ErrConflict, "the notice is closed"}
	}
	err = h.desk.Change(ctx, callerOf(ctx), admin.Operation{ID: "acknowledge-notice", Needs: needs}, admin.Change{
		Before: viewNotice(before), After: viewNotice(next), Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error { return h.notices.PutNotice(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[NoticeView]{tag(next.Version), viewNotice(next)}, nil
}

// noticeFor reads a notice and says what it takes to do something with it: to
// read, one server of those it concerns; for more, each of them.
func (h *Handler) noticeFor(ctx context.Context, id string, do policy.Operation) (broker.Notice, []admin.Need, error) {
	n, err := h.notices.Notice(ctx, h.environment, id)
	if err == nil && n.State == broker.NoticePending {
		err = broker.ErrNotFound
	}
	nobodys := []admin.Need{need(do, noticeObject(id, "", ""))}
	if err != nil {
		return n, nobodys, err
	}
	owners := owners{Handler: h}
	var needs []admin.Need
	for _, server := range serversOf(n) {
		owner, err := owners.of(ctx, server)
		if err != nil {
			return n, nobodys, err
		}
		needs = append(needs, need(do, noticeObject(id, server, owner)))
	}
	if len(needs) == 0 {
		return n, nobodys, nil
	}
	if do == policy.Read {
		i := slices.IndexFunc(needs, func(n admin.Need) bool { return h.desk.Sees(callerOf(ctx), n) })
		needs = needs[max(i, 0) : max(i, 0)+1]
	}
	return n, needs, nil
}

func noticeObject(id, server, owner string) admin.Object {
	return admin.Object{Kind: noticeKind, Server: server, Name: id, Owner: owner}
}

// serversOf names the servers that a notice concerns.
func serversOf(n broker.Notice) []string {
	var servers []string
	for _, b := range n.Bindings {
		server, _, _ := strings.Cut(b, "/")
		servers = append(servers, server)
	}
	if n.Server != "" {
		servers = append(servers, n.Server)
	}
	slices.Sort(servers)
	return slices.Compact(servers)
}

// owners knows whose the servers of one answer are.
type owners struct {
	*Handler
	known map[string]string
}

func (o *owners) of(ctx context.Context, server string) (string, error) {
	if owner, known := o.known[server]; known {
		return owner, nil
	}
	s, err := o.reader.Server(ctx, o.route(server))
	if err != nil && !isMissing(err) {
		return "", err
	}
	if o.known == nil {
		o.known = map[string]string{}
	}
	o.known[server] = s.Owner
	return s.Owner, nil
}

// view is a notice as far as the caller may see it: one that concerns none of
// their servers is not shown, and of others' cards no names are.
func (o *owners) view(ctx context.Context, n broker.Notice, do policy.Operation) (NoticeView, bool, error) {
	view := viewNotice(n)
	servers := serversOf(n)
	if len(servers) == 0 {
		return view, o.desk.Sees(callerOf(ctx), need(do, noticeObject(n.ID, "", ""))), nil
	}
	hidden := map[string]bool{}
	for _, server := range servers {
		owner, err := o.of(ctx, server)
		if err != nil {
			return view, false, err
		}
		hidden[server] = !o.desk.Sees(callerOf(ctx), need(do, noticeObject(n.ID, server, owner)))
	}
	view.Bindings = slices.DeleteFunc(slices.Clone(n.Bindings), func(b string) bool {
		server, _, _ := strings.Cut(b, "/")
		return hidden[server]
	})
	shown := slices.ContainsFunc(servers, func(s string) bool { return !hidden[s] })
	return view, shown, nil
}

func viewNotice(n broker.Notice) NoticeView {
	return NoticeView{ID: n.ID, Version: n.Version, Kind: string(n.Kind), Subject: n.Subject, Server: n.Server, Bindings: n.Bindings, State: string(n.State),
		Since: n.Since, Seen: n.Seen, Closed: instant(n.Closed), Due: instant(n.Due), AcknowledgedBy: n.By, Note: n.Note}
}

// maxOnCard is how many notices a card names.
const maxOnCard = 20

// noticesOn names the open notices that concern a card. It is answered without
// them where they cannot be read in time.
func (h *Handler) noticesOn(ctx context.Context, concerns func(broker.Notice) bool) []NoticeName {
	ctx, cancel := context.WithTimeout(ctx, useTime)
	defer cancel()
	var names []NoticeName
	for after := ""; ; {
		found, next, err := h.notices.NoticesOf(ctx, h.environment, after, broker.MaxPage)
		if err != nil {
			h.log.Warn("notices not read", "receipt", callerOf(ctx).Receipt, "cause", err.Error())
			return names
		}
		for _, n := range found {
			if !n.State.IsOpen() || len(names) == maxOnCard {
				return names
			}
			if concerns(n) {
				names = append(names, NoticeName{n.ID, string(n.Kind), n.Since, instant(n.Due)})
			}
		}
		if after = next; after == "" {
			return names
		}
	}
}

// concernsBinding reports whether a notice is about a card or one of its secrets.
func concernsBinding(b broker.Binding) func(broker.Notice) bool {
	name := b.Server + "/" + b.Name
	return func(n broker.Notice) bool {
		return n.Subject == "binding/"+name || slices.Contains(n.Bindings, name) ||
			slices.ContainsFunc(b.Fields, func(f broker.Field) bool { return n.Subject == "reference/"+f.Reference.WithoutKey().String() })
	}
}

func concernsServer(server string) func(broker.Notice) bool {
	return func(n broker.Notice) bool { return slices.Contains(serversOf(n), server) }
}
