#!/usr/bin/env bash
# Sets up, builds and runs the tests: scripts/test.sh [preset] [label]
#   preset: dev (default), release, asan, tsan.   label: only tests with this ctest label.
# Ends with ctest's own summary; the exit code is ctest's.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-dev}
label=${2:-}

scripts/bootstrap.sh
scripts/build.sh "$preset"

# These have an effect under the asan and tsan presets only.
export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp ${LSAN_OPTIONS:-}"
export TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp history_size=4 ${TSAN_OPTIONS:-}"
arguments=(--preset "$preset" --output-on-failure --no-tests=error --parallel "$(nproc)")
if [[ -n $label ]]; then arguments+=(--label-regex "^$label\$"); fi
exec ctest "${arguments[@]}"
