#!/usr/bin/env bash
# Formats all C++ of the tree in place; with --check changes nothing and fails on a difference.
set -euo pipefail
cd "$(dirname "$0")/.."

arguments=(-i)
if [[ ${1:-} == --check ]]; then arguments=(--dry-run -Werror); fi
git ls-files -z -- '*.h' '*.cc' | xargs -0 --no-run-if-empty clang-format "${arguments[@]}"
