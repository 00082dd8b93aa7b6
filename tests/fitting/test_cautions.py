"""Without a budget, what makes the figures say less than they seem to is warned of."""

from __future__ import annotations

import datetime
import json
import warnings
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.errors import PrivsynthWarning
from privsynth.fitting import about_time
from privsynth.table import Table, read


def people(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "a": rng.normal(size=rows).round(2),
            "b": rng.choice(list("xyz"), rows),
            "c": pd.Categorical(rng.choice(list("pqrs"), rows)),
            "d": rng.integers(0, 1000, rows),
        }
    )


def test_a_table_that_is_mostly_copies_of_its_rows_is_warned_of() -> None:
    frame = pd.concat([people(100)] * 30, ignore_index=True)
    with pytest.warns(PrivsynthWarning, match="about 100% of the rows have an exact copy"):
        privsynth.fit(frame, engine="copula", seed=1)
    # A running number tells copies apart and makes no persons of them.
    frame["id"] = [f"p{i:05}" for i in range(len(frame))]
    with pytest.warns(PrivsynthWarning, match="exact copy"):
        privsynth.fit(frame, engine="copula", seed=1)


def test_rows_that_are_alike_because_few_are_possible_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PrivsynthWarning)
        privsynth.fit(people(3_000), engine="copula", seed=1)
        privsynth.fit(people(3_000)[["b", "c"]], engine="copula", seed=1)


NOON = datetime.datetime(2024, 1, 31, 12, tzinfo=datetime.UTC)
MOMENTS = [
    NOON.astimezone(ZoneInfo(zone)) for zone in ("Europe/Berlin", "America/New_York", "UTC")
] * 4


def moments(table: Table) -> set[datetime.datetime]:
    assert str(table.schema.field("t").type) in ("timestamp[us, tz=UTC]", "timestamp[ns, tz=UTC]")
    return set(table.to_arrow(["t"]).column(0).to_pylist())


@pytest.mark.parametrize("kind", ["frame", "csv", "jsonl"])
def test_times_of_several_zones_are_told_in_utc_and_warned_of(kind: str, tmp_path: Path) -> None:
    texts = [moment.isoformat() for moment in MOMENTS]
    data: object = pd.DataFrame({"t": pd.Series(MOMENTS, dtype=object)})
    if kind == "csv":
        data = tmp_path / "t.csv"
        (tmp_path / "t.csv").write_text("\n".join(["t", *texts, ""]))
    elif kind == "jsonl":
        data = tmp_path / "t.jsonl"
        (tmp_path / "t.jsonl").write_text("".join(json.dumps({"t": t}) + "\n" for t in texts))
    with pytest.warns(PrivsynthWarning, match="column 't': its times have several offsets"):
        table = read(data)
    assert moments(table) == {NOON}


def test_times_of_one_zone_are_not_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["t", *(m.isoformat() for m in MOMENTS[::3]), ""]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", PrivsynthWarning)
        assert read(path).schema.field("t").type.tz == "+01:00"
        read(pd.DataFrame({"t": pd.Series(MOMENTS[::3], dtype=object)}))
        read(pd.DataFrame({"t": [m.isoformat() for m in MOMENTS]}))


def test_nothing_is_said_of_zones_where_a_budget_lets_no_row_be_spoken_of(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["t", *(m.isoformat() for m in MOMENTS), ""]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", PrivsynthWarning)
        read(path, total=True)
        read(pd.DataFrame({"t": pd.Series(MOMENTS, dtype=object)}), total=True)


def test_rows_in_neither_table_are_counted() -> None:
    assert len(list(about_time("2024-01-15", 0, 0))) == 1
    for rows, units, says in (
        (1, 1, "1 row at or after 2024-01-15 of 1 unit with earlier rows were"),
        (1200, 30, "1,200 rows at or after 2024-01-15 of 30 units with earlier rows were"),
    ):
        _, (kind, text) = about_time("2024-01-15", rows, units)
        assert (kind, says in text) == ("holdout", True), text
