#!/usr/bin/env bash
# measure.sh PACKAGE BENCHMARK TIMES [BENCHMARK TIMES]... runs benchmarks of
# tests/PACKAGE so many times. One line on standard output says what came of each;
# the rest goes to standard error.
set -euo pipefail
cd "$(dirname "$0")/.."
package=$1
program=$PWD/.local/bin/$package
shift

mkdir -p .local/bin
"${GO:-go}" test -c -tags e2e -o "$program" "./tests/$package"
while (($# > 0)); do
	out=$(cd "tests/$package" && "$program" -test.timeout 12h -test.run '^$' -test.bench "$1" -test.benchtime "$2x") || {
		echo "$out" >&2
		exit 1
	}
	grep -E '^(race|lifecycle|load|soak|drill): ' <<<"$out"
	shift 2
done
