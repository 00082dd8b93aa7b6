"""How often the artefact scan errs: on models that leak nothing, and on planted leaks.

    python -m benchmarks.scans [--tables NAME ...] [--engines NAME ...] [--seeds N] [--rows N]

Each table is split, a model is fitted to three quarters, and the scan is given what `evaluate` is
given: the whole table as training rows, the last quarter as the holdout, the model and a report of
its scores. Then leaks are planted in the model, one at a time: the greatest value of a column in
the codec and in an array, a level of few rows, a text of few rows. The tables are those of
`benchmarks.tables` that are there, those that come with privsynth, and four of scikit-learn, whose
columns of fractions are what an array of shares may hold by chance.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load as unpack
from safetensors.numpy import save as pack

import privsynth
from benchmarks.tables import TABLES, MissingTableError, load
from privsynth.artefact import FittedModel, packed
from privsynth.evaluation.attacks.scan import scan
from privsynth.evaluation.evaluators import evaluate_tables
from privsynth.evaluation.frames import canonical
from privsynth.evaluation.score import Score
from privsynth.evaluation.tables import Tables
from privsynth.table import read, to_frame

__all__ = ["Case", "case", "main", "planted", "scanned", "tables"]

SHIPPED = Path(privsynth.__file__).parent / "data"
SMALL = {"breast_cancer": "target", "diabetes": None, "iris": "target", "wine": "target"}
ENGINES = ("cart", "copula")
K = 10


@dataclass(frozen=True, eq=False)
class Case:
    """A model, and the tables that it is scanned beside.

    Parameters
    ----------
    model : FittedModel
    tables : Tables
        Cleaned, as `evaluate` does it.
    report : str
    """

    model: FittedModel
    tables: Tables
    report: str


def main(arguments: list[str] | None = None) -> int:
    """Count findings where there is nothing, and planted leaks that are found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=20_000)
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    print("| table | engine | seed | findings | leaks found | planted |")
    print("|---|---|---|---|---|---|")
    total = np.zeros(3, dtype=int)
    for name, frame, target in tables(given.tables, given.rows):
        for engine in given.engines:
            for seed in range(given.seeds):
                made = case(frame, target, engine, seed)
                clean = scanned(made, packed(made.model))
                leaks = [scanned(made, leak).value > clean.value for _, leak in planted(made)]
                row = int(clean.value), sum(leaks), len(leaks)
                total += row
                print(
                    f"| {name} | {engine} | {seed} | {row[0]} | {row[1]} | {row[2]} |", flush=True
                )
                if clean.value:
                    print(f"  {clean.meaning}", file=sys.stderr)
    print(f"| all | | | {total[0]} | {total[1]} | {total[2]} |")
    return int(total[0] > 0 or total[1] < total[2])


def tables(names: list[str] | None, rows: int) -> Iterator[tuple[str, pd.DataFrame, str | None]]:
    """Yield each table, cut to a number of rows, with its target."""
    for name, target in SMALL.items():
        if names is None or name in names:
            from sklearn import datasets

            yield name, getattr(datasets, f"load_{name}")(as_frame=True).frame, target
    for file in sorted(SHIPPED.glob("*.csv.gz")):
        name = file.name.removesuffix(".csv.gz")
        if names is None or name in names:
            yield name, pd.read_csv(file).head(rows), None
    for name, spec in TABLES.items():
        if names is None or name in names:
            try:
                yield name, load(name, rows).to_pandas(), spec.target
            except MissingTableError as error:
                print(error, file=sys.stderr)


def case(frame: pd.DataFrame, target: str | None, engine: str, seed: int) -> Case:
    """Fit a model to three quarters of a table, and score a little of what it draws."""
    whole = to_frame(read(frame).to_arrow(), "pandas")
    aside = np.random.default_rng(seed).random(len(whole)) < 0.25
    train, holdout = (whole[part].reset_index(drop=True) for part in (~aside, aside))
    model = privsynth.fit(train, engine=engine, target=target, seed=seed)
    drawn = model.sample(len(train), seed=seed)
    cleaned = Tables.of(whole, holdout, drawn, model.schema)
    assert len(cleaned.train) == len(train)
    scores = evaluate_tables(cleaned, model.schema, seed=seed, attacks=False)
    return Case(model, cleaned, scores.to_json())


def scanned(made: Case, artefact: bytes) -> Score:
    """Scan a model file as `evaluate` does."""
    schema = made.model.schema
    (score,) = scan(
        made.tables.train, made.tables.holdout, schema, artefact, {"report": made.report}
    )
    return score


def planted(made: Case) -> Iterator[tuple[str, bytes]]:
    """Yield the model with a leak in it, once for each kind that the table has a value for."""
    archive = _members(packed(made.model))
    schema, train = made.model.schema, made.tables.train
    codec = json.loads(archive["codec.json"])
    for j, column in enumerate(schema):
        if not column.kind.continuous:
            continue
        values = canonical(train, [column])[column.name].dropna()
        most = float(values.max()) if len(values) else 0.0
        if (values == most).sum() < K and len(f"{most:.15g}".strip("0").replace(".", "")) >= 6:
            told = json.loads(archive["codec.json"])
            told["codings"][j]["planted"] = [0.5, most]
            yield "extreme", _archive({**archive, "codec.json": json.dumps(told).encode()})
            arrays = unpack(archive["params.safetensors"])
            edges = np.append(np.linspace(most / 4, most, 255, endpoint=False), most)
            arrays["planted"] = edges
            yield "array", _archive({**archive, "params.safetensors": pack(arrays)})
            break
    for j, column in enumerate(schema):
        entry = codec["codings"][j]
        if not entry.get("levels") or column.kind.continuous:
            continue
        counts = train[column.name].astype(str).value_counts()
        rare = counts.index[(counts < K) & (counts > 0)].tolist()
        if rare and all(isinstance(level, str) for level in entry["levels"]):
            told = json.loads(archive["codec.json"])
            told["codings"][j]["levels"] = [*entry["levels"], rare[0]]
            yield "level", _archive({**archive, "codec.json": json.dumps(told).encode()})
            break
    for column in schema:
        if not (column.kind.surrogate and train[column.name].dtype == object):
            continue
        ours = set(train[column.name].dropna()) - set(_holdout(made, column.name))
        long = sorted(text for text in ours if len(str(text)) >= 8)
        if long:
            told = {**json.loads(archive["model.json"]), "planted": [long[0]]}
            yield "text", _archive({**archive, "model.json": json.dumps(told).encode()})
            break


def _holdout(made: Case, name: str) -> list[Any]:
    return [] if made.tables.holdout is None else made.tables.holdout[name].dropna().tolist()


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
