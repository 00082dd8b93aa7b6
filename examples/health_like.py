"""A health-like table in Python: ids, names, gaps, and a schema that a person reviews.

python examples/health_like.py [FOLDER]
"""

import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd

import privsynth


def main(folder: Path) -> None:
    """Propose a schema, fit by it, sample, and look at what was kept; files go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tests = pd.read_csv(str(files("privsynth") / "data" / "covid_testing.csv.gz"))
    tests = tests.drop(columns="ct_result")  # it gives the result away

    schema = privsynth.propose_schema(tests, target="result")
    for column in schema:
        if column.kind in ("id", "personal", "text"):
            print(f"{column.name}: {column.kind}, to be invented ({column.why})")
    schema.to_yaml(folder / "schema.yaml")  # here a person reads it and changes what is wrong

    model = privsynth.fit(tests, schema=folder / "schema.yaml", seed=7)
    model.save(folder / "tests.psyn")
    print(model.ledger.guarantee())

    rows = model.sample(len(tests), seed=1)
    gaps = pd.DataFrame({"real": tests.isna().mean(), "synthetic": rows.isna().mean()})
    print("share of missing values", gaps[gaps["real"] > 0].round(3), sep="\n")
    shares = pd.DataFrame({"real": tests["result"], "synthetic": rows["result"]})
    print("results", shares.apply(pd.Series.value_counts, normalize=True).round(3), sep="\n")

    positive = model.sample(300, seed=2, where={"result": "positive"})
    positive.to_csv(folder / "positive.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "health-output"))
