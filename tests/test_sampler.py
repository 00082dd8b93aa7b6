"""Rows from a model: the same whoever draws them, a few chunks at a time, and no thread left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privsynth import sampler
from privsynth.artefact import FittedModel
from privsynth.card import Card
from privsynth.coding.codec import Codec
from privsynth.coding.learning import learn
from privsynth.errors import SamplingError, UsageError
from privsynth.pipeline import sample
from privsynth.privacy.disclosure import Disclosure
from privsynth.privacy.ledger import Ledger
from privsynth.schema.inference import infer
from privsynth.schema.schema import Schema
from privsynth.table import open_writer, read

CHUNK = 400
ROWS = 2750


class Independent:
    """A model that draws every column by itself, and notes who asked it."""

    holds_rows: ClassVar[bool] = False
    answers: frozenset[int] = frozenset()

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self.threads: list[threading.Thread] = []

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> np.ndarray:
        self.threads.append(threading.current_thread())
        columns = [rng.integers(0, size, n, dtype=np.int32) for size in self.sizes]
        time.sleep(rng.random() / 500)  # so that chunks are done in another order than begun
        return np.stack(columns, axis=1)


class Failing(Independent):
    def sample(self, n: int, rng: np.random.Generator, *, where: Any = None) -> np.ndarray:
        if len(self.threads) == 3:
            raise SamplingError("the fourth chunk fails")
        return super().sample(n, rng, where=where)


@pytest.fixture(scope="module")
def fitted() -> tuple[Schema, Codec]:
    rng = np.random.default_rng(0)
    n = 1000
    frame = pd.DataFrame(
        {
            "city": rng.choice(["Ulm", "Bonn", 'a "b", c', ""], n),
            "grade": pd.Categorical(rng.choice(["lo", "hi"], n), ["lo", "hi"], ordered=True),
            "age": np.where(rng.random(n) < 0.2, None, rng.integers(18, 40, n)),
            "paid": rng.lognormal(5, 1, n).round(2),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "h"),
            "day": pd.Series(rng.integers(0, 5, n)).map(lambda d: pd.Timestamp(2020, 1, d + 1)),
            "late": rng.random(n) < 0.3,
            "client_id": [f"C-{i:05d}" for i in range(n)],
        }
    )
    frame["age"] = frame["age"].astype("Int64")
    table = read(frame)
    schema = infer(table)
    return schema, learn(table, schema, Disclosure(10))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "ROWS_PER_CHUNK", CHUNK)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("privsynth")]


def drawn(codec: Codec, workers: int, **more: Any) -> pa.Table:
    model = Independent(codec.sizes)
    return pa.concat_tables(sampler.rows(codec, model, ROWS, seed=3, workers=workers, **more))


@pytest.mark.parametrize("workers", [2, 5])
@pytest.mark.parametrize("where", [{}, {"city": "Ulm"}, {"paid": 150.5, "late": True}])
def test_rows_do_not_depend_on_how_many_draw_them(
    fitted: tuple[Schema, Codec], workers: int, where: dict[str, Any]
) -> None:
    codec = fitted[1]
    rows = drawn(codec, workers, where=where)
    assert rows.num_rows == ROWS
    assert rows.equals(drawn(codec, 1, where=where))
    for name, value in where.items():
        assert set(rows[name].to_pylist()) == {value}


@pytest.mark.parametrize(
    "name", ["t.parquet", "t.csv", "t.tsv.gz", "t.jsonl", "t.arrow", "duckdb:///{}/t.db::rows"]
)
def test_files_do_not_depend_on_how_many_draw_their_rows(
    tmp_path: Path, fitted: tuple[Schema, Codec], name: str
) -> None:
    schema, codec = fitted
    formats = {column.name: column.format for column in schema if column.format}
    outs = []
    for workers in (1, 2, 5):
        (tmp_path / f"{workers}").mkdir()
        folder = tmp_path / f"{workers}"
        outs.append(name.format(folder) if "::" in name else str(folder / name))
        with open_writer(outs[-1], codec.schema, formats) as writer:
            for chunk in sampler.rows(
                codec, Independent(codec.sizes), ROWS, seed=3, workers=workers
            ):
                writer.write(chunk)
    assert read(outs[0]).n_rows == ROWS
    if "::" in name:
        first, *others = (read(out).to_arrow() for out in outs)
        assert all(other.equals(first) for other in others)
    else:
        assert len({Path(out).read_bytes() for out in outs}) == 1


def test_a_file_holds_the_types_of_the_table_that_was_learnt(
    tmp_path: Path, fitted: tuple[Schema, Codec]
) -> None:
    codec = fitted[1]
    with open_writer(tmp_path / "t.parquet", codec.schema) as writer:
        for chunk in sampler.rows(codec, Independent(codec.sizes), ROWS, seed=3):
            writer.write(chunk)
    assert pq.read_schema(tmp_path / "t.parquet") == codec.schema
    plain = drawn(codec, 1).cast(codec.schema).to_pylist()
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == plain


def model_of(fitted: tuple[Schema, Codec], model: Independent, frame: str) -> FittedModel:
    disclosure = Disclosure(10)
    card = Card(
        "independent", {}, 0, ROWS, None, {}, None, False, None, frame, disclosure, (), False, {}
    )
    return FittedModel(*fitted, model, Ledger(), card)


def test_a_frame_has_plain_columns(fitted: tuple[Schema, Codec]) -> None:
    codec = fitted[1]
    rows = model_of(fitted, Independent(codec.sizes), "arrow").sample(ROWS, seed=3)
    assert rows.schema == codec.schema
    assert rows.to_pylist() == drawn(codec, 1).to_pylist()


def test_a_single_chunk_is_drawn_without_a_thread(fitted: tuple[Schema, Codec]) -> None:
    model = Independent(fitted[1].sizes)
    list(sampler.rows(fitted[1], model, CHUNK, seed=3, workers=4))
    assert model.threads == [threading.main_thread()]


def test_no_more_is_drawn_ahead_than_threads_need(fitted: tuple[Schema, Codec]) -> None:
    model = Independent(fitted[1].sizes)
    chunks = sampler.rows(fitted[1], model, 100 * CHUNK, seed=3, workers=2)
    next(chunks)
    time.sleep(0.1)
    assert len(model.threads) <= 4
    chunks.close()


def test_giving_up_early_leaves_no_thread(fitted: tuple[Schema, Codec]) -> None:
    chunks = sampler.rows(fitted[1], Independent(fitted[1].sizes), ROWS, seed=3, workers=3)
    next(chunks)
    chunks.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_of_the_one_who_asks_leaves_no_thread(
    fitted: tuple[Schema, Codec], error: type[BaseException]
) -> None:
    def stop(phase: str, done: int, total: int) -> None:
        raise error

    model = Independent(fitted[1].sizes)
    with pytest.raises(error):
        list(sampler.rows(fitted[1], model, ROWS, seed=3, workers=3, progress=stop))


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_the_model_reaches_the_one_who_asks(
    fitted: tuple[Schema, Codec], workers: int
) -> None:
    with pytest.raises(SamplingError, match="fourth chunk"):
        list(sampler.rows(fitted[1], Failing(fitted[1].sizes), ROWS, seed=3, workers=workers))


def test_an_error_of_the_model_leaves_the_old_file(
    tmp_path: Path, fitted: tuple[Schema, Codec]
) -> None:
    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(SamplingError, match="fourth chunk"):
        sample(
            model_of(fitted, Failing(fitted[1].sizes), "arrow"),
            ROWS,
            seed=3,
            output=tmp_path / "t.csv",
        )
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("t.csv", "old")]


def test_a_condition_that_too_few_rows_meet_stops_every_thread(
    fitted: tuple[Schema, Codec], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Never(Independent):
        def sample(self, n: int, rng: np.random.Generator, *, where: Any = None) -> np.ndarray:
            return np.ones((n, len(self.sizes)), dtype=np.int32)

    monkeypatch.setattr(sampler, "MIN_DRAWS", 5000)
    ulm = {"city": fitted[1].codings[0].levels[0]}
    with pytest.raises(SamplingError, match="0 of 5"):
        list(sampler.rows(fitted[1], Never(fitted[1].sizes), ROWS, seed=3, workers=3, where=ulm))


@pytest.mark.parametrize("workers", [1, 3])
def test_progress_is_told_in_order_by_the_one_who_asks(
    fitted: tuple[Schema, Codec], workers: int
) -> None:
    told = []

    def progress(phase: str, done: int, total: int) -> None:
        told.append((phase, done, total, threading.current_thread()))

    drawn(fitted[1], workers, progress=progress)
    ends = [*range(CHUNK, ROWS, CHUNK), ROWS]
    assert told == [("sampling rows", end, ROWS, threading.main_thread()) for end in ends]


def test_fewer_than_one_row_is_refused(fitted: tuple[Schema, Codec]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        next(sampler.rows(fitted[1], Independent(fitted[1].sizes), 0, seed=3))
