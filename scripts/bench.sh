#!/usr/bin/env bash
# Measures the release build on the bundled model, as tests/bench/README.md records it:
#   scripts/bench.sh [backbone|kernels|service|all] [flags of dragoman-model bench | of the kernel
#   benchmarks | numbers of streams]
set -euo pipefail
cd "$(dirname "$0")/.."

part=${1:-all}
shift || true
scripts/bootstrap.sh
targets=(dragoman dragoman-model dragoman-server)
if [[ $part == kernels ]]; then targets=(dragoman-kernel-bench); fi
scripts/build.sh release "${targets[@]}"

echo "machine: $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
echo "commit:  $(git rev-parse --short HEAD) ($(git status --porcelain | wc -l) changed files)"
echo "build:   release, $(g++ --version | head -n 1)"
case $part in
  backbone) build/release/bin/dragoman-model bench --model model/pretrained "$@" ;;
  kernels) build/release/bin/dragoman-kernel-bench "$@" ;;
  service) scripts/bench_service.sh "$@" ;;
  all)
    build/release/bin/dragoman-model bench --model model/pretrained --threads 1
    build/release/bin/dragoman-model bench --model model/pretrained --threads 2
    scripts/bench_service.sh
    ;;
  *) echo "bench: '$part' is none of backbone, kernels, service, all" >&2 && exit 2 ;;
esac
