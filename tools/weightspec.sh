#!/usr/bin/env bash
# Runs the weightspec command of this checkout, and builds it first where that was not done yet. WEIGHTSPEC names another one.
# For the GitHub Action and the pre-commit hook, which get a bare clone. Needs Node 20 or later.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

if [ -n "${WEIGHTSPEC:-}" ]; then exec "$WEIGHTSPEC" "$@"; fi
command -v node >/dev/null || { echo 'weightspec needs Node 20 or later: https://nodejs.org' >&2; exit 2; }

build() {
  echo 'weightspec: building (once)' >&2
  (cd "$root" && npm ci --no-audit --no-fund --ignore-scripts && npm run --silent build) >"$root/.weightspec-build.log" 2>&1 ||
    { cat "$root/.weightspec-build.log" >&2; echo 'weightspec: the build failed' >&2; exit 2; }
  rm -f "$root/.weightspec-build.log"
}

if [ ! -f "$root/packages/cli/dist/main.js" ]; then
  # One of several processes builds; the others wait. mkdir is atomic everywhere.
  lock="$root/.weightspec-building"
  if mkdir "$lock" 2>/dev/null; then
    trap 'rmdir "$lock"' EXIT
    build
    rmdir "$lock"
    trap - EXIT
  else
    while [ -d "$lock" ]; do sleep 1; done
  fi
fi
exec node "$root/packages/cli/bin/weightspec.js" "$@"
