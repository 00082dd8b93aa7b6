#!/usr/bin/env bash
# A release with a formal guarantee: bash examples/private_release.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$(python -c 'from importlib.resources import files; print(files("privsynth") / "data")')
mkdir -p "${1:-private-output}"
cd "${1:-private-output}"
cp "$data/adult_sample.csv.gz" adult.csv.gz

# One fit at epsilon 2. The owner's ledger is opened with it as the total, and refuses any more.
privsynth fit adult.csv.gz -o adult.psyn --schema "$here/adult_declared.yaml" --epsilon 2 \
    --ledger adult.ledger --new-ledger --holdout 0.25 --holdout-output holdout.csv
privsynth inspect adult.psyn

# More rows, rows of a kind, and another engine on the same noisy counts: all at no cost.
privsynth sample adult.psyn -n 6000 -o synthetic.csv --seed 1
privsynth sample adult.psyn -n 300 -o rich.csv --where 'income=>50K' --where education=Masters --seed 2
privsynth fit adult.psyn -o tree.psyn --engine mst

# A bundle of two folders: release/public is for others and keeps the guarantee; the figures and verdicts
# in release/restricted were read off real rows, and so was the decision to release.
privsynth release adult.psyn -n 6000 -o release --train adult.csv.gz --holdout holdout.csv \
    --policy internal --seed 1
privsynth verify release
privsynth verify release/public
