"""How many units hold a value: by hand, and against a count by sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from privsynth.table import read
from privsynth.table.relation import Table


def with_units(values: list[int | None], units: list[int]) -> Table:
    from dataclasses import replace

    return replace(read(pa.table({"x": pa.array(values, pa.int64())})), units=np.array(units))


def test_a_unit_counts_once_for_a_value_however_many_rows_it_has() -> None:
    table = with_units([5, 5, 5, 7, 7, None], [0, 0, 1, 0, 2, 2])
    support = table.support("x")
    assert support.units.tolist() == [2, 2]
    assert support.shares.tolist() == [1.5, 1.5]
    assert support.below.tolist() == [2, 3]
    assert support.above.tolist() == [3, 2]
    assert (support.total, support.nulls) == (3, 1)


def test_without_units_each_row_is_one() -> None:
    support = read(pa.table({"x": [5, 5, 7, None]})).support("x")
    assert support.units.tolist() == support.shares.tolist() == [2, 1]
    assert support.below.tolist() == [2, 3]
    assert support.above.tolist() == [3, 1]
    assert (support.total, support.nulls) == (3, 1)


def test_a_column_without_values_has_no_units() -> None:
    support = with_units([None, None], [3, 3]).support("x")
    assert len(support.units) == len(support.below) == len(support.above) == support.total == 0
    assert support.nulls == 1


def test_the_rows_that_are_taken_keep_their_units() -> None:
    table = with_units([1, 2, 3], [7, 8, 7]).take(np.array([2, 0]))
    assert table.units is not None
    assert table.units.tolist() == [7, 7]
    assert table.n_units == 1


CELLS = st.lists(
    st.tuples(st.none() | st.integers(-3, 3), st.integers(0, 5)), min_size=1, max_size=40
)


@given(CELLS, st.integers(0, 7), st.integers(0, 7))
def test_support_is_what_sets_of_units_count(
    rows: list[tuple[int | None, int]], start: int, stop: int
) -> None:
    support = with_units([v for v, _ in rows], [u for _, u in rows]).support("x")
    values = sorted({v for v, _ in rows if v is not None})

    def units(some: list[int]) -> int:
        return len({u for v, u in rows if v in some})

    assert support.units.tolist() == [units([v]) for v in values]
    assert support.below.tolist() == [units(values[: i + 1]) for i in range(len(values))]
    assert support.above.tolist() == [units(values[i:]) for i in range(len(values))]
    assert support.total == units(values)
    assert support.nulls == len({u for v, u in rows if v is None})
    assert support.shares[start:stop].sum() <= units(values[start:stop]) + 1e-9
    assert abs(support.shares.sum() - support.total) < 1e-9
