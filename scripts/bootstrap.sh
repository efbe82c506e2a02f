#!/usr/bin/env bash
# Installs what build, tests and demo need, from Debian bookworm alone. Asks nothing, installs only
# what is missing: a second run needs no network. Works as root and through sudo.
set -euo pipefail

packages=(
  cmake ninja-build ccache g++ pkg-config git xz-utils clang-format clang-tidy
  protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libprotoc-dev libgrpc++-dev libabsl-dev
  libspdlog-dev prometheus-cpp-dev nlohmann-json3-dev libcli11-dev
  libicu-dev libssl-dev liblzma-dev zlib1g-dev sentencepiece
  libtorch-dev libopenblas0-pthread libhwy-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  prometheus python3-yaml
)

as_root() {
  if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed* ]] || missing+=("$package")
done

if ((${#missing[@]} > 0)); then
  if ! command -v apt-get >/dev/null; then
    echo "bootstrap: this machine has no apt-get; Debian bookworm packages are needed:" \
      "${missing[*]}" >&2
    exit 1
  fi
  echo "bootstrap: installing ${missing[*]}"
  # The lists of a fresh container are empty, those of an old one stale.
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"
  # The tests start Prometheus themselves; the package would run one at all times.
  if [[ " ${missing[*]} " == *" prometheus "* && -d /run/systemd/system ]]; then
    as_root systemctl disable --now prometheus
  fi
fi

# libtorch runs on whatever BLAS is selected; the reference one is many times slower.
arch=$(gcc -print-multiarch)
for library in libblas.so.3 liblapack.so.3; do
  link="$library-$arch"
  wanted="/usr/lib/$arch/openblas-pthread/$library"
  active=$(update-alternatives --query "$link" 2>/dev/null | sed -n 's/^Value: //p' || true)
  if [[ -e $wanted && $active != "$wanted" ]]; then
    echo "bootstrap: selecting $wanted"
    as_root update-alternatives --set "$link" "$wanted"
  fi
done
echo "bootstrap: all ${#packages[@]} packages are there"
