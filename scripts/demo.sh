#!/usr/bin/env bash
# Translates English word by word through the real server with the bundled model, and shows when
# each word was read and written:
#   scripts/demo.sh                                  eight sentences into German, French and Spanish
#   scripts/demo.sh "Any English sentence." [de]     that one
# Sets up what is missing. The exit code says whether it worked.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/bootstrap.sh
preset=release
[[ ! -x build/release/bin/dragoman-server && -x build/dev/bin/dragoman-server ]] && preset=dev
scripts/build.sh "$preset" dragoman dragoman-server

work=$(mktemp -d) server=
cleanup() {  # also after an error
  if [[ -n $server ]]; then kill "$server"; wait "$server"; fi 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

fail() { echo "demo: $1" >&2; tail -n 20 "$work/server.log" >&2; exit 1; }
port() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$work/ports"; }
ready() {  # asks the admin port; bash itself opens the connection
  [[ -s $work/ports ]] || return 1
  (exec 3<>"/dev/tcp/127.0.0.1/$(port admin)" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 &&
    head -n 1 <&3 | grep -q ' 200') 2>/dev/null
}

"build/$preset/bin/dragoman-server" --model model/pretrained --insecure \
  --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --port-file "$work/ports" \
  --drain-grace-seconds 0 --log-level warning 2>"$work/server.log" &
server=$!
for ((tries = 0; tries < 600; ++tries)); do
  if ready; then break; fi
  kill -0 "$server" 2>/dev/null || fail "the server did not start"
  sleep 0.1
done

interpret() {  # language, text
  echo "== English to $1, wait-k:3, three words a second"
  "build/$preset/bin/dragoman" translate -s en -t "$1" --insecure --server "127.0.0.1:$(port grpc)" \
    --policy wait-k:3 --rate 3 --stamps <<<"$2" | tee "$work/out" || fail "the session failed"
  grep -q ' WRITE ' "$work/out" || fail "nothing was translated"
}

if (($# > 0)); then
  interpret "${2:-de}" "$1"
else
  interpret de "Good morning, how are you today? I would like to go home now.
The weather is very nice this morning. My sister works in a small hospital near the river."
  interpret fr "I don't know where he lives. She bought two books for her little brother."
  interpret es "We have been waiting for the train for an hour. Can you help me with this?"
fi

kill "$server"
wait "$server" || fail "the server did not end well"
server=
echo "demo: done"
