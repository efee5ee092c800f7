#!/usr/bin/env bash
# Installs Debian's or Ubuntu's chromium where no browser is found that the end-to-end tests can drive. Prints its path.
set -euo pipefail

find_browser() {
  local name
  for name in "${ROWFEED_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    # Ubuntu's chromium-browser may be a stub that only says to install a snap.
    if [[ -n $name ]] && command -v "$name" >/dev/null 2>&1 && "$name" --version >/dev/null 2>&1; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}

if find_browser; then
  exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "chromium is missing: install it as root (apt-get install chromium), or name a browser in ROWFEED_CHROMIUM" >&2
    exit 1
  fi
  as_root=(sudo)
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "chromium is missing and there is no apt-get: install Chromium or Chrome, or name one in ROWFEED_CHROMIUM" >&2
  exit 1
fi

install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends chromium fonts-liberation
}
if ! install >&2; then
  "${as_root[@]}" apt-get update >&2
  install >&2
fi
if ! find_browser; then
  echo "chromium was installed but does not start: name a browser in ROWFEED_CHROMIUM" >&2
  exit 1
fi
