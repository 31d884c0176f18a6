#!/usr/bin/env bash
# lifecycle.sh ROUNDS SECONDS proves that access can be stopped and that secrets
# can change while everybody calls, and counts the steps at which a process died.
# One line on standard output says what came of each; the rest goes to standard
# error.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go} rounds=$1 seconds=$2
program=$PWD/.local/bin/lifecycle
mkdir -p .local/bin

# measured WHAT TIMES runs one of the benchmarks so many times.
measured() {
	local out
	out=$(cd tests/lifecycle && "$program" -test.timeout 4h -test.run '^$' -test.bench "$1" -test.benchtime "$2x") || {
		echo "$out" >&2
		exit 1
	}
	grep '^lifecycle: ' <<<"$out"
}

"$go" test -c -tags e2e -o "$program" ./tests/lifecycle
measured Revocation "$rounds"
measured Rotation "$seconds"
out=$("$go" test -count=1 -v ./shared/revoke ./shared/rotate ./functions/cleanup/...) || {
	echo "$out" >&2
	exit 1
}
awk '/ crash points tried$/ { n += $(NF - 3) } END { print "lifecycle: " n + 0 " crash points tried"; exit !n }' <<<"$out"
