package handler

import "bindery/shared/broker"

// cause is what an administrator is told of a reason.
type cause struct{ word, detail string }

// The causes of a verification, by the reason in its record.
var causes = map[broker.Reason]cause{
	broker.ModeUnknown:      {"syntax", "The card's mode and source do not go together: static and client_credentials go with service_account and agent_scoped, all others with user_delegated."},
	broker.FieldsIncomplete: {"syntax", "The card's fields, references or the server's templates do not fit each other, or the store does not take such a reference."},
	broker.ReferenceOutside: {"syntax", "A reference lies outside the paths registered for its store."},

	broker.StoreUnregistered: {"store", "No active store is registered under the name of a reference."},
	broker.StoreUnavailable:  {"store", "The store does not answer at the moment, or not in time."},
	broker.SecretMissing:     {"store", "The store has no such secret, version or member."},
	broker.SecretMalformed:   {"store", "The secret is not what the reference expects, is too short to mask, or cannot be sent in its place."},
	broker.StoreDenied:       {"denied", "The store refuses Bindery: check the store to see what it may do there."},
	broker.KeyUnavailable:    {"key", "The value cannot be opened: it was entered for another server, or for the origin that this one had; or the key is disabled, deleted or denied."},
	broker.RowUndecodable:    {"store", rowUndecodable},

	broker.ReferenceRevoked: {"denied", "A reference, or the credential of its store, was revoked."},
	broker.GrantRevoked:     {"consent", "What you connected here was revoked."},
	broker.CatalogueUnread:  {"store", "It could not be read whether the references were revoked."},

	broker.ProviderUnfit:     {"syntax", "The card's source needs a provider and well-formed scopes, or takes none of them, and the card says otherwise."},
	broker.ConsentRequired:   {"consent", ownConsent},
	broker.GrantDead:         {"consent", ownConsent},
	broker.ScopesNotGranted:  {"consent", ownConsent},
	broker.AgentNotConsented: {"consent", ownConsent},
	broker.PersonRequired:    {"consent", ownConsent},
	broker.ProviderRefused:   {"provider", "The provider is not registered and active here, or refuses Bindery or what it asked for: see how Bindery is registered there."},
	broker.ProviderUnavail:   {"provider", "The provider did not issue a token in time, or is left alone for a while after such a failure."},
	broker.OutcomeUnknown:    {"provider", "A token was asked for and the answer was lost: the provider may or may not have issued one."},

	broker.UpstreamUnreached: {"upstream", "No connection to the upstream: its name, port or certificate."},
	broker.UpstreamAddress:   {"upstream", "The upstream's address is not one that may be connected to: private ranges have to be opened for the server."},
	broker.UpstreamRedirect:  {"upstream", "The upstream redirects; register the address that it redirects to."},
	broker.UpstreamTimeout:   {"upstream", "The upstream did not answer in time."},
	broker.UpstreamEncoded:   {"upstream", "The upstream encodes its answer although it was asked not to; such an answer cannot be masked."},
	broker.UpstreamTooLarge:  {"upstream", "The upstream's answer is too large."},
	broker.UpstreamBroke:     {"upstream", "The upstream broke off, or its answer is no HTTP."},
	broker.UpstreamFailed:    {"upstream", "The upstream answered with a fault of its own (5xx)."},
	broker.UpstreamMalformed: {"upstream", "What the upstream answers is not MCP of a revision that is served."},
	broker.CallerGone:        {"upstream", "The request was given up before the upstream answered."},
	broker.UpstreamAuth:      {"refused", "The upstream refuses the credential (401)."},
	broker.UpstreamDenied:    {"refused", "The upstream takes the credential for one that may not do this (403)."},

	broker.Internal: {"store", "A fault of Bindery's while it obtained the credential. Report it with the receipt."},
}

const (
	rowUndecodable = "What Bindery stores of the value or grant does not decode: a newer release wrote it, or somebody past Bindery. Run that release again, or restore the row; till then a value under another name can take its place."
	ownConsent     = "Each person uses a credential of their own here, and you have none that fits: connect an account yourself, with the agent with which you ask, and ask again. Of others this says nothing."
	callersToken   = "The token of each caller is exchanged for another, and yours is for this API: only a call can show whether it works."
	passThroughOff = "The upstream asks for a credential, and the server attaches none. A caller's own token is never passed through."
	propagationOff = "It works. But several people share this account, and the server passes on no identity: the upstream cannot tell them apart."
)
