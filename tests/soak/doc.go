// Package soak shows that the compiled functions hold out: under the load that a
// machine carries, and while every call of AWS that they make, and every upstream,
// can fail in every way. What must hold then is looked up in the tables, in what
// reached the upstream, in what passed on the way to AWS, and in every output.
//
// Both are benchmarks, so that `make load SECONDS=600` and `make soak CALLS=10000`
// run as much of them as they are told and `make test` none. It measures times and
// judges none.
package soak
