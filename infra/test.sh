#!/usr/bin/env bash
# Every test. Real parts are installed, pinned, into .local/ on first use. Where
# a runtime is missing or too old, one line says what is left out; in CI that is
# a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
tags=e2e

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
	echo "test: Python 3.10 or newer is missing: install it; without it only '$go test ./...' can run" >&2
	exit 1
fi

# without TAG WHAT WHY leaves out what carries the build tag.
without() {
	echo "test: left out: $2 ($3)" >&2
	if [[ ${CI:-} == true ]]; then
		echo "test: CI leaves nothing out" >&2
		exit 1
	fi
	tags=$tags,$1
}

major() { "$@" 2>&1 | sed -nE '1s/^[^0-9]*([0-9]+).*/\1/p'; } # of what a command says its version is

java=$(major javac -version || true)
if ((${java:-0} < 17)) || ! command -v mvn >/dev/null; then
	without nojava "the tests on AWS's DynamoDB Local" "they need a Java 17 JDK and Maven"
fi
node=$(major node --version || true)
if ((${node:-0} < 20)) || ! command -v npm >/dev/null; then
	without nonode "every end-to-end test, such as rotation, faults, hostile upstreams, and the certified OpenID provider" "they need Node 20 and npm"
fi
exec "$go" test -timeout 20m -tags "$tags" ./...
