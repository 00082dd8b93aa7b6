#!/usr/bin/env bash
# A fraud-like table at the command line: bash examples/fraud_like.sh [FOLDER]
set -euo pipefail
data=$(python -c 'from importlib.resources import files; print(files("privsynth") / "data")')
mkdir -p "${1:-fraud-output}"
cd "${1:-fraud-output}"
cp "$data/lending_club.csv.gz" loans.csv.gz

# What is in the table, and what would be done with each column: review it, change it.
privsynth schema loans.csv.gz --target Class -o schema.yaml

# A quarter of the rows is set aside before anything is learnt; the rest is fitted.
privsynth fit loans.csv.gz -o loans.psyn --engine sdv-gaussian-copula --target Class \
    --schema schema.yaml --holdout 0.25 --holdout-output holdout.csv --seed 7
privsynth inspect loans.psyn

# As many rows as you like; or rows of the rare class alone.
privsynth sample loans.psyn -n 7000 -o synthetic.csv --seed 1
privsynth sample loans.psyn -n 500 -o bad.csv --where Class=bad --seed 2

# How faithful and how useful they are, judged on the rows set aside.
privsynth evaluate synthetic.csv --train loans.csv.gz --holdout holdout.csv --target Class \
    --model loans.psyn -o report.html --json report.json
