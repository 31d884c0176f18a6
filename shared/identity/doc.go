// Package identity turns the token of a request into a broker.Principal.
//
// A deployment document lists the issuers that are trusted, and for each where
// its tokens are good, for which audiences, with which algorithms, and what
// its claims mean. The unverified iss claim only chooses among them; after
// that one issuer's rules and one issuer's keys judge the token, and nothing
// of the token is used before its signature is good.
//
// The package never forwards, stores or logs a token, never asks an issuer
// about a single token, never follows a URL that a token carries, and never
// tells a caller why a token was refused.
//
// # Resources
//
// A token is for servers or for the admin API, never for both. For the admin
// API the document also says who administers: groups have roles, and an agent
// that acts for a person is refused unless it is listed.
//
// # Caches
//
//	what              key                         life
//	key set           issuer                      renewed beside a call after 10 min, before it after 20 min;
//	                                              keys_max_age (24h) while the issuer cannot be reached
//	shared key set    environment and issuer      as above; sealed, one row for all processes
//	verified result   SHA-256 of resource, token  until exp or max_age, and while its key is published; 4096, LRU
//
// A key that the issuer removes stops working within 20 minutes while the
// issuer can be reached, whatever a frozen sandbox held up; clocks that are
// apart add up to two minutes. A key that the issuer adds works from the first
// token that names it, unless a fetch happened in the 30 seconds before: all
// processes together fetch from an issuer at most once in 30 seconds, and each
// process looks at the shared set at most once in 5. A published set without
// any usable key counts as an outage.
//
// While the shared rows cannot be reached, a process with a set of up to 20
// minutes fetches nothing and answers a key it does not know as unavailable;
// one with an older set or none fetches by itself, at most once in 30 seconds.
//
// # Issuers
//
// Okta: use a custom authorization server. Its access tokens have no typ
// (token_types [""]), the client in cid, scopes as a list in scp, and in sub a
// login name, which can be given to somebody else: principal ["uid"].
//
// Microsoft Entra ID: the issuer is the tenant's
// (https://login.microsoftonline.com/<tenant>/v2.0), never "common"; sub
// differs per application: principal ["tid", "oid"]. Entra refuses foreign
// resource indicators: list the API's audience. Set person ["scp"], so that
// application permissions are told from people. A token that leaves its groups
// out because there are too many is refused: emit only the groups assigned to
// the application.
//
// Google: its OAuth access tokens are opaque, so people cannot come from
// Google directly; put an authorization server in between. Workloads can: an
// identity token that the metadata server or generateIdToken makes for the
// resource URL as audience (issuer https://accounts.google.com, kind
// workload). Anyone with a Google Cloud project can make one, so require the
// project ("/google/compute_engine/project_id", format=full) or bind to
// principals only. Never list an OAuth client id as an audience: ID tokens of
// people would pass.
//
// WorkOS AuthKit: the resource URL is the audience if it is registered as a
// resource; there is no typ. act names, by e-mail, the administrator who
// impersonates a person: leave act_trusted off. E-mail needs a JWT template.
//
// Keycloak and others whose clients have a subject of their own need person,
// with a claim that only people's tokens have.
//
// Any issuer that serves more than one organisation needs require.
package identity
