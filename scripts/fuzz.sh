#!/usr/bin/env bash
# Fuzzes for the given time (default 10s) every target, or those whose package and name match a regular expression:
#   scripts/fuzz.sh 10m 'session.*FuzzWire$'
# One after the other: go test fuzzes one at a time. FUZZFLAGS are given to it, such as -parallel=1. What it
# finds interesting it makes shorter in a hundred tries, which else takes most of the time.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s} only=${2:-.} found=
while IFS=: read -r file func; do
  target=${func#func } package=$(dirname "$file")
  [[ "$package $target" =~ $only ]] || continue
  found=yes
  echo "== $target in $package"
  # shellcheck disable=SC2086 # several flags
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x ${FUZZFLAGS:-} "$package" </dev/null
done < <(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort)
[[ $found ]] || { echo "no fuzz target matches $only: grep -r '^func Fuzz'" >&2; exit 1; }
