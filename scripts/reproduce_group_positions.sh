#!/usr/bin/env bash
# Group positions against the modes that they are compared with, in small, on Multi30k (docs/group_positions.md):
#   scripts/reproduce_group_positions.sh DATA_DIR OUT_DIR [--device cuda] [--parallel N] [--languages de,fr]
#                                        [--seeds 1,2] [--k 1,3,5,7] [--ablation-k 3] [--prepare-only] [--bases-only] [--smoke]
# What is done already is skipped. STEPS_BASE, STEPS_MODE, LIMIT: other lengths; SET_BASE, SET_MODE: "field=value ..." for the
# recipes; BIN: another dragoman-model.
set -euo pipefail
cd "$(dirname "$0")/.."
export data=${1:?"give the folder of the data"} out=${2:?"give the folder of the results"} device=cpu
export STEPS_BASE=${STEPS_BASE:-0} STEPS_MODE=${STEPS_MODE:-0} LIMIT=${LIMIT:-0}
export BIN=${BIN:-build/release/bin/dragoman-model}
shift 2
parallel=1 languages=de,fr seeds=1,2 ks=1,3,5,7 ablation=3
while (($# > 0)); do
  case $1 in
    --device) device=$2; shift ;;
    --parallel) parallel=$2; shift ;;
    --languages) languages=$2; shift ;;
    --seeds) seeds=$2; shift ;;
    --k) ks=$2; shift ;;
    --ablation-k) ablation=$2; shift ;;
    --prepare-only) prepare_only=1 ;;
    --bases-only) bases_only=1 ;;
    --smoke) STEPS_BASE=4 STEPS_MODE=2 LIMIT=8 ;;
    *) echo "unknown: $1" >&2; exit 2 ;;
  esac
  shift
done
[[ -x $BIN ]] || scripts/build.sh release dragoman-model >&2
mkdir -p "$out/json" "$out/log"

decode() {  # name "inference:k:system ..."
  local flags=() one inference k system json
  for one in $2; do
    IFS=: read -r inference k system <<<"$one"
    json=$out/json/$1-$inference-$k.json
    [[ -e $json ]] || flags+=(--inference "$inference" --k "$k" --system "$system" --json "$json")
  done
  ((${#flags[@]} == 0)) || "$BIN" reproduce --run "$out/$1" --pairs "$data/test/multi30k.test2016.en-$language.tsv.xz" \
    --target "$language" --seed "$seed" --positions "$positions" --limit "$LIMIT" --device "$device" "${flags[@]}"
}
job() {  # "recipe steps language seed run system positions|inference:k ...|field=value ..."
  local recipe steps language seed run system positions decodes settings one all="" flags=() name begin=$SECONDS
  IFS='|' read -r one decodes settings <<<"$1"
  read -r recipe steps language seed run system positions <<<"$one"
  name=$language-$seed-$run
  for one in "data=$out/data-$language" "seed=$seed" $settings; do flags+=(--set "$one"); done
  ((steps == 0)) || flags+=(--max-steps "$steps")
  for one in $decodes; do all+="$one:$system "; done
  # Any model may read the whole source first, too.
  [[ $positions != all || $decodes == batch:full ]] || all+="batch:full:$run"
  if { [[ -e $out/$name/package/dragoman.json ]] || "$BIN" train --config "model/recipes/group-positions/$recipe.json" \
      --output "$out/$name" --device "$device" "${flags[@]}"; } && decode "$name" "$all"; then
    echo "$name: done, $((SECONDS - begin)) s" >&3
  else echo "$name: FAILED, see $out/log/$name" >&3; fi >>"$out/log/$name" 2>&1
}
export -f decode job
run_jobs() { xargs -r -d '\n' -P "$parallel" -I{} bash -c 'job "$1"' job {} 3>&1; }
modes() {  # language seed
  local mode="mode $STEPS_MODE $1 $2" from="${SET_MODE:-} init_from=$out/$1-$2-base/package" one k wait
  for k in ${ks//,/ }; do
    wait="$from schedule.min_k=$k schedule.max_k=$k"
    echo "$mode group-k$k group all|group:$k|$wait"
    echo "$mode batch_streaming-k$k batch_streaming all|bs_reuse:$k bs_src:$k bs_pos:$k bs_full:$k|$wait mode=batch_streaming"
    for one in arrival interleaved interleaved_source; do echo "$mode $one-k$k $one all|$one:$k|$wait mode=$one"; done
  done
  wait="$from schedule.min_k=$ablation schedule.max_k=$ablation"
  for one in 128 256; do echo "$mode group-phi$one group-phi$one all|group:$ablation|$wait phi=$one"; done
  for one in no_source no_target none; do echo "$mode group-$one group-$one $one|group:$ablation|$wait positions=$one"; done
  echo "$mode group-full group all|group:full|$from schedule.full=1 schedule.wait_k=0"
  echo "$mode batch-full batch all|batch:full|$from mode=batch"
}

for l in ${languages//,/ }; do
  [[ -e $out/data-$l/manifest.json ]] || "$BIN" prepare --input "$data/train/captions-nc.en-$l.tsv.xz" --languages "$l" \
    --output "$out/data-$l" --vocab-size 6000 --exclude "$data/test/multi30k.test2016.en-$l.tsv.xz" \
    --exclude "$data/dev/multi30k.val.en-$l.tsv.xz" >"$out/log/data-$l" 2>&1
done
[[ -z ${prepare_only:-} ]] || exit 0
for s in ${seeds//,/ }; do for l in ${languages//,/ }; do echo "base $STEPS_BASE $l $s base base all||${SET_BASE:-}"; done; done | run_jobs
[[ -z ${bases_only:-} ]] || exit 0
for s in ${seeds//,/ }; do for l in ${languages//,/ }; do modes "$l" "$s"; done; done | run_jobs
"$BIN" reproduce-table "$out"/json/*.json --output "$out/table.md"
echo "$out/table.md"
