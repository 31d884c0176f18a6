// Package probe asks an upstream whether it speaks MCP and takes the credential
// that is attached: server/discover of the current revision first and, where
// the upstream does not know that, a legacy handshake; then the list of tools.
// A session that it begins it ends.
//
// The package never calls a tool, never follows a redirect, and gives back
// nothing of what the upstream says: a number, a known revision, a status, and
// a word of its own.
package probe

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"bindery/shared/broker"
	"bindery/shared/egress"
)

// Modern is the revision that is asked for first, latestLegacy the one that a
// handshake proposes.
const (
	Modern       = "2026-07-28"
	latestLegacy = "2025-11-25"
)

var legacy = []string{latestLegacy, "2025-06-18", "2025-03-26"}

// Client sends requests under the rules of egress.
type Client = egress.Doer

// Probe is one journey to one upstream.
type Probe struct {
	Client Client
	URL    string
	// Prepare puts identity and credential on a request. Its error ends the
	// journey and is given back as it is.
	Prepare func(*http.Request) error
}

// Stages of the journey.
const (
	Connecting = "connect"
	Shaking    = "handshake"
	Listing    = "list_tools"
)

// Finding is what came of a journey. Without a Reason the upstream works.
type Finding struct {
	Stage   string
	Reason  broker.Reason
	Refused bool   // it wants another credential, or one at all
	Status  int    // HTTP status of its last answer; 0: none
	Era     string // revision that was agreed on
	Tools   *int   // how many it lists; nil: it has no list
}

// Journey is a probe under way.
type journey struct {
	*Probe
	Finding
	session string
	id      int
}

// Ask makes the journey. The error is Prepare's, or that of a URL that is none.
func (p *Probe) Ask(ctx context.Context) (Finding, error) {
	j := &journey{Probe: p, Finding: Finding{Stage: Connecting}}
	defer j.end(ctx)
	known, err := j.discover(ctx)
	if err == nil && !known {
		err = j.initialize(ctx)
	}
	if err == nil {
		err = j.list(ctx)
	}
	var found *fault
	if errors.As(err, &found) {
		j.Reason, j.Refused, err = found.reason, found.refused, nil
	}
	return j.Finding, err
}

// discover reports whether the upstream knows the current revision. Whatever it
// answers but a refusal of the credential, it may know an older one.
func (j *journey) discover(ctx context.Context) (known bool, err error) {
	a, err := j.call(ctx, "server/discover", map[string]any{"_meta": meta()}, Modern)
	if err != nil {
		var found *fault
		if errors.As(err, &found) && !found.refused && j.Status != 0 {
			err = nil
		}
		return false, err
	}
	var said struct {
		Supported []string `json:"supportedVersions"`
	}
	if a.fault == nil && a.read(&said) == nil && slices.Contains(said.Supported, Modern) {
		j.Era = Modern
	}
	return j.Era != "", nil
}

// initialize is the handshake of the revisions before.
func (j *journey) initialize(ctx context.Context) error {
	j.Stage = Shaking
	a, err := j.call(ctx, "initialize", map[string]any{"protocolVersion": latestLegacy, "capabilities": map[string]any{}, "clientInfo": client()}, "")
	if err != nil {
		return err
	}
	var said struct {
		Version string `json:"protocolVersion"`
	}
	if a.fault != nil || a.read(&said) != nil || !slices.Contains(legacy, said.Version) {
		return &fault{reason: broker.UpstreamMalformed}
	}
	j.Era, j.session = said.Version, a.session
	return j.notify(ctx, "notifications/initialized")
}

// maxPages bounds what an upstream can make of its list.
const maxPages = 10

// list counts the tools, at most maxPages pages of them.
func (j *journey) list(ctx context.Context) error {
	j.Stage = Listing
	count, params := 0, map[string]any{}
	for range maxPages {
		if j.Era == Modern {
			params["_meta"] = meta()
		}
		a, err := j.call(ctx, "tools/list", params, j.Era)
		if err != nil {
			return err
		}
		if a.fault != nil && a.fault.Code == methodNotFound {
			return nil // it has none, and says so
		}
		var said struct {
			Tools []struct{} `json:"tools"`
			Next  string     `json:"nextCursor"`
		}
		if a.fault != nil || a.read(&said) != nil || said.Tools == nil {
			return &fault{reason: broker.UpstreamMalformed}
		}
		if count += len(said.Tools); said.Next == "" {
			break
		}
		params["cursor"] = said.Next
	}
	j.Tools = &count
	return nil
}

// endTime bounds the end of a session, which nobody waits for.
const endTime = 2 * time.Second

// end ends the session that was begun, also when the journey's time is over.
func (j *journey) end(ctx context.Context) {
	if j.session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	r, err := j.request(ctx, http.MethodDelete, nil, "", j.Era)
	if err != nil {
		return
	}
	if response, err := j.Client.Do(r); err == nil {
		_ = response.Body.Close()
	}
}

func client() map[string]any { return map[string]any{"name": "bindery", "version": "1"} }

func meta() map[string]any {
	const prefix = "io.modelcontextprotocol/"
	return map[string]any{prefix + "protocolVersion": Modern, prefix + "clientCapabilities": map[string]any{}, prefix + "clientInfo": client()}
}
