#!/usr/bin/env bash
# Format, layering and clang-tidy over what changed: scripts/lint.sh [base commit]
#   base: default is where the branch left origin/main, else the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/format.sh --check

cmake --preset dev >/dev/null
ctest --preset dev --no-tests=error --tests-regex '^layering$'

base=${1:-$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD~1)}
# clang-tidy needs the command line of a file: only sources that the dev build compiles.
changed=$(git diff --name-only --diff-filter=ACMR "$base" -- '*.cc')
[[ -n $changed ]] || { echo "lint: no source changed since $base"; exit 0; }
# Generated headers have to be there.
cmake --build --preset dev --target proto
status=0
while read -r file; do
  grep -q "\"file\": \"$PWD/$file\"" build/dev/compile_commands.json || continue
  echo "clang-tidy $file"
  clang-tidy --quiet --warnings-as-errors='*' -p build/dev "$file" || status=1
done <<<"$changed"
exit "$status"
