package dynamo

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// What is made of each row of a copy.

// known reports whether a row is of a shape that this release knows. Audit records
// are copied as they are, of whatever release.
func known(row attributes) bool {
	v, ok := row["schema"].(*types.AttributeValueMemberN)
	return ok && (v.Value == strconv.Itoa(schema) || row["phase"] != nil)
}

// belongs reports whether a row is of this environment. Rows name it; audit records
// do, too, and the entries of indexes by their key.
func belongs(row attributes, environment string) bool {
	if v, ok := row["environment"].(*types.AttributeValueMemberS); ok {
		return v.Value == environment
	}
	parts := partsOf(keyOf(row).pk)
	return len(parts) > 1 && parts[1] == environment
}

// partsOf takes a partition's key apart, as join has put it together.
func partsOf(pk string) (parts []string) {
	pk, _, _ = strings.Cut(pk, "#")
	for part := range strings.SplitSeq(pk, "/") {
		plain, err := url.PathUnescape(part)
		if err != nil {
			return nil
		}
		parts = append(parts, plain)
	}
	return parts
}

// objectOf names, as audit records do, what a row of the catalogue is about; of
// rows that no later change could have closed it names nothing.
func objectOf(row attributes) string {
	k := keyOf(row)
	parts := partsOf(k.pk)
	kind, name, _ := strings.Cut(k.sk, "/")
	name, err := url.PathUnescape(name)
	if err != nil || len(parts) < 2 {
		return ""
	}
	switch {
	case parts[0] == "env" && k.sk == "state":
		return "environment/" + parts[1]
	case parts[0] == "env":
		return "store/" + name
	case parts[0] == "server" && k.sk == "server":
		return "server/" + parts[2]
	case (parts[0] == "server" || parts[0] == "personal") && kind == "binding", parts[0] == "history" && kind == "head":
		return "binding/" + parts[2] + "/" + name
	case parts[0] == "tool":
		return "tool/" + parts[2] + "/" + name
	case parts[0] == "agent", parts[0] == "assignment", parts[0] == "provider":
		return parts[0] + "/" + name
	case parts[0] == "rotation-plan" && kind == "name":
		return "reference/" + textOf(row, "reference")
	}
	return ""
}

// catalogued is a row of the catalogue. What was changed since is put closed, under
// the version that it had come to: nobody knows what it was to be.
// Which plan has claimed a secret is told by nobody: the plan does so again when
// it is put again.
func (s *DB) catalogued(ctx context.Context, row attributes, h History) (prepared, error) {
	if k := keyOf(row); strings.HasPrefix(k.pk, "rotation-plan/") && strings.HasPrefix(k.sk, "claim/") {
		row = maps.Clone(row)
		row["plan"] = &types.AttributeValueMemberS{}
	}
	object := objectOf(row)
	if object == "" {
		return prepared{row: row}, nil
	}
	p := prepared{row: row}
	if latest, deleted := h.Changed(object, versionOf(row)); latest > versionOf(row) {
		state := broker.Suspended
		if deleted {
			state = broker.Deleted
		}
		p.row = moved(row, state, latest)
		p.closed = fmt.Sprintf("%s: %s, changed since", object, state)
	}
	if !strings.HasPrefix(object, "binding/") {
		return p, nil
	}
	return s.cardInStep(ctx, p, object)
}

// cardInStep keeps a card and its head together where one of them is still there:
// the one that is says what the other is.
func (s *DB) cardInStep(ctx context.Context, p prepared, object string) (prepared, error) {
	const doing = "read the binding to be refilled"
	r := broker.Route{Environment: textOf(p.row, "environment"), Server: textOf(p.row, "server")}
	name, principal := textOf(p.row, "name"), textOf(p.row, "actor_principal")
	if strings.HasPrefix(keyOf(p.row).sk, "head/") {
		current, err := s.get(ctx, doing, s.tables.Catalogue, bindingKey(r, principal, name))
		if err != nil || current == nil {
			return p, err
		}
		p.row = maps.Clone(p.row)
		p.row["version"], p.row["state"] = current["version"], current["state"]
		return p, nil
	}
	now, err := s.head(ctx, doing, r, name)
	switch {
	case err != nil:
		return p, err
	case now.version == 0 || now.version == versionOf(p.row) && now.principal == principal:
		return p, nil
	}
	latest, err := s.get(ctx, doing, s.tables.Catalogue, versionKey(r, name, now.version))
	if err != nil {
		return p, err
	}
	if latest == nil {
		p.leftOut = object + ": its head is of version " + strconv.FormatInt(now.version, 10) + ", which is lost"
		return p, nil
	}
	return prepared{row: withKey(latest, bindingKey(r, now.principal, name))}, nil
}

// granted is a row of the grants. Nothing that a person, a provider or a
// revocation ended since comes back; nor does a rotation that was under way.
func granted(row attributes, h History) prepared {
	k := keyOf(row)
	parts := partsOf(k.pk)
	switch parts[0] {
	case "sealed":
		return valued(row, h)
	case "grants":
		server, _, _ := strings.Cut(k.sk, "/")
		if len(parts) == 3 && h.GrantMoved(parts[2], server) {
			return prepared{row: row, leftOut: "grant/" + parts[2] + "/" + server + ": it was given, ended or refused since; the person is asked anew"}
		}
	case "rotation", "rotations":
		if !broker.RotationStep(textOf(row, "step")).Ended() {
			return prepared{row: row, leftOut: "rotation/" + textOf(row, "subject") + ": it was under way"}
		}
	}
	return prepared{row: row}
}

// valued is the row of a sealed value. One that was put or rotated since comes back
// without its text, which is another by now: whoever types it in goes on counting
// where its versions had come to.
func valued(row attributes, h History) prepared {
	times, deleted := h.ValueMoved(textOf(row, "id"))
	if times == 0 {
		return prepared{row: row}
	}
	state, what := broker.State(textOf(row, "state")), "empty, changed since; it has to be typed in anew"
	if deleted {
		state, what = broker.Deleted, "deleted since"
	}
	over := moved(row, state, versionOf(row)+times)
	for _, name := range []string{"sealed", "previous", "staging"} {
		delete(over, name)
	}
	return prepared{row: over, closed: "value/" + textOf(row, "id") + ": " + what}
}

// moved is a row in another state, under another version.
func moved(row attributes, to broker.State, version int64) attributes {
	row = maps.Clone(row)
	row["state"] = &types.AttributeValueMemberS{Value: string(to)}
	row["version"] = &types.AttributeValueMemberN{Value: strconv.FormatInt(version, 10)}
	return row
}

// revokes reports whether a row is a marker that stops something.
func revokes(row attributes) bool {
	v, ok := row["revoked"].(*types.AttributeValueMemberBOOL)
	return ok && v.Value
}

func textOf(row attributes, name string) string {
	if v, ok := row[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func versionOf(row attributes) int64 { return numberOf(row, "version") }

func numberOf(row attributes, name string) int64 {
	if v, ok := row[name].(*types.AttributeValueMemberN); ok {
		n, err := strconv.ParseInt(v.Value, 10, 64)
		if err == nil {
			return n
		}
	}
	return 0
}
