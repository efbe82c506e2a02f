#!/usr/bin/env bash
# A skip router beside its baselines at one parameter-weighted rate, as a Markdown table of BLEU:
#   scripts/skip_baselines.sh DATA DEV [lines]
#   DATA: folder of `dragoman-model prepare` with the tokenizer of the model; DEV: folder of NAME.en-XX.tsv.xz pairs.
#   MODEL=model/pretrained, RATE=0.25, OUT=runs/skip, LORA_STEPS=300, POLICIES="sentence wait-k:3".
# What exists in OUT is not made again, so a stopped run goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?"give the folder of the prepared data"} dev=${2:?"give the folder of the development pairs"} lines=${3:-700}
model=${MODEL:-model/pretrained} rate=${RATE:-0.25} out=${OUT:-runs/skip} lora_steps=${LORA_STEPS:-300}
read -ra policies <<<"${POLICIES:-sentence wait-k:3}"
[[ -n ${NO_BUILD:-} ]] || scripts/build.sh release dragoman-model >&2
program=${PROGRAM:-build/release/bin/dragoman-model}
mkdir -p "$out"
files=$(printf '"%s",' "$dev"/tatoeba.dev.en-??.tsv.xz)

stage() {  # name, recipe, base package, field=value...
  local name=$1 recipe=$2 base=$3
  shift 3
  [[ -f $out/$name/package/router.safetensors ]] && return
  local sets=()
  for field in "$@"; do sets+=(--set "$field"); done
  echo "$name" >&2
  "$program" train --config "model/recipes/$recipe.json" --init-from "$base" --output "$out/$name" --set "data=$data" \
    --set "dev_files=[${files%,}]" --set "router.rho_source=$rate" --set "router.rho_target=$rate" "${sets[@]}" \
    >>"$out/$name.log" 2>&1 || { tail -3 "$out/$name.log" >&2; exit 1; }
}

for method in bi static uniform; do
  stage "$method" router "$model" stage=prune router.prune_method=$method
done
stage router router "$model"
for name in router bi static; do
  stage "$name-lora" router-lora "$out/$name/package" "max_steps=$lora_steps"
done
stage layer-router router "$model" router.per_layer=true

bleu() {  # package, language, policy, flags...
  local package=$1 language=$2 policy=$3
  shift 3
  local json
  json=$out/$(basename "$(dirname "$package")")-$language-${policy//:/-}${1:+-${1#--}-${2:-}}.json
  [[ -s $json ]] || "$program" evaluate --model "$package" --pairs "$dev/tatoeba.dev.en-$language.tsv.xz" \
    --target "$language" --policy "$policy" --limit "$lines" --threads 1 --json "$@" >"$json.part" 2>>"$out/evaluate.log"
  [[ -s $json ]] || mv "$json.part" "$json"
  sed -n 's/^ *"bleu": *\([0-9.]*\),*$/\1/p' "$json" | head -1
}

echo "| target, policy | dense | random | bi | uniform | static | layer-router | router | bi + LoRA | static + LoRA | router + LoRA |"
echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
layers=$(sed -n 's/.*"num_hidden_layers": *\([0-9]*\).*/\1/p' "$model/config.json")
random=$(awk "BEGIN {print $rate * $layers / ($layers - ($layers <= 12))}")  # layer 0 of small models is exempt
for language in de fr es; do
  for policy in "${policies[@]}"; do
    printf '| %s, %s | %.1f | %.1f' "$language" "$policy" "$(bleu "$model" $language "$policy")" \
      "$(bleu "$model" $language "$policy" --random-skip "$random")"
    for name in bi uniform static layer-router router bi-lora static-lora router-lora; do
      printf ' | %.1f' "$(bleu "$out/$name/package" $language "$policy" --theta 1)"
    done
    echo ' |'
  done
done
