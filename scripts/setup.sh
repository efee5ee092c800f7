#!/usr/bin/env bash
# Installs what the named parts need and the machine lacks, on Debian and Ubuntu; elsewhere says what is missing.
# Usage: scripts/setup.sh go|node|postgres|chromium|django|pgbouncer...
set -euo pipefail
cd "$(dirname "$0")/.."

# missing says what a person has to do, and ends.
missing() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# install PACKAGE... through apt-get, as root or through sudo.
install() {
  command -v apt-get >/dev/null || return 1
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || return 1
    sudo=(sudo)
  fi
  echo "setup: apt-get install $*"
  local apt_get=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0)
  # The package lists are fetched only where they are missing or too old to install from.
  "${apt_get[@]}" install --no-install-recommends "$@" >/dev/null 2>&1 && return
  "${apt_get[@]}" update >/dev/null && "${apt_get[@]}" install --no-install-recommends "$@" >/dev/null
}

need_go() {
  command -v go >/dev/null || missing "Go is missing: install version 1.26 or later from go.dev/dl"
  # The race detector needs cgo, and that a C compiler.
  command -v "$(go env CC)" >/dev/null || install gcc libc6-dev || missing "a C compiler is missing: install gcc"
}

need_node() {
  command -v npm >/dev/null || missing "Node.js is missing: install version 20 or later, with npm, from nodejs.org"
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || missing "Node.js $(node -v) is too old: install version 20 or later from nodejs.org"
}

# postgres_bin prints where the newest server of version 14 or later is.
postgres_bin() {
  local bin version
  { [ -z "${ROWFEED_PGBIN:-}" ] || echo "$ROWFEED_PGBIN"
    find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -rV
    dirname "$(command -v postgres || echo /nowhere/postgres)"
  } | while read -r bin; do
    [ -x "$bin/initdb" ] || continue
    version=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    if [ "$version" -ge 14 ]; then
      echo "$bin"
      break
    fi
  done
}

need_postgres() {
  [ -z "$(postgres_bin)" ] || return 0
  install postgresql || true
  [ -n "$(postgres_bin)" ] || missing "PostgreSQL's server is missing: install version 14 or later" \
    "and set ROWFEED_PGBIN to the folder of its initdb and postgres where that is not on the PATH"
}

# Python's own is asked too: the packages are for Debian's, which need not be the one on the PATH.
has_django() {
  local python
  for python in /usr/bin/python3 python3; do
    "$python" -c 'import django, django.db.backends.postgresql.base' >/dev/null 2>&1 && return
  done
  return 1
}

need_django() {
  has_django || install python3-django python3-psycopg2 || true
  has_django || missing "Django is missing: pip install django psycopg2-binary"
}

need_pgbouncer() {
  local PATH=$PATH:/usr/sbin
  command -v pgbouncer >/dev/null || install pgbouncer || true
  command -v pgbouncer >/dev/null || missing "pgbouncer is missing: install it"
}

need_chromium() {
  scripts/install-chromium.sh >/dev/null
}

for part in "$@"; do
  "need_$part"
done
