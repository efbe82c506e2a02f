#!/usr/bin/env bash
# Quality of a model package on test sets, as a Markdown table:
#   scripts/evaluate.sh FOLDER [policy...]      default: sentence wait-k:3
#   FOLDER holds NAME.en-XX.tsv.xz: language, source, reference, ..., in column 7 "near" or "far" (how near
#   the training data is), if at all; then "far" is reported apart. MODEL=path for another package.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?"give the folder of the test sets"}
shift
(($# > 0)) || set -- sentence wait-k:3
model=${MODEL:-model/pretrained}
scripts/build.sh release dragoman-model >&2
flags=(${WEIGHTS:+--weights "$WEIGHTS"} ${LIMIT:+--limit "$LIMIT"} --batch 128)
[[ -z ${PACE:-} ]] || flags+=(--pace "$PACE" --speakers "${SPEAKERS:-1}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

row() {  # name, file, language, policy
  build/release/bin/dragoman-model evaluate --model "$model" --pairs "$2" --target "$3" --policy "$4" \
    --threads 1 --bootstrap --json "${flags[@]}" 2>"$work/log" >"$work/json" || { cat "$work/log" >&2; exit 1; }
  tr -d '\n ' <"$work/json" >"$work/flat"
  sed -E 's/.*"bleu":([0-9.]+),"chrf2":([0-9.]+),"segments":([0-9]+).*"bleu_interval":\[([0-9.]+),([0-9.]+)\].*"al":([0-9.-]+),"laal":([0-9.-]+),"ap":([0-9.]+).*"failed_lines":([0-9]+).*"seconds":([0-9.]+).*/\3 \1 \4 \5 \2 \6 \7 \8 \9/' "$work/flat" |
    awk -v name="$1" -v policy="$4" \
      '{printf "| %s | %s | %d | %.1f (%.1f to %.1f) | %.1f | %.2f | %.2f | %.2f | %d |", name, policy, $1, $2, $3, $4, $5, $6, $7, $8, $9}'
  sed -E 's/.*"repetition":([0-9.e-]+),"reference_repetition":([0-9.e-]+).*/\1 \2/' "$work/flat" | awk '{printf " %.2f (%.2f) |", 100 * $1, 100 * $2}'
  [[ -z ${PACE:-} ]] || sed -E 's/.*"laal_ca":([0-9.e-]+),.*"p95":([0-9.e-]+),.*/\1 \2/' "$work/flat" | awk '{printf " %.2f s | %.1f ms |", $1, 1000 * $2}'
  echo
}

echo "| set | policy | sentences | BLEU (95 %) | chrF2 | AL | LAAL | AP | failed | rep-4, % (reference) |${PACE:+ LAAL_CA | p95 |}"
echo "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|${PACE:+---:|---:|}"
for file in "$folder"/*.en-??.tsv.xz; do
  name=$(basename "$file" .tsv.xz)
  xz -dc "$file" | awk -F'\t' '$7 == "far"' >"$work/far.tsv"
  for policy in "$@"; do
    row "$name" "$file" "${name##*.en-}" "$policy"
    if [[ -s $work/far.tsv ]]; then row "$name, far" "$work/far.tsv" "${name##*.en-}" "$policy"; fi
  done
done
