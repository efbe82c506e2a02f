#!/usr/bin/env bash
# Starts the release server and loads it through `dragoman bench`: start time, idle memory, lag at
# 3 words a second, CPU of the service per message. Called by bench.sh.
#   scripts/bench_service.sh [number of streams...]     SECONDS_EACH=30 of speaking, BENCH_POLICY,
#   BENCH_WEIGHTS=auto|fp32|bf16|int8|int4
set -euo pipefail
cd "$(dirname "$0")/.."

(($# > 0)) || set -- 16 32 64 128
seconds=${SECONDS_EACH:-30} policy=${BENCH_POLICY:-wait-k:3}
most=$(printf '%s\n' "$@" | sort -n | tail -n 1)
work=$(mktemp -d) server=
cleanup() {
  if [[ -n $server ]]; then kill "$server"; wait "$server"; fi 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

port() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$work/ports"; }
ready() {
  [[ -s $work/ports ]] || return 1
  (exec 3<>"/dev/tcp/127.0.0.1/$(port admin)" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 &&
    head -n 1 <&3 | grep -q ' 200') 2>/dev/null
}
# CPU seconds of the whole process; those of the engine thread and of compute threads.
process_cpu() { awk -v hz="$(getconf CLK_TCK)" '{print ($14 + $15) / hz}' "/proc/$server/stat"; }
engine_cpu() {
  for task in "/proc/$server/task/"*; do
    if [[ $(<"$task/comm") =~ ^(engine|compute)$ ]]; then cat "$task/schedstat"; fi
  done | awk '{sum += $1} END {print sum / 1e9}'
}
field() { sed -n "s/^ *\"$1\": *\([0-9.]*\),*$/\1/p" "$work/report" | head -n 1; }
lag() { sed -n '/"lag_seconds"/,/}/p' "$work/report" | sed -n "s/.*\"$1\": *\([0-9.e-]*\),*$/\1/p"; }

begin=$(date +%s.%N)
build/release/bin/dragoman-server --model model/pretrained --insecure --listen 127.0.0.1:0 \
  --admin-listen 127.0.0.1:0 --port-file "$work/ports" --drain-grace-seconds 0 --slots "$most" \
  --max-concurrent-streams 4096 --streams-per-client 0 --starts-per-second 0 \
  --threads "${BENCH_THREADS:-1}" --weights "${BENCH_WEIGHTS:-auto}" --log-level warning 2>"$work/server.log" &
server=$!
until ready; do
  kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; exit 1; }
  sleep 0.01
done
echo "start to ready: $(awk "BEGIN {print $(date +%s.%N) - $begin}") s"
awk '/^(VmRSS|RssAnon)/ {printf "%s %.0f MiB idle\n", $1, $2 / 1024}' "/proc/$server/status"
echo "streams  completed  lag p50 s  lag p99 s  words out/s  server CPU  us service CPU/message"
for streams in "$@"; do
  cpu=$(process_cpu) engine=$(engine_cpu)
  build/release/bin/dragoman bench -s en -t de --insecure --server "127.0.0.1:$(port grpc)" \
    --policy "$policy" --rate 3 --duration "$seconds" --streams "$streams" --json \
    tests/bench/talk.txt >"$work/report" || echo "bench: exit $?" >&2
  cpu2=$(process_cpu) engine2=$(engine_cpu)
  awk -v n="$streams" -v done="$(field completed)" -v p50="$(lag p50)" -v p99="$(lag p99)" \
    -v words="$(field target_words)" -v s="$(field seconds)" -v all="$cpu $cpu2" \
    -v core="$engine $engine2" -v sent="$(field messages_sent)" -v got="$(field events_received)" \
    'BEGIN {split(all, a, " "); split(core, c, " "); used = a[2] - a[1]
      printf "%7d  %9d  %9.3f  %9.3f  %11.1f  %9.0f%%  %10.0f\n", n, done, p50, p99, words / s,
        100 * used / s, 1e6 * (used - (c[2] - c[1])) / (sent + got)}'
done
