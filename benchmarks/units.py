"""How far a person's many rows give that person away: ``python -m benchmarks.units``.

Half of the persons of a table are learnt, with k of rows and with k of persons; an attack of its
own then tells them from the other half. It compares how near the synthetic rows come to a person's
rows with how near rows of yet other persons come, averaged over the person's rows. Prints a
Markdown table: AUC of all persons, of those with five rows and more, and the true positive rate at
1% false positives, pooled over the splits. Before that, persons with 42 rows are planted, and it
prints how often their values come out together with and without them. Real tables are read from
``PRIVSYNTH_BENCH_DATA``.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import privsynth

MANY = 5
NEIGHBOURS = 10
SMOOTHING = 0.02
"""Added to distances, so that a copy does not decide by itself."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Persons:
    """A table whose rows are of persons."""

    name: str
    frame: pd.DataFrame
    unit: str
    target: str | None


def visits(persons: int, seed: int) -> Persons:
    """Make visits of persons: birth date, postcode and sex are constant, costs follow a risk."""
    rng = np.random.default_rng(seed)
    rows = rng.geometric(1 / 3.2, persons).clip(1, 12)
    who = np.repeat(np.arange(persons), rows)
    risk = rng.normal(size=persons)[who]
    born = rng.integers(0, 25_000, persons)[who]
    main = rng.choice(25, persons, p=np.r_[np.full(20, 0.048), np.full(5, 0.008)])[who]
    code = np.where(rng.random(len(who)) < 0.7, main, rng.choice(20, len(who)))
    frame = pd.DataFrame(
        {
            "patient": [f"P{i:06d}" for i in who],
            "born": pd.Timestamp("1940-01-01") + pd.to_timedelta(born, "D"),
            "postcode": [f"{10_000 + 37 * i}" for i in rng.integers(0, 60, persons)[who]],
            "sex": rng.choice(["f", "m"], persons)[who],
            "diagnosis": [f"D{i:02d}" for i in code],
            "cost": np.exp(4 + 0.5 * risk + 0.6 * rng.normal(size=len(who))).round(2),
            "days": rng.poisson(np.exp(0.6 + 0.4 * risk)),
            "outcome": np.where(rng.random(len(who)) < 0.04 * np.exp(0.8 * risk), "bad", "good"),
        }
    )
    return Persons(f"visits ({persons:,} persons, made up)", frame, "patient", "outcome")


def real() -> Iterator[Persons]:
    """Yield the real tables of persons that are there."""
    folder = os.environ.get("PRIVSYNTH_BENCH_DATA")
    for name, unit in (("wage_panel", "nr"), ("cdnow", "customer_id")):
        path = Path(folder or "", f"{name}.parquet")
        if folder is None or not path.exists():
            print(f"{name}: not there; set PRIVSYNTH_BENCH_DATA to the folder of the real tables")
            continue
        frame = pd.read_parquet(path)
        if "date" in frame:
            frame["date"] = pd.to_datetime(frame["date"])
        yield Persons(name, frame, unit, None)


def placed(frame: pd.DataFrame, reference: pd.DataFrame) -> Floats:
    """Return rows as points: ranks of numbers and dates, and one column a category."""
    parts = []
    for name in reference.columns:
        values, known = frame[name], reference[name]
        if pd.api.types.is_datetime64_any_dtype(known):
            values, known = values.astype("int64"), known.astype("int64")
        if pd.api.types.is_numeric_dtype(known) and known.nunique() > 2:
            ordered = np.sort(known.dropna().to_numpy(float))
            rank = np.searchsorted(ordered, values.fillna(ordered[0]).to_numpy(float))
            parts.append((rank / len(ordered))[:, None])
        else:
            levels = sorted(set(known.dropna().astype(str)))
            codes = pd.Categorical(values.astype(str), categories=levels)
            parts.append(pd.get_dummies(codes).to_numpy(float) / np.sqrt(2))
    return np.hstack(parts)


def nearest(points: Floats, others: Floats) -> Floats:
    """Return the mean distance to the nearest of the others."""
    found = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(others).kneighbors(points)[0]
    return np.asarray(found.mean(axis=1))


