// Package mask takes secret values out of what flows back to a caller.
//
// A Masker is built for the values of one call and replaces each of them,
// however it is spelled, by a placeholder. It works on whole buffers: the
// caller assembles a JSON answer, an event or a header first. It knows no
// protocol, and it defends against accidents: an upstream that wants to leak
// has spellings that no list contains.
//
// What is found, for every value of MinLen bytes or more:
//
//	spelling           forms
//	raw                the bytes themselves, wherever they stand
//	latin-1            the bytes read as Latin-1 and written as UTF-8, as HTTP
//	                   stacks do with header values that are not ASCII
//	hex                lower case or upper case, not mixed
//	base64, base64url  with or without padding; alone, or inside the base64 of a
//	                   longer text at any alignment (basic auth, JSON Web Token)
//	percent            of any of the above: any subset of bytes, either hex case,
//	                   + for a space
//	JSON               of any of the above, escaped once, twice or three times:
//	                   short escapes, \uXXXX in either case for any subset of
//	                   characters, surrogate pairs, \/
//
// Not found: base64 with line breaks, base64 of base64, percent-encoding of
// JSON escapes or twice, HTML entities, compressed or encrypted text, parts of
// a value, and JSON escapes of a value that is not UTF-8 (they lose bytes).
//
// What is replaced, and nothing else: every byte that carries a bit of a value,
// base64 padding after it, and the rest of an escape sequence of which a part
// belongs to a match, so no sequence is cut in two. Matches that overlap or
// touch are replaced as one, by the placeholder of the leftmost, and of those
// the longest. Valid JSON stays valid: a match that is not inside a string (a
// number, or a value with quotes and commas) takes the whole smallest JSON
// value around it and becomes a string. For that the buffer has to be the JSON
// text alone, without the lines of an event around it.
//
// The text after masking has none of the spellings, also not across a
// placeholder. Where a placeholder could complete a value, as "]" may with a
// value that begins with "]", one like "*masked*" takes its place.
package mask
