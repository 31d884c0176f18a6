#!/usr/bin/env bash
# Every test. Real parts are installed, pinned, into .local/ on first use. Where
# a runtime is missing, one line says what is left out; in CI that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

tags=e2e
need() { # need COMMAND WHAT TAG
  if command -v "$1" >/dev/null 2>&1; then return; fi
  if [ "${CI:-}" = true ]; then
    echo "test: $1 is missing, and CI leaves nothing out" >&2
    exit 1
  fi
  echo "test: $1 is missing, so $2 is left out"
  tags="$tags,$3"
}
need java "the store suite on DynamoDB Local" nojava
need mvn "the store suite on DynamoDB Local" nojava
need node "the tests with the certified OpenID provider" nonode
need npm "the tests with the certified OpenID provider" nonode
if ! command -v python3 >/dev/null 2>&1; then
  echo "test: python3 is missing: install Python 3.10 or newer; without it only 'go test ./...' can run" >&2
  exit 1
fi
exec go test -timeout 10m -tags "$tags" ./...
