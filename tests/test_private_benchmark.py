"""The benchmark of engines under a budget: what peers are given, and how records are ranked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are no part of the package that is installed

from benchmarks import private, results, systems, tables  # noqa: E402
from benchmarks.binned import binned  # noqa: E402
from benchmarks.running import VENVS  # noqa: E402
from benchmarks.systems import BUDGETED, System  # noqa: E402
from privsynth.coding.cells import Cells  # noqa: E402

ROWS = pa.table(
    {
        "age": pa.array([17, 18, 40, 80, 80, 33], pa.int64()),
        "few": pa.array([1, 2, 3, 3, 2, 1], pa.int64()),
        "paid": pa.array([0.25, 100.0, 7.5, None, 2.25, 50.0]),
        "real": pa.array([0.0, 1.0, 1 / 3, 2 / 3, 0.123456789, 0.5]),
        "named": pa.array(["b", "a", None, "a", "b", "a"]),
        "target": pa.array(["no", "yes", "no", "yes", "no", "no"]),
    }
)


def test_numbers_fall_into_even_bins_between_their_bounds() -> None:
    codec = binned(private.declared(ROWS, "target"), bins=8)
    assert codec.sizes == (8, 3, 9, 8, 3, 2)
    age, few, paid, real = (coding for coding in codec.codings if isinstance(coding, Cells))
    assert list(zip(age.low, age.high, strict=True)) == [(17 + 8 * i, 24 + 8 * i) for i in range(8)]
    assert few.atoms.all()
    widths = paid.high - paid.low
    assert (paid.low[0], paid.high[-1]) == (0.25, 100)
    assert widths.max() - widths.min() < 0.02
    assert np.allclose(real.low, np.arange(8) / 8)


def test_what_is_drawn_falls_into_its_own_bin_and_has_the_type_of_the_column() -> None:
    codec = binned(private.declared(ROWS, "target"), bins=8)
    every = np.column_stack([np.arange(400) % size for size in codec.sizes]).astype(np.int32)
    drawn = codec.decode(every, np.random.default_rng(0)).cast(codec.schema)
    assert np.array_equal(codec.encode(drawn), every)
    assert drawn.schema.field("age").type == pa.int64()
    paid = np.array(drawn.column("paid").drop_null())
    assert np.array_equal(paid, np.round(paid, 2))


def test_every_peer_has_its_adapter_and_its_requirements() -> None:
    folder = Path(systems.__file__).parent
    for name, system in BUDGETED.items():
        assert name == system.name
        assert (folder / f"{system.adapter}.py").exists()
        assert (folder.parent / "requirements" / f"{system.environment}.txt").exists()


COPIES = """
import shutil
def load(options):
    return {}
def fit(train, target, seed, options):
    assert options["epsilon"] == 1 and 0 < options["rho"] < 1 and options["sizes"]["target"] == 2
    return train
def sample(model, rows, out, seed):
    shutil.copy(model, out)
"""


def test_a_peer_is_scored_by_what_its_codes_stand_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "home" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    (tmp_path / "copying.py").write_text(COPIES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv(VENVS, str(tmp_path))
    monkeypatch.setitem(BUDGETED, "copies", System("copies", "copying", "home"))
    arguments = ["--tables", "made_100k", "--rows", "900", "--seeds", "1", "--epsilons", "1"]
    assert private.main([*arguments, "--engines", "copies", "--cache", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "private" / "made_100k" / "copies-1-0.json").read_text())
    assert record["scores"]["agreement_1way"] > 0.7
    assert record["cpu_seconds"] == record["cost"]["fit_cpu_seconds"]


def test_ranks_are_over_what_every_engine_ran(tmp_path: Path) -> None:
    def keep(engine: str, seed: int, roc: float) -> None:
        scores = {f"agreement_{way}way": 0.5 for way in (1, 2, 3)}
        record = {"cpu_seconds": 1.0, "scores": {**scores, "roc_auc": roc, "pr_auc": roc}}
        (folder / f"{engine}-1-{seed}.json").write_text(json.dumps(record))

    folder = tmp_path / "private" / "toy"
    folder.mkdir(parents=True)
    for seed in range(3):
        keep("marginals", seed, 0.8)
        keep("mst", seed, 0.9 if seed else 0.7)
    keep("mbi-mst", 0, 0.6)
    (folder / "mbi-mst-1-1.json").write_text(json.dumps({"failed": "MemoryError: none"}))
    page = results.markdown(tmp_path, (), None)
    assert "| engine | ours (3) | with mbi-mst (1) |" in page
    assert "| mst | 1.33 | 2.00 |" in page
    assert "| marginals | 1.67 | 1.00 |" in page
    assert "| mbi-mst | - | 3.00 |" in page
    assert "| 1 | mst | 0.833 | 0.833 | 0.5000 | 0.5000 | 0.5000 | 1.0 | 3 |" in page
    assert "mbi-mst failed at epsilon 1 on split 1: `MemoryError: none`" in page


@pytest.mark.parametrize(("make", "columns"), [(tables.made_flags, 86), (tables.made_codes, 8)])
def test_made_up_tables_are_the_same_every_time(
    make: Callable[[int], pa.Table], columns: int
) -> None:
    table = make(3_000)
    assert table.equals(make(3_000))
    assert table.num_columns == columns
    assert table.column_names[-1] == "target"
    assert 0.04 < np.mean(np.array(table.column("target")) == "yes") < 0.12
