#!/usr/bin/env bash
# A health-like table at the command line: bash examples/health_like.sh [FOLDER]
set -euo pipefail
data=$(python -c 'from importlib.resources import files; print(files("privsynth") / "data")')
mkdir -p "${1:-health-output}"
cd "${1:-health-output}"

# The column ct_result gives the result away: leave it out. Parquet keeps the columns' types.
python - "$data/covid_testing.csv.gz" <<'PYTHON'
import sys
import pandas
pandas.read_csv(sys.argv[1]).drop(columns="ct_result").to_parquet("tests.parquet", index=False)
PYTHON

# The schema flags the ids and the names: their values are invented, never copied.
privsynth schema tests.parquet --target result -o schema.yaml
grep -B 4 -A 8 -E 'kind: (id|personal)' schema.yaml

privsynth fit tests.parquet -o tests.psyn --engine sdv-gaussian-copula --target result \
    --schema schema.yaml --holdout 0.25 --holdout-output holdout.parquet --seed 7
privsynth inspect tests.psyn

privsynth sample tests.psyn -n 10000 -o synthetic.parquet --seed 1
privsynth sample tests.psyn -n 500 -o positive.csv --where result=positive --seed 2

privsynth evaluate synthetic.parquet --train tests.parquet --holdout holdout.parquet --target result \
    --model tests.psyn -o report.html --json report.json
