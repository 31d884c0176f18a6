// Package mcp reads just enough of the Model Context Protocol to judge a
// message on its way through, and nothing more: it relays, it never terminates.
//
// Parse turns an HTTP request into a Message that says what the call is (kind,
// id, method, action, target, protocol revision). It keeps no copy of the body
// and never rewrites it: what was judged is what is sent, byte for byte. To
// make that safe it refuses every message that two JSON readers could
// understand differently: duplicate keys, keys that differ from a known key
// only by case, text that is not UTF-8, names with half a surrogate pair,
// batches, trailing bytes, headers that contradict the body.
//
// ParseListen and ParseEnd do the same for GET and DELETE, which have no body.
//
// The other direction is EventReader, which cuts a stream into server-sent
// events exactly as they came; EditResult, which cuts out of a list what the
// caller may not use, and refuses an answer that two readers could understand
// differently; and Protected, which names the places of an answer where a
// masked value would break the protocol.
//
// The package never translates between protocol eras, never opens a
// connection, never looks inside arguments or content, and never repeats a
// caller's or an upstream's bytes in an error.
package mcp
