package mcp

import "bindery/shared/broker"

// naming says which parameter of a method names what is used.
type naming int

const (
	namesNothing   naming = iota
	namesByName           // params.name
	namesByURI            // params.uri
	namesByRef            // params.ref of completion/complete
	namesByTask           // params.taskId: judged as a call of any tool
	namesByListing        // params.notifications of subscriptions/listen
)

// method is what policy needs to know about an MCP method.
type method struct {
	name     string
	action   broker.Action
	naming   naming
	mirrored bool // modern requests carry the name in Mcp-Name as well
	removed  bool // 2026-07-28 no longer has it
}

// methodOf is the whole table, all revisions together. Sources: the schemas of 2025-03-26,
// 2025-06-18, 2025-11-25 and 2026-07-28, and the tasks extension.
//
// A task carries the result of some tool call without naming the tool, so a
// task method is a nameless call_tool: it needs a binding for all tools.
func methodOf(name []byte) (method, bool) {
	m := method{}
	switch string(name) {
	case "server/discover":
		m.action = broker.Initialize
	case "initialize", "ping", "logging/setLevel":
		m = method{action: broker.Initialize, removed: true}
	case "tools/list", "prompts/list", "resources/list", "resources/templates/list":
		m.action = broker.List
	case "tools/call":
		m = method{action: broker.CallTool, naming: namesByName, mirrored: true}
	case "prompts/get":
		m = method{action: broker.GetPrompt, naming: namesByName, mirrored: true}
	case "resources/read":
		m = method{action: broker.ReadResource, naming: namesByURI, mirrored: true}
	case "resources/subscribe", "resources/unsubscribe":
		m = method{action: broker.ReadResource, naming: namesByURI, removed: true}
	case "completion/complete":
		m = method{naming: namesByRef} // the reference decides the action
	case "tasks/get", "tasks/update", "tasks/cancel":
		m = method{action: broker.CallTool, naming: namesByTask, mirrored: true}
	case "tasks/result":
		m = method{action: broker.CallTool, naming: namesByTask, removed: true}
	case "tasks/list":
		m = method{action: broker.CallTool, removed: true}
	case "subscriptions/listen":
		m = method{action: broker.Stream, naming: namesByListing}
	case "notifications/initialized", "notifications/cancelled", "notifications/progress",
		"notifications/roots/list_changed", "notifications/tasks/status":
		m.action = broker.Notify
	default:
		return m, false
	}
	m.name = string(name)
	return m, true
}
