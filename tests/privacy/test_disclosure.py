"""DESIGN rule 3, generically: no distinct value of under k rows is spelt in what leaves.

Every value of a training column that fewer than k rows hold is looked for, in its own spelling, in
each member of the artefact, in the schema and, for text, in sampled rows. Numbers are compared as
whole tokens and need six significant digits, so that a match by chance is unlikely.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import privsynth
from privsynth.engines.registry import ENGINES
from privsynth.pipeline import propose_schema
from privsynth.table import read

K = 10
ROWS = 600
LEAST = 6
NUMBER = re.compile(r"-?\d[\d.]*(?:e[+-]?\d+)?")
SHIPPED = Path(privsynth.__file__).parent / "data"
TABLES = {
    "covid_testing.csv.gz": "result",
    "lending_club.csv.gz": "Class",
    "keel_kdd_attacks.csv.gz": "severity",
}
QUICK = ("cart", "copula", "sdv-gaussian-copula")
NETWORK = {"epochs": 1, "batch_size": 100, "embedding_dim": 16}


def engines() -> list[Any]:
    return [pytest.param(e, marks=[] if e in QUICK else pytest.mark.slow) for e in ENGINES]


def settings(engine: str) -> dict[str, Any]:
    return {} if engine in QUICK else dict(NETWORK)


def spellings(value: Any) -> set[str]:
    """Give how JSON or CSV would spell a value, where that is long enough to be told apart."""
    if isinstance(value, str):
        return {json.dumps(value, ensure_ascii=False)[1:-1]} if len(value) >= LEAST else set()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return set()
    digits = re.sub(r"e.*|\D", "", repr(value)).strip("0")
    return {repr(value)} if len(digits) >= LEAST else set()


def rare(table: Any) -> dict[str, set[str]]:
    """Give the spellings of each column's values of under k rows; moments also as ticks."""
    found: dict[str, set[str]] = {}
    for name in table.names:
        values, counts, _ = table.value_counts(name)
        few = values.filter(pa.array(counts < K))
        words = few.to_pylist()
        if pa.types.is_temporal(few.type):
            words = few.view(pa.int32() if few.type.bit_width == 32 else pa.int64()).to_pylist()
            words += [str(moment) for moment in few.cast(pa.string()).to_pylist()]
        found[name] = set().union(*map(spellings, words)) if words else set()
    return found


