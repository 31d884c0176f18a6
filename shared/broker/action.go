package broker

// Action is what a call does, in the words a policy uses.
type Action string

// The actions. Every MCP method maps to exactly one; a method that maps to
// none is refused.
const (
	CallTool     Action = "call_tool"
	ReadResource Action = "read_resource"
	GetPrompt    Action = "get_prompt"
	List         Action = "list"
	Initialize   Action = "initialize"
	Notify       Action = "notify"
	Respond      Action = "respond"
	Stream       Action = "stream"

	// Administer is an administrator's request; it is no action of a call.
	Administer Action = "administer"
)

// Risk grades a tool and limits an agent.
type Risk int

// Risks in rising order. The zero value is not a risk: a tool without a record
// counts as Critical, an agent without a ceiling may use nothing.
const (
	Low Risk = iota + 1
	Medium
	High
	Critical
)

var riskNames = map[Risk]string{Low: "low", Medium: "medium", High: "high", Critical: "critical"}

// String gives the risk's name, or "none".
func (r Risk) String() string {
	if name, ok := riskNames[r]; ok {
		return name
	}
	return "none"
}
