#!/usr/bin/env bash
# Configures and builds: scripts/build.sh [preset] [target...]
#   preset: dev (default), release, asan, tsan; the result is in build/<preset>.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-dev}
shift || true

cmake --preset "$preset"
if (($# > 0)); then
  cmake --build --preset "$preset" --target "$@"
else
  cmake --build --preset "$preset"
fi