def attacked(
    table: Persons, unit: str | None, engine: str, seed: int
) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return each person's score, whether the person was learnt, and the person's rows.

    A third of the persons are learnt, a third are others, and a third are known to the attacker.
    """
    rng = np.random.default_rng([seed, 5])
    persons = table.frame[table.unit].drop_duplicates().to_numpy()
    part = pd.Series(rng.permutation(np.arange(len(persons)) % 3), persons)
    of_row = table.frame[table.unit].map(part).to_numpy()
    train = table.frame[of_row == 0].reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", privsynth.PrivsynthWarning)
        model = privsynth.fit(
            train, target=table.target, engine=engine, unit=unit or "row", seed=seed
        )
    synthetic = model.sample(4 * len(train), seed=seed)
    judged = table.frame[of_row != 2]
    columns = [name for name in table.frame.columns if name != table.unit]
    reference = table.frame[columns]
    points = placed(judged[columns], reference)
    near = nearest(points, placed(synthetic[columns], reference))
    known = nearest(points, placed(table.frame[of_row == 2][columns], reference))
    score = np.log((known + SMOOTHING) / (near + SMOOTHING))
    by_person = pd.Series(score).groupby(judged[table.unit].to_numpy()).agg(["mean", "size"])
    scores = (by_person["mean"] * np.sqrt(by_person["size"])).to_numpy()
    scores = (scores - scores.mean()) / scores.std()
    return scores, part[by_person.index].to_numpy() == 0, by_person["size"].to_numpy()


def line(table: Persons, unit: str | None, engine: str, splits: int) -> str:
    """Return a line of the table: the figures pooled over the splits."""
    parts = [attacked(table, unit, engine, seed) for seed in range(splits)]
    scores, members, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    many = rows >= MANY
    tpr = (scores[members] > np.quantile(scores[~members], 0.99)).mean()
    of_many = roc_auc_score(members[many], scores[many]) if many.sum() > 100 else np.nan
    return (
        f"| {table.name} | {engine} | {'rows' if unit is None else 'persons'} "
        f"| {members.sum():,} | {roc_auc_score(members, scores):.3f} | {of_many:.3f} | {tpr:.3f} |"
    )


ROWS_PLANTED = 42
CASES: dict[str, tuple[dict[str, str], ...]] = {
    "a diagnosis and a postcode alone": ({"postcode": "01234", "diagnosis": "Z99"},),
    "rare by combination": ({"postcode": "10037", "diagnosis": "D24", "outcome": "bad"},),
    "many rows of common values": ({"postcode": "10000", "diagnosis": "D00", "outcome": "good"},),
    "two of one household": (
        {"postcode": "04321", "diagnosis": "Y98"},
        {"postcode": "04321", "diagnosis": "Y98"},
    ),
}
"""What the persons who are planted have in all of their rows."""


def planted(case: str, base: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the persons of a case; all else is drawn from other rows."""
    rng = np.random.default_rng(7)
    parts = []
    for i, values in enumerate(CASES[case]):
        rows = base.iloc[rng.integers(len(base), size=ROWS_PLANTED)]
        one = rows.assign(patient=f"P99999{i}", born=pd.Timestamp("1931-02-03"), sex="f", **values)
        parts.append(one)
    return pd.concat(parts, ignore_index=True)


def pairs(rows: pd.DataFrame, values: dict[str, str]) -> int:
    """Return how many rows have every value of a planted person."""
    return int(np.all([rows[name] == value for name, value in values.items()], axis=0).sum())


def planted_line(case: str, unit: str | None, refits: int) -> str:
    """Return how often a case's values come out together, with and without its persons."""
    values, found = CASES[case][0], {"with": 0, "without": 0}
    for seed in range(refits):
        base = visits(1_500, seed).frame
        for which, frame in (
            ("without", base),
            ("with", pd.concat([base, planted(case, base)], ignore_index=True)),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", privsynth.PrivsynthWarning)
                model = privsynth.fit(frame, target="outcome", unit=unit or "row", seed=seed)
            found[which] += pairs(model.sample(len(base), seed=seed), values)
    counted = "rows" if unit is None else "persons"
    return f"| {case} | {counted} | {found['without']} | {found['with']} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=6_000)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--engine", nargs="+", default=["cart", "copula"])
    parser.add_argument("--refits", type=int, default=20)
    given = parser.parse_args()
    print("| planted | k counts | rows with its values, without it | with it |")
    print("|---|---|---|---|")
    for case in CASES:
        for unit in (None, "patient"):
            print(planted_line(case, unit, given.refits), flush=True)
    print()
    print("| table | engine | k counts | members | AUC | AUC, 5 rows and more | TPR at 1% FPR |")
    print("|---|---|---|---|---|---|---|")
    for table in (visits(given.persons, 0), *real()):
        for engine in given.engine:
            for unit in (None, table.unit):
                print(line(table, unit, engine, given.splits), flush=True)


if __name__ == "__main__":
    main()
