#!/usr/bin/env bash
# soak.sh load SECONDS has as many processes as the machine carries call at once;
# soak.sh faults CALLS [SEED] has everything that they ask fail meanwhile, and after
# that what the other functions do. One line on standard output says what came of
# each; the rest goes to standard error.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go} what=$1 many=$2
program=$PWD/.local/bin/soak
mkdir -p .local/bin

# measured WHAT TIMES runs one of the benchmarks so many times.
measured() {
	local out
	out=$(cd tests/soak && "$program" -test.timeout 12h -test.run '^$' -test.bench "$1" -test.benchtime "$2x") || {
		echo "$out" >&2
		exit 1
	}
	grep -E '^(load|soak): ' <<<"$out"
}

"$go" test -c -tags e2e -o "$program" ./tests/soak
case $what in
load) measured Load "$many" ;;
faults)
	export BINDERY_SOAK_SEED=${3:-}
	measured Others $((many < 500 ? 5 : many / 100))
	measured Faults "$many"
	;;
esac
