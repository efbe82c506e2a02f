#!/usr/bin/env bash
# Measures the release build: scripts/bench.sh [flags of dragoman-model bench]
# Prints machine, build and commit above the figures, as tests/bench/README.md records them.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/bootstrap.sh
scripts/build.sh release dragoman-model dragoman_torch

echo "machine: $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
echo "commit:  $(git rev-parse --short HEAD) ($(git status --porcelain | wc -l) changed files)"
echo "build:   release, $(g++ --version | head -n 1)"
build/release/bin/dragoman-model bench --model model/pretrained "$@"