def members(model: Any, tmp_path: Path) -> dict[str, bytes]:
    model.save(tmp_path / "m.psyn")
    with zipfile.ZipFile(tmp_path / "m.psyn") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def held_by_few(table: Any, places: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Give place and column of every rare value that is found."""
    hits = []
    for place, data in places.items():
        text = data.decode("utf-8", "replace")
        numbers = set(NUMBER.findall(text))
        for name, words in rare(table).items():
            for word in words:
                whole = word in numbers if NUMBER.fullmatch(word) else bounded(word, text)
                hits += [(place, name)] if whole else []
    return hits


def bounded(word: str, text: str) -> bool:
    """Whether a text stands for itself, not as a part of a longer level."""
    return word in text and bool(re.search(rf"(?<![\w ]){re.escape(word)}(?![\w ])", text))


def arrays_hold(data: bytes, numbers: np.ndarray) -> bool:
    return any(
        number.astype(kind).tobytes() in data
        for number in numbers
        for kind in (np.float64, np.float32, np.int64)
    )


def frame(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame({"group": rng.choice(["left", "right", "middle"], ROWS), **columns})


def some(values: np.ndarray, rows: int) -> np.ndarray:
    """Give a column that holds the values in its first rows, and is else empty."""
    return np.append(values, np.full(rows - len(values), np.nan))


def numeric_shapes() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(4)
    bulk = rng.normal(0, 1e5, ROWS) / 7
    far = bulk.copy()
    far[5:8] = [8765432.125, 8765433.375, 8765434.625]
    between = np.where(np.arange(ROWS) % 2, bulk, bulk + 1e8)
    between[5:8] = [40765432.125, 40765433.375, 40765434.625]
    zeros = np.zeros(ROWS)
    zeros[:22] = bulk[:22]
    few = np.zeros(ROWS)
    few[: K - 1] = bulk[: K - 1]
    start = pd.Timestamp("2021-03-04 05:06:07", tz="UTC")
    moments = start + pd.to_timedelta(rng.permutation(900_000)[:ROWS] * 37, "s")
    return {
        "bulk": frame(x=bulk),
        "heavy tails": frame(x=rng.standard_cauchy(ROWS) * 1e4),
        "heavier tails": frame(x=rng.pareto(0.3, ROWS)),
        "three far away": frame(x=far),
        "three between": frame(x=between),
        "mostly zero": frame(x=zeros),
        "under k are not zero": frame(x=few),
        "under k are there": frame(x=some(bulk[: K - 1], ROWS)),
        "2k are there": frame(x=some(bulk[: 2 * K], ROWS)),
        "2k rows": frame(x=bulk).iloc[: 2 * K],
        "sparse integers": frame(x=rng.integers(10**12, 10**15, ROWS)),
        "negative": frame(x=-rng.integers(10**12, 10**15, ROWS)),
        "single precision": frame(x=bulk.astype(np.float32)),
        "moments": frame(x=moments.tz_localize(None)),
        "zoned moments": frame(x=moments.tz_convert("America/New_York")),
    }


SHAPES = numeric_shapes()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_number_of_few_rows_is_in_artefact_or_schema(shape: str, tmp_path: Path) -> None:
    table = read(SHAPES[shape])
    places = members(privsynth.fit(SHAPES[shape], seed=1), tmp_path)
    places["schema.yaml"] = propose_schema(SHAPES[shape]).to_yaml().encode()
    assert held_by_few(table, places) == []
    if SHAPES[shape]["x"].dtype.kind in "fi":
        values = SHAPES[shape]["x"].dropna().to_numpy()
        extremes = np.sort(values)[[*range(K - 1), *range(1 - K, 0)]]
        extremes = extremes[np.abs(extremes) > 1]
        assert not arrays_hold(places["params.safetensors"], extremes)


@pytest.mark.parametrize("target", ["real", "whole"])
def test_no_extreme_of_a_numeric_target_leaves(target: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    table = frame(
        real=rng.normal(0, 1e4, ROWS) / 7, whole=rng.integers(10**9, 10**11, ROWS), other=1.5
    )
    table.loc[3, target] = 987654321012
    model = privsynth.fit(table, target=target, seed=1)
    places = members(model, tmp_path)
    places["rows"] = model.sample(20_000, seed=2)[[target]].to_csv().encode()
    assert not [p for p, data in places.items() if b"987654321012" in data]
    assert model.sample(20_000, seed=3)[target].max() < 10**11


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("name", TABLES)
def test_no_value_of_few_rows_is_in_the_artefact(name: str, engine: str, tmp_path: Path) -> None:
    real = read(SHIPPED / name)
    spread = np.linspace(0, real.n_rows - 1, min(2_000, real.n_rows)).astype(np.int64)
    table = real.take(spread)
    model = privsynth.fit(
        table.to_arrow(), target=TABLES[name], engine=engine, seed=1, settings=settings(engine)
    )
    assert held_by_few(table, members(model, tmp_path)) == []


CANARY = "zebulonq"


def planted() -> pd.DataFrame:
    """Give a table with one canary in each column of a different sort."""
    rng = np.random.default_rng(9)
    table = frame(
        case_id=[f"K-{i:06d}" for i in range(ROWS)],
        account=[f"AC{i:07d}X" for i in range(ROWS)],
        shared_id=["SAME-77231"] * ROWS,
        first_name=rng.choice(["Ada", "Ben"], ROWS),
        doctor=rng.choice(["Dr. Adams", "Dr. Brown"], ROWS),
        note=rng.choice(["seen", "not seen"], ROWS),
        story=[f"patient came on day {i} and left after {i % 7} hours" for i in range(ROWS)],
        two=["the same words in every row"] * ROWS,
        letters=rng.choice(["é", "ü", "ß"], ROWS),
        coded=rng.choice([1011, 2022, 3033], ROWS),
        flag=np.zeros(ROWS, dtype=bool),
        day=pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 20, ROWS), "D"),
        size=pd.Categorical(rng.choice(["small", "large"], ROWS)),
        bad=rng.choice(["no", "yes"], ROWS, p=[0.8, 0.2]),
    )
    table["size"] = table["size"].cat.add_categories([f"{CANARY} unused", f"{CANARY} once"])
    canaries: dict[str, Any] = {
        "case_id": f"{CANARY.upper()}-000001",
        "account": f"{CANARY}@clinic-canary.de",
        "shared_id": f"{CANARY}-99",
        "first_name": CANARY.title(),
        "doctor": f"Dr. {CANARY}",
        "note": f"{CANARY}@clinic-canary.de",
        "story": f"{CANARY} came alone",
        "two": f"{CANARY} only here",
        "letters": f"ꙮ {CANARY}",
        "coded": 8675309123,
        "flag": True,
        "day": pd.Timestamp("2093-07-11"),
        "size": f"{CANARY} once",
    }
    for row, (column, value) in enumerate(canaries.items()):
        table.at[row, column] = value
    return table


def assert_no_canary(places: Mapping[str, bytes]) -> None:
    for place, data in places.items():
        for canary in (CANARY, "clinic-canary", "8675309123", "2093-07-11", "ꙮ", "\\ua66e"):
            assert canary.encode().lower() not in data.lower(), f"{canary} is in {place}"


@pytest.mark.parametrize("engine", engines())
def test_no_sort_of_canary_leaves(engine: str, tmp_path: Path) -> None:
    """Nor metadata of the file or its fields, unused categories, and the file's own path."""
    folder = tmp_path / f"{CANARY}_folder"
    folder.mkdir()
    table = pa.Table.from_pandas(planted())
    fields = [entry.with_metadata({"comment": f"{CANARY} field"}) for entry in table.schema]
    metadata = {**table.schema.metadata, b"secret": CANARY.encode()}
    source = folder / f"{CANARY}.parquet"
    pq.write_table(table.cast(pa.schema(fields, metadata=metadata)), source)

    model = privsynth.fit(source, target="bad", engine=engine, seed=1, settings=settings(engine))
    rows = model.sample(20_000, seed=2)
    privsynth.sample(model, 500, seed=2, output=tmp_path / "s.parquet")

    assert_no_canary(members(model, tmp_path))
    assert_no_canary(
        {
            "schema": propose_schema(source, target="bad").to_yaml().encode(),
            "rows": rows.to_csv(index=False).encode(),
            "categories": " ".join(map(str, rows["size"].unique())).encode(),
            "metadata": repr(pq.read_schema(tmp_path / "s.parquet").metadata).encode(),
        }
    )
    assert not rows["flag"].any()
    assert set(rows["coded"].unique()) <= {1011, 2022, 3033}


@pytest.mark.parametrize("column", ["doctor", "flag", "coded"])
def test_a_target_class_of_one_row_is_refused_without_naming_it(column: str) -> None:
    with pytest.raises(privsynth.PrivsynthError, match="fewer than 10") as refused:
        privsynth.fit(planted(), target=column, seed=1)
    assert CANARY not in str(refused.value)
    assert "8675309123" not in str(refused.value)


def test_the_scan_finds_what_is_there(tmp_path: Path) -> None:
    """With k=1 the scan must find values, or it would prove nothing."""
    table = frame(x=np.random.default_rng(4).normal(0, 1e5, ROWS) / 7, note=["plain word"] * ROWS)
    table.loc[0, "note"] = "a rare remark"
    places = members(privsynth.fit(table, seed=1, k=1), tmp_path)
    found = held_by_few(read(table), places)
    assert ("codec.json", "note") in found
    buffer = io.BytesIO()
    table.to_csv(buffer)
    assert ("rows", "x") in held_by_few(read(table), {"rows": buffer.getvalue()})
