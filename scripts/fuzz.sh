#!/usr/bin/env bash
# Runs every fuzz target for the given time (default 10s), one after the other: go test fuzzes one at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do
  target=${func#func }
  echo "== $target in $(dirname "$file")"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-10s}" "$(dirname "$file")" </dev/null
done
