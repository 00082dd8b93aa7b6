r"""How text spells typed values: detecting types, reading and writing them.

A column of text gets a type only if every value survives the conversion to the type and back:
``00123`` stays text, and so does an integer beyond 64 bits. The spelling of booleans, dates and
times is kept as a format, in which they are written again. Formats are `strftime` patterns with,
as in DuckDB, ``%-d`` for a day without a leading zero, ``%g`` for milliseconds and ``%n`` for
nanoseconds; ``%:z`` is an offset such as ``+02:00``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.errors import warn
from privsynth.table.duck import connect
from privsynth.table.sql import literal
from privsynth.table.storage import decoded, value_type

__all__ = [
    "Spelling",
    "detect",
    "is_pattern",
    "over_values",
    "speller",
    "typed",
    "warn_of_zones",
]

NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
BOOLEANS = ("True/False", "true/false", "TRUE/FALSE")
EXACT = 2**53
"""Integers up to this size are exact as floats."""
COLUMNS_AT_ONCE = 256
"""Maximum columns of one query: DuckDB's planning time grows with their square."""
COLUMNS_AT_ONCE_IN_FILES = 1024
"""Maximum columns of one query if each query reads a file again."""

Texts = Callable[[], "pa.Table | pa.RecordBatchReader"]
"""Returns columns of text named c0, c1, ... from their first row."""


@dataclass(frozen=True)
class Spelling:
    """One way to spell a type.

    Parameters
    ----------
    dtype : pyarrow.DataType
    test : str
        SQL condition that a text ``@`` has this spelling.
    value : str
        SQL expression that converts the text.
    format : str, optional
        The format in which the value is written again.
    order : str
        The order of day and month, if the other order is possible too.
    zone : str
        SQL expression for the text's offset from UTC, if it has one.
    mixed : bool
        Whether the texts have several offsets, so that they are converted to UTC.
    """

    dtype: pa.DataType
    test: str
    value: str
    format: str | None = None
    order: str = ""
    zone: str = ""
    mixed: bool = False


def detect(
    texts: Texts, columns: Iterable[int], *, only_times: bool = False, comma: bool = False
) -> dict[int, Spelling]:
    """Detect how each column of text spells a type; columns that stay text are left out.

    Parameters
    ----------
    texts : callable
        Returns the columns, named ``c0``, ``c1``, ..., each time it is called.
    columns : iterable of int
        The columns to examine.
    only_times : bool
        Detect only dates and times, for a file format that has numbers and booleans.
    comma : bool
        Accept ``1.234,5`` as a number, in a column whose values are not all like ``1234.5``.
    """
    positions = list(columns)
    if not positions:
        return {}
    examples = _aggregate(texts, {i: {"minimum": f"min(c{i})"} for i in positions})
    rounds = {
        i: _times(example) if only_times else _candidates(example, comma)
        for i in positions
        if (example := examples[i]["minimum"]) is not None
    }
    chosen = {}
    while rounds := {i: rest for i, rest in rounds.items() if rest and i not in chosen}:
        candidates = {i: rest.pop(0) for i, rest in rounds.items()}
        questions = {
            i: {
                (k, what): sql.replace("@", f"c{i}")
                for k, spelling in enumerate(spellings)
                for what, sql in _questions(spelling).items()
            }
            for i, spellings in candidates.items()
        }
        answers = _aggregate(texts, questions)
        for i, spellings in candidates.items():
            passed = [k for k in range(len(spellings)) if answers[i][k, "passes"]]
            # If both orders of day and month fit, the column stays text.
            if passed and len({spellings[k].order for k in passed}) == 1:
                k = passed[0]
                zones = {answers[i].get((k, what)) for what in ("first zone", "last zone")}
                chosen[i] = _in_zone(spellings[k], zones)
    return chosen


def typed(
    texts: pa.Table | pa.RecordBatchReader, columns: list[int], spellings: Mapping[int, Spelling]
) -> pa.RecordBatchReader:
    """Convert columns of text to their types; times with a zone are in UTC, and yet to be cast."""
    values = [
        f"{spellings[i].value.replace('@', f'c{i}') if i in spellings else f'c{i}'} AS c{i}"
        for i in columns
    ]
    relation = connect(ordered=True).from_arrow(_with_nulls(texts, spellings))
    return relation.project(", ".join(values)).to_arrow_reader(1 << 16)


def _questions(spelling: Spelling) -> dict[str, str]:
    questions = {"passes": f"bool_and(coalesce({spelling.test}, false) OR @ IS NULL)"}
    if spelling.zone:
        questions |= {"first zone": f"min({spelling.zone})", "last zone": f"max({spelling.zone})"}
    return questions


