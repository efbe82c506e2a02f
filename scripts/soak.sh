#!/usr/bin/env bash
# R33: hours of load at 70 % of the slots with 5 % cancels. Memory, descriptors and lag are held to the bars: growth of memory
# under 1 MiB an hour after the first part, descriptors constant, lag of the last part within 10 % (and 5 ms) of the first.
# Usage: scripts/soak.sh [hours] [slots] [weights]     (default 8, 64 and int8; fractions of an hour are fine)
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${SOAK_PRESET:-release}
hours=${1:-8} slots=${2:-64} weights=${3:-int8}
parts=8
seconds=$(awk "BEGIN {s = int($hours * 3600 / $parts); print s < 10 ? 10 : s}")
streams=$(awk "BEGIN {print int($slots * 0.7)}")
scripts/build.sh "$preset" dragoman dragoman-server >/dev/null
work=$(mktemp -d)
server=""
cleanup() {
  if [[ -n $server ]]; then kill "$server" 2>/dev/null || true; wait "$server" || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
"build/$preset/bin/dragoman-server" --model model/pretrained --weights "$weights" --insecure --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
  --port-file "$work/ports" --slots "$slots" --drain-grace-seconds 0 --log-level warning 2>"$work/server.log" &
server=$!
port() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$work/ports"; }
until [[ -s $work/ports ]] && "build/$preset/bin/dragoman" info --insecure --server "127.0.0.1:$(port grpc)" >/dev/null 2>&1 \
  && "build/$preset/bin/dragoman" list-models --insecure --server "127.0.0.1:$(port grpc)" | grep -q default; do
  kill -0 "$server" || { cat "$work/server.log" >&2; exit 1; }
  sleep 0.1
done
echo "part  exit  RSS KiB  descriptors  lag p99 s"
for ((part = 1; part <= parts; ++part)); do
  code=0
  "build/$preset/bin/dragoman" bench -s en -t de --insecure --server "127.0.0.1:$(port grpc)" --rate 3 --duration "$seconds" \
    --streams "$streams" --arrival poisson --chaos cancel=.05 --seed "$part" \
    --metrics "http://127.0.0.1:$(port admin)/metrics" --json tests/bench/talk.txt >"$work/report" || code=$?
  rss=$(awk '/^VmRSS/ {print $2}' "/proc/$server/status")
  # shellcheck disable=SC2012
  fds=$(ls "/proc/$server/fd" | wc -l)
  lag=$(sed -n '/"lag_seconds"/,/}/p' "$work/report" | sed -n 's/.*"p99": *\([0-9.e-]*\),*$/\1/p')
  echo "$part $code $rss $fds ${lag:-none}" | tee -a "$work/rows"
done
# The first part warms up: pages of the pool are touched, arenas of the allocator grow.
awk -v hours="$(awk "BEGIN {print $seconds * ($parts - 2) / 3600}")" '
  NR == 1 {fds = $4}
  NR == 2 {rss = $3; lag = $5}
  {if ($2 != 0) bad = bad " exit"; if ($4 > fds + 8) bad = bad " descriptors"; last_rss = $3; last_lag = $5}
  END {
    slope = (last_rss - rss) / 1024 / hours
    printf "memory %+.2f MiB/h, lag p99 %.3f s -> %.3f s\n", slope, lag, last_lag
    if (slope >= 1 && last_rss - rss > 2048) bad = bad " memory"
    if (last_lag > lag * 1.1 + 0.005) bad = bad " lag"
    if (bad != "") {print "missed:" bad; exit 1}
    print "held"
  }' "$work/rows"
