"""Sound tables of every storage type, drawn at random: whatever is fitted must open again."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa

from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema

__all__ = ["declared", "table"]

Rng = np.random.Generator
DAY = datetime.date(1990, 1, 1)


def table(rng: Rng) -> pa.Table:
    """A table of a few columns, many of them awkward: constant, sparse, heaped, wide, huge."""
    n = int(rng.integers(25, 120))
    columns = {f"c{i}": _column(rng, n) for i in range(int(rng.integers(1, 6)))}
    columns["aim"] = pa.array(np.array(["a", "b", "c"])[rng.integers(0, rng.integers(2, 4), n)])
    return pa.table(columns)


def _column(rng: Rng, n: int) -> pa.Array:
    values = _values(rng, n)
    gaps = rng.random(n) < rng.choice([0, 0, 0.1, 0.5, 0.97, 1])
    kept = [None if gap else value for gap, value in zip(gaps, values.to_pylist(), strict=True)]
    held = pa.array(kept, values.type)
    return held.dictionary_encode() if rng.random() < 0.1 else held


def _values(rng: Rng, n: int) -> pa.Array:
    spread = float(rng.choice([0.0, 1.0, 50.0, 1e6]))
    floats = rng.choice([rng.normal(0, 1, n), rng.gamma(0.5, 2, n), np.rint(rng.normal(0, 2, n))])
    floats = floats * spread + float(rng.choice([0.0, 1e3, -1e9]))
    whole = np.clip(np.rint(floats), -(2**62), 2**62).astype(np.int64)
    small = (whole % 100).astype(np.int64)
    unit = str(rng.choice(["s", "ms", "us", "ns"]))
    zone = rng.choice([None, "UTC", "Europe/Berlin", "+05:30"])
    moments = (small * 86_400 + rng.integers(0, 86_400, n)) * 1_000
    choices = (
        lambda: pa.array(floats),
        lambda: pa.array(floats.round(int(rng.integers(0, 4)))),
        lambda: pa.array(floats.astype(np.float32)),
        lambda: pa.array(whole),
        lambda: pa.array(small.astype(rng.choice(["int8", "int16", "uint8", "uint32", "uint64"]))),
        lambda: pa.array(small.astype(float)),
        lambda: pa.array(whole > 0),
        lambda: pa.array([Decimal(int(v)) / 100 for v in small], pa.decimal128(10, 2)),
        lambda: pa.array([DAY + datetime.timedelta(days=int(v)) for v in small * 30], pa.date32()),
        lambda: pa.array(moments, pa.timestamp("ms")).cast(pa.timestamp(unit, zone)),
        lambda: pa.array([f"level {v % 7}" for v in small.tolist()]),
        lambda: pa.array([f"{v % 9:02d}" for v in small.tolist()]),
        lambda: pa.array([str(v / 10) for v in small.tolist()]),
        lambda: pa.array([["low", "mid", "high"][v % 3] for v in small.tolist()]),
        lambda: pa.array([f"ID-{i:06d}" for i in range(n)]),
        lambda: pa.array([f"person{i}@example.org" for i in small.tolist()]),
        lambda: pa.array(["a longer text, of many words, number " + str(i) for i in range(n)]),
        lambda: pa.array(np.arange(n) + 1_000),
    )
    return choices[int(rng.integers(len(choices)))]()


def declared(given: pa.Table, rng: Rng) -> Schema:
    """Declare a table's columns: by its own values, and by bounds that are wider or narrower."""
    return Schema(tuple(_declared(name, given[name], rng) for name in given.column_names))


def _declared(name: str, column: pa.ChunkedArray, rng: Rng) -> Column:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    plain = column.cast(kind)
    values = sorted(set(plain.drop_null().to_pylist()))
    source = Source.DECLARED
    if name == "aim":
        levels = Levels(("a", "b", "c"))
        return Column(name, Kind.CATEGORICAL, "string", levels, source, role=Role.TARGET)
    if pa.types.is_string(kind):
        if len(values) > 15 or not values:
            return Column(name, Kind.TEXT, "string")
        what = Kind.ORDINAL if rng.random() < 0.5 else Kind.CATEGORICAL
        return Column(name, what, "string", Levels(tuple(values)), source)
    if pa.types.is_boolean(kind):
        return Column(name, Kind.BOOLEAN, "bool", source=source)
    if pa.types.is_temporal(kind):
        bounds = Bounds("1985-06-01", str(rng.choice(["1990-02-03", "2024-12-31"])))
        return Column(name, Kind.DATETIME, str(kind), bounds, source)
    low, high = sorted(float(end) for end in rng.choice([-10, 0, 3, 100, 1e4], 2, replace=False))
    if pa.types.is_integer(kind):
        low = max(low, 0.0) if pa.types.is_unsigned_integer(kind) else low
        return Column(
            name,
            Kind.INTEGER,
            str(kind),
            Bounds(int(low), max(int(low), min(int(high), 100))),
            source,
        )
    decimals = None if rng.random() < 0.5 else int(rng.integers(0, 4))
    return Column(name, Kind.NUMERIC, str(kind), Bounds(low, high), source, decimals=decimals)
