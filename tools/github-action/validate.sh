#!/usr/bin/env bash
# The one step of action.yml: validates WEIGHTSPEC_PATHS, prints the findings, writes SARIF, and ends with weightspec's exit code.
set -uo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

paths=() args=()
while IFS= read -r line; do [ -n "${line// /}" ] && paths+=("$line"); done <<<"${WEIGHTSPEC_PATHS:-}"
while IFS= read -r line; do [ -n "${line// /}" ] && args+=("$line"); done <<<"${WEIGHTSPEC_ARGS:-}"
if [ "${#paths[@]}" -eq 0 ]; then echo 'weightspec: no paths were given' >&2; exit 2; fi

sarif="${WEIGHTSPEC_SARIF:-weightspec.sarif}"
text="$(mktemp)"
"$here/../weightspec.sh" validate --report "$sarif" ${args[@]+"${args[@]}"} -- "${paths[@]}" | tee "$text"
code="${PIPESTATUS[0]}"

if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  # Four backticks, and only so much: GitHub refuses a summary of more than 1 MiB.
  { echo '### weightspec'; echo; echo '````'; head -c 500000 "$text"; echo; echo '````'; } >>"$GITHUB_STEP_SUMMARY"
fi
if [ -n "${GITHUB_OUTPUT:-}" ]; then
  { echo "sarif=$sarif"; echo "exit-code=$code"; } >>"$GITHUB_OUTPUT"
fi
rm -f "$text"
exit "$code"
