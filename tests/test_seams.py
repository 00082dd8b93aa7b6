"""Faults that sat where two good parts had never met."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth import MinoritySampler
from privsynth.errors import DataError, PrivsynthWarning, SchemaError
from privsynth.privacy.budget import Budget
from privsynth.schema.schema import Schema
from privsynth.table import read, write


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather", ".jsonl"])
def test_a_column_s_name_may_look_like_a_path_of_arrow_s(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({".5": rng.integers(0, 9, 200), "[x]": rng.choice(["a", "b"], 200)})
    path = tmp_path / f"t{suffix}"
    write(read(frame).to_arrow(), path)
    model = privsynth.fit(path, engine="copula", seed=0)
    assert list(model.sample(5, seed=0).columns) == [".5", "[x]"]


def test_a_byte_order_mark_inside_a_schema_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("columns:\n- name: a\n\ufeff\n- name: county\n", encoding="utf-8")
    with suppress(SchemaError):  # what it must not end in is another exception
        Schema.from_yaml(path)


def test_a_sampler_refuses_python_objects_of_polars_before_it_spends() -> None:
    pl = pytest.importorskip("polars")
    X = pl.DataFrame({"x": np.arange(60.0)}).with_columns(
        pl.Series("ok", [object()] * 60, dtype=pl.Object)
    )
    with pytest.raises(DataError, match="column 'ok'"):
        MinoritySampler(random_state=0).fit_resample(X, np.repeat([0, 1], [45, 15]))


def test_under_a_budget_augment_says_nothing_of_what_a_row_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["when,y"] + [
        f"2024-01-{1 + i % 28:02d}T10:00:00+01:00,{'ab'[i % 5 == 0]}" for i in range(200)
    ]
    Path("t.csv").write_text("\n".join([*rows, "2024-01-01T10:00:00+02:00,a"]) + "\n")
    Path("s.yaml").write_text(
        "columns:\n"
        "- {name: when, kind: datetime, dtype: 'timestamp[us, tz=UTC]', "
        "bounds: ['2024-01-01T00:00:00+00:00', '2024-02-01T00:00:00+00:00']}\n"
        "- {name: y, kind: categorical, dtype: string, levels: [a, b]}\n"
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", PrivsynthWarning)
        privsynth.augment("t.csv", target="y", schema="s.yaml", budget=Budget(5.0), random_state=0)
    assert not [w for w in said if "offsets" in str(w.message)]
