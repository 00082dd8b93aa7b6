"""Small artefacts of every engine, fitted to a toy table that has a column of each kind."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import privsynth
from privsynth.artefact import FittedModel, packed
from privsynth.privacy.budget import Budget
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema

__all__ = ["NAMES", "artefact", "toy"]

NETWORK: Mapping[str, Any] = {"epochs": 1, "batch_size": 20, "embedding_dim": 4}
GAN: Mapping[str, Any] = {
    **NETWORK,
    "pac": 2,
    "generator_dim": (4,),
    "discriminator_dim": (4,),
}
VAE: Mapping[str, Any] = {**NETWORK, "compress_dims": (4,), "decompress_dims": (4,)}
CELLS = 200

FITS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "cart": ("cart", {}, {}),
    "cart-number": ("cart", {}, {"target": "price"}),
    "copula": ("copula", {}, {}),
    "sdv-gaussian-copula": ("sdv-gaussian-copula", {}, {}),
    "sdv-ctgan": ("sdv-ctgan", GAN, {}),
    "sdv-tvae": ("sdv-tvae", VAE, {}),
    "sdv-copula-gan": ("sdv-copula-gan", GAN, {"target": None}),
    "marginals": ("marginals", {"most_cells": CELLS}, {"budget": Budget(3.0, unit="row")}),
    "marginals-minority": (
        "marginals",
        {"most_cells": CELLS},
        {"budget": Budget(3.0, unit="town", rows_per_unit=4), "minority": True},
    ),
    "mst": ("mst", {}, {"budget": Budget(3.0, unit="row")}),
    "aim": ("aim", {"most_cells": CELLS}, {"budget": Budget(3.0, unit="row")}),
    "independent": ("independent", {}, {"budget": Budget(3.0, unit="row")}),
    "copula-private": ("copula", {}, {"budget": Budget(3.0, unit="row")}),
    "smote": ("smote", {}, {"minority": True}),
    "smotenc": ("smotenc", {}, {"minority": True}),
    "borderline-smote": ("borderline-smote", {}, {"minority": True}),
    "adasyn": ("adasyn", {}, {"minority": True}),
    "random": ("random", {}, {"minority": True}),
}
"""Name -> engine, its settings, and what else `privsynth.fit` is given."""

NAMES = tuple(FITS)


def toy(n: int = 120) -> pd.DataFrame:
    """A column of each kind, some with gaps; `town` decides on `county`."""
    rng = np.random.default_rng(0)
    town = rng.choice(["Ayr", "Bath", "Cork"], n)
    day = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 60, n),
            "price": rng.gamma(2, 50, n).round(2),
            "member": rng.random(n) < 0.5,
            "town": town,
            "county": pd.Series(town).map({"Ayr": "S", "Bath": "E", "Cork": "I"}),
            "size": rng.choice(["S", "M", "L"], n),
            "seen": [day + datetime.timedelta(hours=int(h)) for h in rng.integers(0, 2000, n)],
            "key": [f"K{i:05d}" for i in range(n)],
            "mail": [f"u{i}@example.com" for i in range(n)],
            "note": ["some words of free text, all of them different " + str(i) for i in range(n)],
            "never": pd.Series([None] * n, dtype="object"),
            "bad": rng.choice(["no", "yes"], n, p=[0.7, 0.3]),
        }
    )
    frame["age"] = frame["age"].astype("Int64").mask(rng.random(n) < 0.2)
    frame.loc[rng.random(n) < 0.2, "size"] = None
    return frame


def schema(*, declared: bool) -> Schema:
    """What is declared of the toy table: all of it under a budget."""
    source = Source.DECLARED
    towns, counties = ("Ayr", "Bath", "Cork"), ("S", "E", "I")
    size = Column("size", Kind.ORDINAL, "string", Levels(("S", "M", "L")), source, nullable=True)
    town = Column("town", Kind.CATEGORICAL, "string", Levels(towns), source)
    county = Column(
        "county",
        Kind.CATEGORICAL,
        "string",
        determined_by="town",
        mapping=tuple(zip(towns, counties, strict=True)),
    )
    surrogates = (
        Column("key", Kind.ID, "string", unique=True, personal="A99999"),
        Column("mail", Kind.PERSONAL, "string", personal="email"),
        Column("note", Kind.TEXT, "string"),
    )
    if not declared:
        return Schema((town, county, size, *surrogates))
    bad = Levels(("no", "yes"))
    seen = Bounds("2024-01-01", "2024-04-01")
    return Schema(
        (
            Column("age", Kind.INTEGER, "int64", Bounds(18, 60), source, nullable=True),
            Column("price", Kind.NUMERIC, "double", Bounds(0.0, 500.0), source, decimals=2),
            Column("member", Kind.BOOLEAN, "bool", source=source),
            town,
            county,
            size,
            Column("seen", Kind.DATETIME, "timestamp[us, tz=UTC]", seen, source),
            *surrogates,
            Column("never", Kind.CATEGORICAL, "string", Levels(("x",)), source, nullable=True),
            Column("bad", Kind.CATEGORICAL, "string", bad, source, role=Role.TARGET),
        )
    )


@cache
def fitted(name: str) -> FittedModel:
    """Fit the model of that name."""
    engine, settings, more = FITS[name]
    frame = toy()
    if engine in ("smote", "borderline-smote", "adasyn"):
        frame = frame[["price", "seen", "key", "bad"]]
        declared = None
    else:
        declared = schema(declared="budget" in more)
    if engine == "smotenc":
        frame = frame.drop(columns="age")  # it has gaps, which SMOTE-NC refuses in a number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = {"target": "bad", "k": 5, **more}
        if "budget" in more:
            del given["k"]
        return privsynth.fit(
            frame, engine=engine, settings=settings, schema=declared, seed=1, **given
        )


@cache
def artefact(name: str) -> bytes:
    """The file that `save` writes of that model."""
    return packed(fitted(name))


def write(folder: Path, names: tuple[str, ...] = NAMES) -> None:
    """Write the artefacts of those names to a folder."""
    for name in names:
        (folder / f"{name}.psyn").write_bytes(artefact(name))