def _aggregate(
    texts: Texts, questions: Mapping[int, Mapping[Any, str]]
) -> dict[int, dict[Any, Any]]:
    """Evaluate SQL aggregates for each column."""
    answers: dict[int, dict[Any, Any]] = {}
    columns = list(questions)
    while columns:
        rows = texts()
        width = COLUMNS_AT_ONCE if isinstance(rows, pa.Table) else COLUMNS_AT_ONCE_IN_FILES
        some, columns = columns[:width], columns[width:]
        if isinstance(rows, pa.Table):
            rows = rows.select([f"c{i}" for i in some])
        relation = connect().from_arrow(_with_nulls(rows, set(some)))
        aggregates = [sql for i in some for sql in questions[i].values()]
        (row,) = relation.aggregate(", ".join(aggregates)).fetchall()
        values = iter(row)
        answers |= {i: dict(zip(questions[i], values, strict=False)) for i in some}
    return answers


def _with_nulls(
    texts: pa.Table | pa.RecordBatchReader, columns: Collection[int]
) -> pa.RecordBatchReader:
    """Trim some columns, and replace their texts for missing values by null."""
    missing = pa.array(NULLS)

    def with_nulls(name: str, column: pa.Array) -> pa.Array:
        if int(name[1:]) not in columns:
            return column
        column = pc.ascii_trim(column, " ")
        return pc.if_else(pc.is_in(column, value_set=missing), None, column)

    reader = texts.to_reader() if isinstance(texts, pa.Table) else texts
    batches = (
        pa.RecordBatch.from_arrays(
            [with_nulls(*item) for item in zip(batch.schema.names, batch.columns, strict=True)],
            schema=reader.schema,
        )
        for batch in reader
    )
    return pa.RecordBatchReader.from_batches(reader.schema, batches)


def _candidates(example: str, comma: bool) -> list[list[Spelling]]:
    """Return the possible spellings of one value of a column.

    They form rounds: a round is tried only if no spelling of the rounds before it fits.
    """
    for form in BOOLEANS:
        true, false = form.split("/")
        if example in (true, false):
            test = f"@ IN ('{true}', '{false}')"
            return [[Spelling(pa.bool_(), test, f"(@ = '{true}')", form)]]
    numbers = [[_FLOAT], [_COMMA]] if comma else [[_FLOAT]]
    if re.fullmatch(r"-?[0-9]+", example):
        return [[_INTEGER], *numbers]
    return _times(example) or (numbers if _NUMBER.match(example) else [])


