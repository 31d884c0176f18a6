package credential

import "bindery/shared/broker"

// GrantFact is the detail of facts about a grant.
type GrantFact struct {
	Provider   string `json:"provider"`
	Generation int64  `json:"generation,omitempty"` // of the consent, where it is known
	Fault      string `json:"fault,omitempty"`      // of a grant that died: what the provider made of its refresh token
}

// FactOf is a fact about a grant; who tells it adds the receipt.
func FactOf(kind broker.FactKind, k broker.GrantKey, detail GrantFact) broker.Fact {
	return broker.Fact{Kind: kind, Environment: k.Environment, Object: "grant/" + k.Principal + "/" + k.Server, Server: k.Server, Detail: detail}
}
