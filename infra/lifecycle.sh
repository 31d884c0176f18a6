#!/usr/bin/env bash
# lifecycle.sh ROUNDS SECONDS proves that access can be stopped and that secrets
# can change while everybody calls, and counts the steps at which a process died.
# One line on standard output says what came of each; the rest goes to standard
# error.
set -euo pipefail
cd "$(dirname "$0")/.."

infra/measure.sh lifecycle Revocation "$1" Rotation "$2"
out=$("${GO:-go}" test -count=1 -v ./shared/revoke ./shared/rotate ./functions/cleanup/...) || {
	echo "$out" >&2
	exit 1
}
awk '/ crash points tried$/ { n += $(NF - 3) } END { print "lifecycle: " n + 0 " crash points tried"; exit !n }' <<<"$out"
