#!/usr/bin/env bash
# Runs the fuzz targets, each for some seconds from its corpus; findings are left in build/fuzz/found.
# Usage: scripts/fuzz.sh [seconds] [target...]     Needs clang and libclang-rt-dev.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=("$@")
if ((${#targets[@]} == 0)); then
  mapfile -t targets < <(sed -n 's/^dragoman_fuzz(NAME \([a-z_]*\).*/\1/p' tests/fuzz/CMakeLists.txt)
fi
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${targets[@]}"
mkdir -p build/fuzz/found build/fuzz/grown
failed=0
for target in "${targets[@]}"; do
  # What is new goes to a folder of the build, not into the tree.
  mkdir -p "build/fuzz/grown/$target"
  echo "== $target, $seconds s"
  ASAN_OPTIONS=detect_leaks=0 "build/fuzz/fuzz/$target" -max_total_time="$seconds" -max_len=8192 \
    -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 -use_value_profile=1 \
    -artifact_prefix="build/fuzz/found/$target-" \
    "build/fuzz/grown/$target" "tests/fuzz/corpus/$target" || failed=1
done
exit "$failed"
