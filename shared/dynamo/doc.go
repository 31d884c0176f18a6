// Package dynamo keeps what Bindery knows in six DynamoDB tables: catalogue,
// revocations, grants, transient, audit and audit index. keys.go and index_keys.go
// are the data model.
//
// The idea: a decision is three strongly consistent queries and one batch read
// side by side, whose size depends on the server and the caller and never on
// how many others there are. A change is a conditional write of one item (a
// binding and a policy set are transactions over their few items), and a write
// whose answer was lost is recognised when it is repeated, because what is
// stored is what would have been stored. Counting calls is the exception: repeated,
// it may count again.
//
// The package never caches, never reads eventually consistently, never takes
// an unread page or an undecodable row for an absence, never writes without a
// condition (but what cannot be anything else: see index_write.go), and never passes on the text of an AWS error: status and code
// only. It holds no secret in clear.
package dynamo
