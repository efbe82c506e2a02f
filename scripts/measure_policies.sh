#!/usr/bin/env bash
# The table and the picture of docs/policies.md:
#   scripts/measure_policies.sh FOLDER OUTPUT [policy...]      default: all policies of the table
#   FOLDER holds tatoeba.dev.en-{de,fr,es}.tsv.xz; OUTPUT gets one JSON file for each policy and language (those
#   that are there are kept, so a run that was cut short goes on), policies.svg, and the table as policies.md.
#   MODEL=path for another package, LIMIT=700 lines of each set, BINARY=path to measure with another build.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?"give the folder of the development sets"}
output=${2:?"give a folder for the results"}
shift 2
if (($# == 0)); then
  set -- wait-k:{1,2,3,4,5,7} wait-k:3:1:0.1 wait-k:4:1:0.2 wait-k:2:2 wait-k:3:2 align-att:{1,2,3,4,5,6} \
    adaptive:0.{3,4,5,6,7,8,9} adaptive:0.6:2:8 adaptive:0.8:2:8 adaptive:1:2:6 adaptive:0.8:1:5 \
    local-agreement:{2:1,2:2,3:1} sentence
fi
binary=${BINARY:-build/release/bin/dragoman-model}
if [[ -z ${BINARY:-} ]]; then scripts/build.sh release dragoman-model >&2; fi
mkdir -p "$output"

field() { sed -nE "s/^ *\"$1\": ([0-9.-]+),?$/\1/p" "$2"; }

{
  echo "| policy | German | French | Spanish | rows |"
  echo "|---|---:|---:|---:|---:|"
  for policy in "$@"; do
    line="| \`$policy\` |"
    rows=0 tokens=0
    for language in de fr es; do
      json=$output/${policy//:/_}.$language.json
      if [[ ! -s $json ]]; then
        "$binary" evaluate --model "${MODEL:-model/pretrained}" --pairs "$folder/tatoeba.dev.en-$language.tsv.xz" \
          --target "$language" --policy "$policy" --limit "${LIMIT:-700}" --threads 1 --json >"$json.part" 2>"$output/log" ||
          { cat "$output/log" >&2; exit 1; }
        mv "$json.part" "$json"
      fi
      line+=$(printf ' %.1f at %.2f |' "$(field bleu "$json")" "$(field laal "$json")")
      rows=$((rows + $(field decode_rows "$json")))
      tokens=$((tokens + $(field target_tokens "$json")))
    done
    awk -v line="$line" -v rows=$rows -v tokens=$tokens 'BEGIN { printf "%s %.2f |\n", line, rows / tokens }'
  done
} | tee "$output/policies.md"
# Stride and catch-up are no points of the line of wait-k.
mapfile -t points < <(ls "$output"/*.json | grep -v '/wait-k_[0-9]*_')
"$binary" plot "${points[@]}" --output "$output/policies.svg"
