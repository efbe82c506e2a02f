#!/usr/bin/env bash
# Installs the foreign client's two packages into the build folder and runs it against the real
# server. Exit 77: skipped, the reason is printed. Usage: run.sh BUILD_FOLDER
set -euo pipefail
source=$(cd "$(dirname "$0")" && pwd)
work=$1/foreign_client
for program in node npm; do
  if ! command -v "$program" >/dev/null; then
    echo "skipped: $program is not installed"
    exit 77
  fi
done
mkdir -p "$work"
cp "$source"/package.json "$source"/reflection.proto "$source"/client.js "$work"
cd "$work"
if [[ ! -d node_modules/@grpc/proto-loader ]]; then
  if ! timeout 60 npm install --no-package-lock --ignore-scripts --no-audit --no-fund >npm.log 2>&1; then
    rm -rf node_modules
    echo "skipped: npm cannot install the client: $(tail -n 1 npm.log)"
    exit 77
  fi
fi
exec node client.js "$1" "$source/../.."
