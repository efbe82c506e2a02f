#!/usr/bin/env bash
# Sizes and vocabularies by short runs of equally many steps, as a Markdown table (model/pretrained/MODEL_CARD.md):
#   scripts/explore_architectures.sh DATA_DIR OUT_DIR [--device cuda] [--steps 400] [--smoke]
# DATA_DIR: train/, dev/ and test/ as the model card names them. Trains on Tatoeba alone, 16,384 tokens a step; BLEU of policy
# sentence on 1,000 lines of each development set, loss of the first 300 in bits per character of the reference.
# What is done already is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?"give the folder of the data"} out=${2:?"give the folder of the results"} device=cpu steps=400 lines=1000 batch=16384
shift 2
while (($# > 0)); do
  case $1 in
    --device) device=$2; shift ;;
    --steps) steps=$2; shift ;;
    --smoke) steps=2 lines=8 batch=2048 ;;
    *) echo "unknown: $1" >&2; exit 2 ;;
  esac
  shift
done
bin=${BIN:-build/release/bin/dragoman-model}
[[ -x $bin ]] || scripts/build.sh release dragoman-model >&2
mkdir -p "$out"

for vocabulary in 4000 8000 16000; do
  [[ -e $out/tokenizer-$vocabulary/manifest.json ]] || "$bin" prepare --may-ship-only --vocab-size "$vocabulary" --augment \
    --input "$data"/train/{tatoeba,dialogue.en-de,stories,questions,docs,games,parliament}*.xz \
    --exclude "$data"/test/tatoeba.test.en-*.xz --output "$out/tokenizer-$vocabulary" >&2
  [[ -e $out/data-$vocabulary/manifest.json ]] || "$bin" prepare --may-ship-only --tokenizer "$out/tokenizer-$vocabulary" \
    --input "$data"/train/tatoeba*.xz --exclude "$data"/{dev,test}/tatoeba.*.xz --output "$out/data-$vocabulary" >&2
done

number() { grep -oE "\"$1\": *[0-9.e+-]+" | tail -1 | sed -E 's/.*: *//'; }

echo "| run | parameters | de | fr | es | bits per character |"
echo "|---|---:|---:|---:|---:|---:|"
explore() {  # name, vocabulary, field=value...
  local name=$1 vocabulary=$2 flags=() field language files
  shift 2
  for field in "$@"; do flags+=(--set "$field"); done
  files=$(printf '"%s",' "$data"/dev/tatoeba.dev.en-{de,fr,es}.tsv.xz)
  [[ -e $out/$name/package/dragoman.json ]] || "$bin" train --config model/recipes/bundled.json --device "$device" \
    --output "$out/$name" --max-steps "$steps" --set "data=$out/data-$vocabulary" --set "batch_tokens=$batch" \
    --set corpus_weights={} --set dropout=0.1 --set optimizer.warmup_steps=60 --set optimizer.decay=linear \
    --set optimizer.cooldown_share=0 --set "evaluate_every=$steps" --set "dev_files=[${files%,}]" \
    --set dev_pairs_per_file=300 --set 'dev_policies=["sentence"]' "${flags[@]}" >"$out/$name.log" 2>&1 ||
    { tail -3 "$out/$name.log" >&2; exit 1; }
  printf '| %s | %.1f M' "$name" "$(sed -nE 's/.*train: ([0-9]+) parameters.*/\1/p' "$out/$name.log" | head -1 | sed 's/$/e-6/')"
  for language in de fr es; do
    [[ -s $out/$name-$language.json ]] || { "$bin" evaluate --model "$out/$name/package" --target "$language" --policy sentence \
      --pairs "$data/dev/tatoeba.dev.en-$language.tsv.xz" --limit "$lines" --batch 128 --json >"$out/$name.part" 2>>"$out/$name.log" &&
      mv "$out/$name.part" "$out/$name-$language.json"; }
    printf ' | %.1f' "$(number bleu <"$out/$name-$language.json")"
  done
  for language in de fr es; do
    xz -dc "$data/dev/tatoeba.dev.en-$language.tsv.xz" | sed -n 1,300p >"$out/dev.tsv"
    "$bin" prepare --input "$out/dev.tsv" --tokenizer "$out/tokenizer-$vocabulary" --output "$out/dev-data" 2>&1 |
      sed -nE 's/.* ([0-9]+) samples of .* ([0-9]+) target tokens.*/\1 \2/p'
    cut -f3 "$out/dev.tsv" | tr -d '\n' | wc -m
    grep '"validation"' "$out/$name/log.jsonl" | grep "en-$language" | number loss
    rm -rf "$out/dev-data"
  done | awk 'NF == 2 {labels = $1 + $2} NF == 1 && ++n % 2 {chars += $1} NF == 1 && !(n % 2) {nats += $1 * labels}
              END {printf " | %.2f |\n", nats / log(2) / chars}'
}
explore base 8000
explore vocabulary-4000 4000
explore vocabulary-16000 16000
explore layers-6 8000 model.num_layers=6
explore deep 8000 model.num_layers=14 model.hidden_size=384 model.num_heads=6 model.ffn_size=960
explore wide 8000 model.num_layers=4 model.hidden_size=768 model.num_heads=12 model.ffn_size=1600
explore dropout-0.2 8000 dropout=0.2
explore no-label-smoothing 8000 label_smoothing=0
