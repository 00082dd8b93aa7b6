"""A fraud-like table in Python: few loans go bad, and the synthetic ones must say as much.

python examples/fraud_like.py [FOLDER]
"""

import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd

import privsynth


def main(folder: Path) -> None:
    """Fit, sample, condition, save, load and evaluate; files go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    loans = pd.read_csv(str(files("privsynth") / "data" / "lending_club.csv.gz"))
    holdout = loans.sample(frac=0.25, random_state=0)
    train = loans.drop(holdout.index)

    model = privsynth.fit(train, target="Class", seed=7)
    rows = model.sample(len(train), seed=1)
    print(f"bad loans: {(train['Class'] == 'bad').mean():.1%} of the real, ", end="")
    print(f"{(rows['Class'] == 'bad').mean():.1%} of the synthetic")

    bad = model.sample(500, seed=2, where={"Class": "bad"})
    print(f"asked for 500 bad loans, got {(bad['Class'] == 'bad').sum()}")

    model.save(folder / "loans.psyn")
    again = privsynth.load(folder / "loans.psyn").sample(len(train), seed=1)
    print(f"the loaded model draws the same rows: {again.equals(rows)}")

    report = privsynth.evaluate(rows, train=train, holdout=holdout, target="Class")
    for score in report.scores:
        if score.value is not None:
            print(f"{score.family:<10} {score.name:<32} {score.value:.3f}")
    report.to_html(folder / "report.html")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "fraud-output"))
