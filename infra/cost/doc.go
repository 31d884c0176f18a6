// Package cost turns what calls use into dollars: the requests that the
// end-to-end tests hold each kind of call to, the capacity and the bytes that
// tests/cost measured, and the prices in infra/prices.json. docs/cost.md is
// written from it.
//
// It never asks AWS for anything, and its prices are as old as that file says.
package cost
