"""A value has one reading: its code does not depend on how its column is stored.

Every kind of typed column is compared with the same column after one odd cell has turned it into
Python objects, or into whatever else pandas makes of it, for every kind of declared column.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.coding.declared import check_declared, declared_codec
from privsynth.coding.reading import comparable
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Source
from privsynth.schema.schema import Schema
from privsynth.table import read

DAYS = Bounds("2000-01-01", "2030-12-31")
WORDS = Levels(("0", "1", "true", "false", "a", "0.1", "1.5", "20240131", "2024-01-31",
                "2024-01-31 00:00:00.000000", "06:00:00", "1000000000000001"))  # fmt: skip


def column(name: str, kind: Kind, dtype: str, domain: Any = None, **more: Any) -> Column:
    return Column(name, kind, dtype, domain, source=Source.DECLARED, **more)


DECLARED = (
    column("double", Kind.NUMERIC, "double", Bounds(-5, 1e18)),
    column("cents", Kind.NUMERIC, "double", Bounds(-5, 5), decimals=2),
    column("single", Kind.NUMERIC, "float", Bounds(-5, 5)),
    column("money", Kind.NUMERIC, "decimal128(12, 2)", Bounds(-5, 5)),
    column("few", Kind.INTEGER, "int8", Bounds(-3, 100)),
    column("many", Kind.INTEGER, "int64", Bounds(-(2**63), 2**63 - 1)),
    column("real", Kind.INTEGER, "double", Bounds(0, 2**53)),
    column("truth", Kind.BOOLEAN, "bool"),
    column("words", Kind.CATEGORICAL, "string", WORDS),
    column("order", Kind.ORDINAL, "string", WORDS),
    column("whole", Kind.CATEGORICAL, "int64", Levels((0, 1, 20240131, 10**15 + 1, 2**60))),
    column("small", Kind.ORDINAL, "int16", Levels((0, 1, 5))),
    column("floats", Kind.CATEGORICAL, "double", Levels((0.0, 0.1, 1.0, 1.5))),
    column("singles", Kind.CATEGORICAL, "float", Levels((0.0, 0.1, 1.0, 1.5))),
    column("bools", Kind.CATEGORICAL, "bool", Levels((True, False))),
    column("dates", Kind.CATEGORICAL, "date32[day]", Levels(("2024-01-31", "2024-02-01"))),
    column("day", Kind.DATETIME, "date32[day]", DAYS),
    column("second", Kind.DATETIME, "timestamp[s]", DAYS),
    column("micro", Kind.DATETIME, "timestamp[us]", DAYS),
    column("nano", Kind.DATETIME, "timestamp[ns]", Bounds("2024-01-31", "2024-02-01"),
           format="%Y-%m-%d %H:%M:%S.%n"),
    column("zoned", Kind.DATETIME, "timestamp[us, tz=UTC]", DAYS),
    column("nano_zoned", Kind.DATETIME, "timestamp[ns, tz=Europe/Rome]", DAYS),
    *(
        column(form, Kind.DATETIME, "timestamp[us]", DAYS, format=form)
        for form in ("%Y%m%d", "%d/%m/%Y", "%m/%d/%Y %H:%M", "%Y-%d-%m", "%Y-%d-%m %H:%M:%S",
                     "%Y-%m-%d", "%d.%m.%y", "%Y-%m-%dT%H:%M:%S%z", "%H:%M:%S")
    ),
    column("key", Kind.ID, "string"),
    column("mail", Kind.PERSONAL, "string", personal="email"),
    column("note", Kind.TEXT, "string"),
)  # fmt: skip
CODEC = declared_codec(check_declared(Schema(DECLARED), [c.name for c in DECLARED], "t"))

WHOLE = [0, 1, 2, 5, 100, 2024, 20240131, 10**6]
LONG = [10**15 + 1, 2**53 - 1, 2**53, -(2**53)]
REALS = [0.0, -0.0, 1.0, 1.5, 0.1, 1e-7, 1e15, 1e16, 1e17, 2.0**60, 1e300, -2.5, 20240131.0]
MOMENTS = ["2024-01-31", "2024-01-31 06:00:00", "2024-10-27 00:30:00", "2024-10-27 01:30:00",
           "2024-03-31 01:00:00.5", "1969-12-31 23:59:59.999999", "1700-01-01"]  # fmt: skip
FINE = [*MOMENTS, "2024-01-31 00:00:00.000000001", "1969-12-31 23:59:59.999999999"]
FAR = ["0001-01-01", "9999-12-31", "12024-01-31", "-0044-03-15"]
DATES = [datetime.date(2024, 1, 31), datetime.date(2024, 2, 1), datetime.date(1, 1, 1)]
TIMES = [datetime.time(6), datetime.time(6, 30, 0, 500), datetime.time(23, 59, 59, 999_999)]
MONEY = [Decimal("1.50"), Decimal("0.10"), Decimal("-0.01"), Decimal("0.00"), Decimal("1.00")]
TEXTS = ["a", "1", " 1 ", "1.0", "true", "TRUE", "2024-01-31", "31/01/2024", "20240131", "1,5",
         "2024-01-31 00:00:00+02:00", "06:00:00", "", "x\0y", "\u2603", "nan", "inf"]  # fmt: skip


def arrow(values: Any, kind: pa.DataType) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)))  # type: ignore[attr-defined]


def moments(texts: list[str], unit: str) -> pd.Series:
    return pd.Series(np.array(texts, dtype=f"datetime64[{unit}]"))


def typed_columns() -> Iterator[tuple[str, pd.Series]]:
    yield "bool", pd.Series([True, False, True])
    yield "boolean", pd.Series([True, False, None], dtype="boolean")
    yield "bool[pyarrow]", arrow([True, False, None], pa.bool_())
    for kind in ("int64", "Int64", "float64", "Float64", "int64[pyarrow]"):
        yield kind, pd.Series(WHOLE + LONG).astype(kind)
    for kind in ("int8", "uint8", "Int8", "float16", "float32", "Float32"):
        yield kind, pd.Series([0, 1, 5, 100]).astype(kind)
    yield "int64 of 64 bits", pd.Series([2**63 - 1, -(2**63), 2**60 + 1])
    yield "uint64 of 64 bits", pd.Series([0, 1, 2**64 - 1], dtype="uint64")
    for kind in ("float64", "Float64", "float64[pyarrow]", "longdouble"):
        yield f"{kind} of reals", pd.Series(REALS).astype(kind)
    for kind in ("float32", "Float32", "float[pyarrow]"):
        yield f"{kind} of reals", pd.Series(np.array([0.1, 1.5, -0.0, 1e-7, 1e30], "f4"))
    yield "infinite", pd.Series([np.inf, -np.inf, np.nan, 0.5])
    yield "complex", pd.Series([1j, 2, np.nan])
    yield "sparse", pd.Series(pd.arrays.SparseArray([0.0, 1.5, np.nan]))
    for unit in ("s", "ms", "us", "ns"):
        yield f"datetime64[{unit}]", moments(FINE if unit == "ns" else MOMENTS, unit)
        zoned = moments(FINE if unit == "ns" else MOMENTS, unit).dt.tz_localize("UTC")
        for zone in ("UTC", "Europe/Rome", "Asia/Kolkata", datetime.timezone.utc):  # noqa: UP017
            yield f"datetime64[{unit}, {zone}]", zoned.dt.tz_convert(zone)
        kind = pa.timestamp(unit, "America/New_York")
        texts = FINE if unit == "ns" else MOMENTS
        held = pa.array(np.array(texts, f"datetime64[{unit}]")).view(pa.int64()).view(kind)
        yield f"timestamp[{unit}, tz][pyarrow]", arrow(held, kind)
    yield "datetime64[s] far", moments(FAR[:2], "s")
    yield "date32", arrow(DATES, pa.date32())
    yield "date64", arrow(DATES, pa.date64())
    yield "time32[s]", arrow(TIMES[:1], pa.time32("s"))
    yield "time64[us]", arrow(TIMES, pa.time64("us"))
    yield "time64[ns]", arrow(TIMES, pa.time64("ns"))
    yield "decimal", arrow(MONEY, pa.decimal128(12, 2))
    yield "decimal of 8 digits", arrow([Decimal("1.5"), Decimal("1E-8")], pa.decimal128(20, 8))
    yield "timedelta", pd.Series(pd.to_timedelta([1, 2], unit="D"))
    yield "period", pd.Series(pd.period_range("2024-01", periods=3, freq="M"))
    yield "interval", pd.Series(pd.interval_range(0, 3))
    yield "binary", arrow([b"a", b"\xff"], pa.binary())
    yield "list", arrow([[1], []], pa.list_(pa.int64()))
    for kind in ("string", "string[pyarrow]", "object", "category"):
        yield f"{kind} of text", pd.Series(TEXTS).astype(kind)
    yield "large_string", arrow(TEXTS, pa.large_string())
    yield "string_view", arrow(TEXTS, pa.string_view())
    yield "dictionary", arrow(pa.array(TEXTS).dictionary_encode(), pa.dictionary("int32", "string"))
    yield "surrogates", pd.Series(["a", "\ud800"])
    for name, values in {
        "integers": WHOLE,
        "floats": [0.1, 1.0, 20240131.0],
        "booleans": [True, False],
        "moments": pd.to_datetime(MOMENTS, format="ISO8601"),
        "zoned moments": pd.to_datetime(MOMENTS, format="ISO8601").tz_localize("Europe/Rome"),
        "dates": DATES,
        "decimals": MONEY,
        "intervals": pd.interval_range(0, 3),
        "periods": pd.period_range("2024-01", periods=3, freq="M"),
        "timedeltas": pd.to_timedelta([1, 2], unit="D"),
        "mixed": [1, "1", True, "a"],
    }.items():
        yield f"category of {name}", pd.Series(pd.Categorical(pd.Series(values), None))
    yield "ordered category", pd.Series(pd.Categorical(["a", "1"], ["1", "a", "z"], ordered=True))
    yield "objects", pd.Series([1, 1.0, "1", True, Decimal(1), np.int8(1), np.float32(0.1)], dtype=object)  # fmt: skip # noqa: E501


class Hostile:
    """An object that answers nothing."""

    __hash__ = None  # type: ignore[assignment]

    @property
    def __class__(self) -> Any:
        raise RuntimeError

    def refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __eq__ = __ne__ = __str__ = __repr__ = __bool__ = __len__ = __float__ = __int__ = refuse
    __iter__ = __index__ = __array__ = __lt__ = refuse


class Liar(str):
    """Text that overrides what text can do."""

    __slots__ = ()

    def refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __eq__ = __str__ = encode = strip = refuse
    __hash__ = str.__hash__


ODD = {
    "None": None,
    "NaN": float("nan"),
    "NA": pd.NA,
    "NaT": pd.NaT,
    "text": "a",
    "a surrogate": "\ud800",
    "a dict": {},
    "a list": [1],
    "an array": np.array([1, 2]),
    "sNaN": Decimal("sNaN"),
    "a decimal": Decimal("1e999999"),
    "a huge integer": 10**5000,
    "an integer": 7,
    "a float": 0.5,
    "a longdouble": np.longdouble("1e4000"),
    "true": True,
    "bytes": b"x",
    "complex": 1j,
    "a date": datetime.date(2024, 1, 31),
    "a moment": datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    "a timestamp": pd.Timestamp("2024-01-31", tz="Asia/Kolkata"),
    "a far moment": np.datetime64(2**61, "s"),
    "a timedelta": pd.Timedelta(1),
    "a time": datetime.time(6),
    "an interval": pd.Interval(0, 1),
    "hostile": Hostile(),
    "a liar": Liar("a"),
}
TYPED = dict(typed_columns())


def table_of(values: Any) -> pa.Table:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(pd.DataFrame({"x": values}), total=True).to_arrow()


def coded(rows: pa.Table, n: int) -> np.ndarray[Any, Any]:
    """Encode the column as each declared column, and give the codes of the first rows."""
    column = rows.column(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CODEC.encode(pa.table({c.name: column for c in DECLARED}))[:n]


def same(first: np.ndarray[Any, Any], other: np.ndarray[Any, Any], what: str) -> None:
    for j, c in enumerate(DECLARED):
        assert first[:, j].tolist() == other[:, j].tolist(), f"{what} read as {c.name}"


def objects(values: list[Any]) -> pd.Series:
    held = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        held[i] = value
    return pd.Series(held, dtype=object)


@pytest.mark.parametrize("name", TYPED)
def test_one_odd_cell_changes_no_other_code(name: str) -> None:
    series = TYPED[name]
    n = len(series)
    values = list(series.astype(object).array)
    told = table_of(objects(values)).column(0).to_pylist()
    same(coded(table_of(series), n), coded(pa.table({"x": told}), n), "objects")
    for odd, value in ODD.items():
        # Objects are held as text, and a text has its code alone: see below.
        before = table_of(objects([value, *values])).column(0).to_pylist()
        behind = table_of(objects([*values, value])).column(0).to_pylist()
        assert before[1:] == told, odd
        assert behind[:-1] == told, odd


@pytest.mark.parametrize("name", TYPED)
def test_whatever_pandas_makes_of_a_column_with_one_row_more_its_codes_stay(name: str) -> None:
    series = TYPED[name]
    n = len(series)
    codes = coded(table_of(series), n)
    for value in (None, "a", 7, 0.5, pd.Timestamp("2024-01-31"), True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                grown = pd.concat([series, pd.Series([value])], ignore_index=True)
            except (ValueError, TypeError, pa.ArrowException, OverflowError):
                continue  # pandas itself refuses
        if grown.dtype == object or grown.dtype == series.dtype or "64 bits" in name:
            continue  # the first is tested above, the last below
        same(codes, coded(table_of(grown), n), f"{value!r} makes {grown.dtype}")


def test_a_missing_cell_that_makes_floats_of_long_integers_changes_no_code_of_numbers() -> None:
    series = pd.Series([2**60 + 1, 2**53 + 1, 2**63 - 1, -(2**63), 5])
    codes, grown = coded(table_of(series), 5), coded(table_of(series.reindex(range(6))), 5)
    for j, c in enumerate(DECLARED):
        # As text, the digits that pandas has lost are lost.
        if c.dtype != "string":
            assert codes[:, j].tolist() == grown[:, j].tolist(), c.name


def test_what_is_meant_is_read() -> None:
    """Worked out by hand, so that the one reading is also the right one."""

    def read_as(name: str, series: pd.Series) -> list[Any]:
        c = next(c for c in DECLARED if c.name == name)
        return comparable(c, table_of(series).column(0)).to_pylist()

    truths = pd.Series([True, False])
    for values in (truths, truths.astype(object), truths.astype("category"), truths.astype(str)):
        assert read_as("whole", values) == [1, 0]
        assert read_as("floats", values) == [1.0, 0.0]
        assert read_as("bools", values) == [True, False]
    whole = pd.Series([1, 20240131])
    for values in (whole, whole.astype(float), whole.astype(object), whole.astype(str)):
        assert read_as("words", values) == ["1", "20240131"]
    assert read_as("words", pd.Series([1.0, 10**15 + 1])) == ["1", "1000000000000001"]
    # As a double, the float nearest to a tenth in single precision is another number.
    single = pd.Series(np.array([0.1], "f4"))
    assert read_as("words", single) == read_as("words", single.astype(object))
    assert read_as("singles", single) == read_as("singles", pd.Series(["0.1"]))
    moment = pd.Series(pd.to_datetime(["2024-01-31"]))
    spelled = ["2024-01-31 00:00:00.000000"]
    for unit in ("s", "ms", "us", "ns"):
        assert read_as("words", moment.astype(f"datetime64[{unit}]")) == spelled
    assert read_as("words", moment.astype(object)) == spelled
    assert read_as("words", moment.dt.date) == ["2024-01-31"]


def test_a_number_such_as_20240131_is_read_as_a_date_by_its_format() -> None:
    at = [c.name for c in DECLARED].index("%Y%m%d")
    numbers = pd.Series([20240131, 20240201])
    columns = [numbers, numbers.astype(float), numbers.astype(str), numbers.astype(object)]
    codes = [coded(table_of(values), 2)[:, at].tolist() for values in columns]
    expected = CODEC.codings[at].encode(pa.array(DATES[:2]))
    assert codes == [expected.tolist()] * 4


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(-(2**64), 2**64), st.floats(), st.booleans(), st.text(max_size=5),
            st.datetimes(), st.datetimes(timezones=st.timezones()), st.dates(), st.times(),
            st.decimals(), st.none(), st.timedeltas(), st.binary(max_size=3), st.complex_numbers(),
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_any_object_is_read_alone_as_among_others(values: list[Any]) -> None:
    series = objects(values)
    codes = coded(table_of(series), len(values))
    alone = [coded(table_of(series.iloc[i : i + 1]), 1)[0] for i in range(len(values))]
    assert codes.tolist() == np.array(alone).tolist()


def test_objects_of_polars_are_read_value_by_value() -> None:
    pl = pytest.importorskip("polars")
    values = [1, "a", Hostile(), None, 0.5, Decimal("sNaN"), datetime.date(2024, 1, 31)]
    frame = pl.DataFrame({"k": [1] * 7, "x": pl.Series(values, dtype=pl.Object), "z": [2] * 7})
    held = read(frame, total=True).to_arrow()
    assert held.column_names == ["k", "x", "z"]
    assert held["x"].to_pylist() == ["1", "a", None, None, "0.5", None, "2024-01-31"]
    assert read(frame.select("x"), total=True).n_rows == 7


def test_a_category_that_one_row_adds_changes_nothing_for_the_others() -> None:
    first = pd.Series(pd.Categorical([1, 0, 1]))
    codes = coded(table_of(first), 3)
    for odd in ("x", (1, 2), pd.Interval(0, 1), b"x", 0.5):
        categories = pd.Index([1, 0, odd], dtype=object, tupleize_cols=False)
        grown = pd.Series(pd.Categorical.from_codes([0, 1, 0, 2], categories))
        same(codes, coded(table_of(grown), 3), repr(odd))
    unused = pd.Series(pd.Categorical.from_codes([0, 1, 0], pd.Index([1, 0, "x"])))
    same(codes, coded(table_of(unused), 3), "an unused category")