_NUMBER = re.compile(r"[+-]?(\.?[0-9]|inf)", re.IGNORECASE)
_INTEGER = Spelling(
    pa.int64(), "CAST(TRY_CAST(@ AS BIGINT) AS VARCHAR) = @", "TRY_CAST(@ AS BIGINT)"
)
_FLOAT = Spelling(
    pa.float64(),
    r"((regexp_full_match(@, '[+-]?(?:0|[1-9]\d*)?(?:\.\d*)?(?:[eE][+-]?\d+)?')"
    " AND isfinite(TRY_CAST(@ AS DOUBLE))"
    # A whole number is a float only if a float represents it exactly and it has no plus sign.
    f" AND ((abs(TRY_CAST(@ AS DOUBLE)) < {EXACT} AND NOT starts_with(@, '+'))"
    " OR regexp_matches(@, '[.eE]')))"
    " OR regexp_full_match(@, '[+-]?(?i:inf|infinity)'))",
    "TRY_CAST(@ AS DOUBLE)",
)
_COMMA = Spelling(
    pa.float64(),
    r"regexp_full_match(@, '-?(?:0|[1-9]\d{0,14}|[1-9]\d{0,2}(?:\.\d{3}){1,4})(?:,\d+)?')",
    "TRY_CAST(replace(replace(@, '.', ''), ',', '.') AS DOUBLE)",
)

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:(?P<sep>[T ])\d\d:\d\d(?P<seconds>:\d\d(?:\.\d{1,9})?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_DAY = re.compile(
    r"(?:\d{1,2}(?P<mark>[/.-])\d{1,2}(?P=mark)\d{4}|\d{4}/\d\d/\d\d)"
    r"(?P<time>(?P<sep>[T ])\d{1,2}:\d\d(?P<seconds>:\d\d)?(?P<half> [AP]M)?)?"
)
_YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""Microseconds from 1970 to the start of year 1, and to the end of year 9999."""
_FRACTIONS = {"": ("", ""), ".000": (r"\.\d{3}", ".%g"), ".000000": (r"\.\d{6}", ".%f")}
_ANY_FRACTION = (r"(?:\.\d{1,6})?", ".%f")
_NANOSECONDS = (r"(?:\.\d{1,9})?", ".%n")
_ZONES = (("Z", "Z"), (r"[+-]\d\d:\d\d", "%:z"), (r"[+-]\d{4}", "%z"))
_ANY_ZONE = (r"(?:Z|[+-]\d\d(?::?\d\d)?)", "%:z")


def _times(example: str) -> list[list[Spelling]]:
    if match := _ISO.fullmatch(example):
        return _iso_times(match)
    if match := _DAY.fullmatch(example):
        return [_other_times(match)]
    return []


def _iso_times(match: re.Match[str]) -> list[list[Spelling]]:
    date = r"\d{4}-\d\d-\d\d"
    if not match["sep"]:
        value = "TRY_CAST(@ AS DATE)"
        test = f"regexp_full_match(@, '{date}') AND {_has_year(value)}"
        return [[Spelling(pa.date32(), test, value, "%Y-%m-%d")]]
    stem = (rf"{date}{match['sep']}\d\d:\d\d", f"%Y-%m-%d{match['sep']}%H:%M")
    if match["seconds"]:
        stem = (stem[0] + r":\d\d", stem[1] + ":%S")
    zone = ("", "")
    if match["zone"]:
        zone = next((z for z in _ZONES if re.fullmatch(z[0], match["zone"])), _ANY_ZONE)
    digits = re.sub(r"\d", "0", (match["seconds"] or "")[3:])
    fraction = _FRACTIONS.get(digits, _ANY_FRACTION)
    rounds = [[_iso_time(stem, fraction, zone)]]
    if match["seconds"]:
        rounds.append([_iso_time(stem, _ANY_FRACTION, zone)])
    if match["zone"]:
        rounds.append([_iso_time(stem, _ANY_FRACTION if match["seconds"] else ("", ""), _ANY_ZONE)])
    elif match["seconds"]:
        rounds.append([_iso_time(stem, _NANOSECONDS, zone)])
    return rounds


def _iso_time(*parts: tuple[str, str]) -> Spelling:
    """Return the spelling of a time from its parts, each a regular expression and a format."""
    zoned, fine = bool(parts[-1][0]), _NANOSECONDS in parts
    sql = "TIMESTAMPTZ" if zoned else "TIMESTAMP_NS" if fine else "TIMESTAMP"
    value = f"TRY_CAST(@ AS {sql})"
    pattern = "".join(expression for expression, _ in parts)
    return Spelling(
        pa.timestamp("ns" if fine else "us", tz="UTC" if zoned else None),
        f"regexp_full_match(@, '{pattern}') AND {_has_year(value)}",
        value,
        "".join(form for _, form in parts),
        zone=rf"regexp_extract(@, '{_ANY_ZONE[0]}$')" if zoned else "",
    )


def _has_year(value: str) -> str:
    """Return an SQL condition that a time is in the years 1 to 9999, the range of Python."""
    return f"epoch_us({value}) BETWEEN {_YEARS[0]} AND {_YEARS[1]}"


def _other_times(match: re.Match[str]) -> list[Spelling]:
    dates = [("%Y/%m/%d", "")]
    if mark := match["mark"]:
        orders = [("dmy", "d", "m"), ("mdy", "m", "d")][: 1 if mark == "." else 2]
        dates = [
            (f"%{pad}{first}{mark}%{pad}{second}{mark}%Y", order)
            for order, first, second in orders
            for pad in ("", "-")
        ]
    times = [""]
    if match["time"]:
        hour, half = ("I", " %p") if match["half"] else ("H", "")
        seconds = ":%S" if match["seconds"] else ""
        times = [f"{match['sep']}%{pad}{hour}:%M{seconds}{half}" for pad in ("", "-")]
    spellings = []
    for date, order in dates:
        for time in times:
            parsed, form = f"TRY_STRPTIME(@, '{date}{time}')", date + time
            dtype = pa.timestamp("us") if time else pa.date32()
            value = parsed if time else f"CAST({parsed} AS DATE)"
            test = f"strftime({parsed}, '{form}') = @ AND {_has_year(parsed)}"
            spellings.append(Spelling(dtype, test, value, form, order))
    return spellings


def _in_zone(spelling: Spelling, zones: set[str | None]) -> Spelling:
    """Add an offset that all values share; values with several offsets stay in UTC."""
    if spelling.zone and len(zones) > 1:
        return replace(spelling, mixed=True)
    zone = zones.pop()
    if not spelling.zone or zone is None or zone == "Z":
        return spelling
    digits = zone.replace(":", "").ljust(5, "0")
    if digits[1:] == "0000":
        return spelling
    dtype = pa.timestamp("us", tz=f"{digits[:3]}:{digits[3:]}")
    return Spelling(dtype, spelling.test, spelling.value, spelling.format, zone=spelling.zone)


def warn_of_zones(column: str) -> None:
    """Warn that the times of a column have several offsets from UTC."""
    warn(
        f"column {column!r}: its times have several offsets from UTC; they are read, modelled and "
        "written in UTC"
    )


def speller(
    schema: pa.Schema, formats: Mapping[str, str], *, only_times: bool = False
) -> Callable[[pa.Table], pa.Table]:
    """Return a function that converts a table of `schema` to text; nulls stay null.

    Parameters
    ----------
    schema : pyarrow.Schema
    formats : mapping of str to str
        The spelling of some columns; others are spelled in ISO 8601, as ``True/False``, and with
        the fewest digits that give the same float.
    only_times : bool
        Spell only dates and times; other types stay unchanged.

    Returns
    -------
    callable
        From a table to a table whose columns are named ``c0``, ``c1``, ...; a dictionary array
        stays one, whatever `schema` says.
    """
    values = [value_type(entry.type) for entry in schema]
    temporal = [pa.types.is_temporal(kind) for kind in values]
    con: Any = connect(ordered=True) if any(temporal) else None

    def spell_times(values: pa.Array, sql: str) -> pa.Array:
        spelled = con.from_arrow(pa.table({"c": _local(values)})).project(f"{sql} AS c")
        return spelled.to_arrow_table()["c"].combine_chunks().cast(pa.string())

    def change(i: int) -> Callable[[pa.Array], pa.Array]:
        form = formats.get(schema.field(i).name)
        if temporal[i]:
            return partial(spell_times, sql=_format_sql(values[i], form).replace("@", "c"))
        return (lambda array: array) if only_times else partial(_spell_others, form=form)

    changes = [change(i) for i in range(len(schema))]

    def spell(table: pa.Table) -> pa.Table:
        columns = zip(table.columns, changes, strict=True)
        return pa.table({f"c{i}": over_values(*pair) for i, pair in enumerate(columns)})

    return spell


@lru_cache(maxsize=256)
def is_pattern(form: str) -> bool:
    """Return whether dates and times can be written and read with a `strftime` pattern."""
    writes = f"strftime(TIMESTAMP '2024-01-31 01:02:03', {literal(_with_offset(form, '+00:00'))})"
    reads = f"TRY_STRPTIME('-', {literal(form)})" if "z" not in form else "NULL"
    try:
        with connect() as con:
            con.sql(f"SELECT {writes}, {reads}").fetchall()
    except (duckdb.Error, UnicodeError):
        return False
    return True


def over_values(column: pa.ChunkedArray, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Change the values of a column; in a dictionary array, change only the dictionary.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
    change : callable
        From an array to another array of the same length.
    """
    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        return change(array)
    if len(array.dictionary) > len(array):
        return change(decoded(array))
    return pa.DictionaryArray.from_arrays(array.indices, change(array.dictionary))


def _spell_others(values: pa.Array, form: str | None) -> pa.Array:
    kind = values.type
    if pa.types.is_boolean(kind):
        true, false = (form if form in BOOLEANS else BOOLEANS[0]).split("/")
        return pc.if_else(values, true, false)
    if pa.types.is_floating(kind):
        text = values.cast(pa.string())
        if not pc.any(pc.equal(values, pc.floor(values))).as_py():
            return text
        # Without a point, a whole float would be read again as an integer.
        return pc.replace_substring_regex(text, r"^(-?[0-9]+)$", r"\1.0")
    return values.cast(pa.string())


def _offset(zone: str | None) -> int:
    """Return a fixed offset in minutes; 0 for a named zone, whose times are written in UTC."""
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", zone or "")
    if match is None:
        return 0
    return int(f"{match[1]}1") * (60 * int(match[2]) + int(match[3]))


def _local(values: pa.Array) -> pa.Array:
    """Return times in local time, that is in the column's offset, without a zone."""
    kind = values.type
    if not pa.types.is_timestamp(kind):
        return values
    unit = "ns" if kind.unit == "ns" else "us"
    clock = values.cast(pa.timestamp(kind.unit)).cast(pa.timestamp(unit))
    minutes = _offset(kind.tz)
    return pc.add(clock, pa.scalar(minutes * 60 * 10**6, pa.duration("us"))) if minutes else clock


def _format_sql(kind: pa.DataType, form: str | None) -> str:
    if not pa.types.is_timestamp(kind):
        return f"strftime(@, {literal(form or '%Y-%m-%d')})"
    minutes = _offset(kind.tz)
    hours = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    if form is not None:
        return f"strftime(@, {literal(_with_offset(form, hours))})"
    zone = "" if kind.tz is None else hours if minutes else "Z"
    whole, digits = "%Y-%m-%d %H:%M:%S", ".%n" if kind.unit == "ns" else ".%f"
    return (
        f"CASE WHEN @ = date_trunc('second', @) THEN strftime(@, '{whole}{zone}')"
        f" ELSE strftime(@, '{whole}{digits}{zone}') END"
    )


def _with_offset(form: str, hours: str) -> str:
    """Insert an offset such as ``+02:00`` into a pattern."""
    return form.replace("%:z", hours).replace("%z", hours.replace(":", ""))
