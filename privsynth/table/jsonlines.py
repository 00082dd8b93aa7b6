"""JSON lines: one object for each row. Columns of text that all spell times become times."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from privsynth.errors import DataError
from privsynth.table.bytestream import CELLS, CHUNK_CHARACTERS, IN_MEMORY, Survey, TextFile
from privsynth.table.limits import LINE, refuse_sparse
from privsynth.table.places import reading
from privsynth.table.relation import Table, in_memory
from privsynth.table.rows import lines
from privsynth.table.spelling import EXACT, detect, typed, warn_of_zones
from privsynth.table.storage import check_names, subschema

__all__ = ["read_json_lines", "read_json_texts", "with_times"]

ROWS_AT_ONCE = 1 << 14
MAX_BRACKETS = 250
"""Opening brackets in a line above which it is checked for nesting too deep for a parser."""
_KEY = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"\s*:')


def read_json_lines(file: TextFile, texts: Collection[str] = ()) -> tuple[pa.Table, dict[str, str]]:
    """Read a file of JSON lines into memory.

    Parameters
    ----------
    file : TextFile
    texts : collection of str
        Columns that stay text even if they spell times.

    Returns
    -------
    table : pyarrow.Table
    formats : dict of str to str
        How the dates and times are spelled.

    Raises
    ------
    DataError
        A line is not a JSON object, repeats a key, or has another type than the lines above it
        (with its line number).
    """
    with file.fingerprint().unchanged(), reading(file.name, "JSON lines"):
        survey = file.survey()
        _refuse_deep(file)
        try:
            table = _parse_bounded(file, survey)
            # Arrow converts text that looks like a time, and loses its spelling.
            moments = {
                entry.name: pa.string()
                for entry in table.schema
                if pa.types.is_timestamp(entry.type)
            }
            if moments:
                table = _parse(file, moments).select(table.column_names)
        except pa.ArrowInvalid:
            _check_lines(file)
            raise
        # Arrow rounds integers in a column of floats if they are too large to be exact.
        rounded = {
            entry.name
            for entry in table.schema
            if pa.types.is_floating(entry.type)
            and (pc.max(pc.abs(table[entry.name])).as_py() or 0) >= EXACT
        }
        if rounded:
            _check_lines(file, rounded)
        strings = [e.name for e in table.schema if pa.types.is_string(e.type)]
        return with_times(table, [name for name in strings if name not in texts])


def read_json_texts(file: TextFile, columns: Sequence[str] | None = None) -> Table:
    """Read any file of JSON lines, each plain value as the text that spells it.

    Parameters
    ----------
    file : TextFile
    columns : sequence of str, optional
        The names of the columns; other keys are ignored. By default all keys of the rows.

    Notes
    -----
    A row is a line that is not blank; only a line feed ends a line. All values of a row are missing
    if it is not a JSON object, repeats a key or is not text. A value is missing if the row lacks
    its key.
    """
    fingerprint = file.fingerprint()
    with fingerprint.unchanged(), reading(file.name, "JSON lines"):
        survey = replace(file, errors="replace").survey(total=True, rows=False)
        names = _keys(file, survey.size) if columns is None else list(columns)
        check_names(names, file.name)
        schema = pa.schema([(name, pa.string()) for name in names])

        def scan(columns: list[str]) -> Iterator[pa.RecordBatch]:
            chosen = subschema(schema, columns)
            with fingerprint.unchanged(), reading(file.name, "JSON lines"):
                rows = filter(bytes.strip, lines(file))
                while batch := list(islice(rows, ROWS_AT_ONCE)):
                    objects = [_values(line) for line in batch]
                    arrays = [
                        pa.array([_text(each.get(name)) for each in objects], pa.string())
                        for name in columns
                    ]
                    yield pa.RecordBatch.from_arrays(arrays, schema=chosen)

        if survey.size <= IN_MEMORY and survey.lines * len(names) <= CELLS:
            return in_memory(pa.Table.from_batches(scan(names), schema), file.name)
        n_rows = sum(1 for line in lines(file) if line.strip())
    return Table(file.name, schema, n_rows, scan)


def _keys(file: TextFile, size: int) -> list[str]:
    """Return the keys of all lines, in the order of their first occurrence."""
    keys: dict[str, None] = {}
    for row, line in enumerate(lines(file), 1):
        keys |= dict.fromkeys(_values(line))
        refuse_sparse(file.name, row, len(keys), size)
    return list(keys)


def _values(line: bytes) -> dict[str, Any]:
    """Read the object in a line, its numbers as text; empty if the line is not an object."""
    try:
        row = _DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """Return an object; None if it repeats a key."""
    row = dict(pairs)
    return row if len(row) == len(pairs) else None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_int=str, parse_float=str, parse_constant=str
)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    # JSON can escape half of a surrogate pair, which is not a character.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def with_times(table: pa.Table, columns: list[str]) -> tuple[pa.Table, dict[str, str]]:
    """Convert the columns of text that all spell times; return the table and their formats."""
    positions = [table.schema.get_field_index(name) for name in columns]
    texts = pa.table({f"c{i}": table.column(i).cast(pa.string()) for i in positions})
    spellings = detect(lambda: texts, positions, only_times=True)
    formats = {}
    if spellings:
        times = typed(texts, list(spellings), spellings).read_all()
        for i, spelling in spellings.items():
            name = table.schema.field(i).name
            if spelling.mixed:
                warn_of_zones(name)
            table = table.set_column(i, name, times[f"c{i}"].cast(spelling.dtype))
            formats[name] = spelling.format or ""
    return table, formats


def _parse_bounded(file: TextFile, survey: Survey) -> pa.Table:
    """Parse a file, refusing keys that would make a table far larger than the file.

    Arrow gives every line a cell for every key. Counting keys is slow, so only those of the first
    lines are counted, and the other lines are parsed with these keys and types alone. If that
    fails, the keys of all lines are counted.
    """
    with file.text() as text:
        head = "".join(text.readlines(CHUNK_CHARACTERS))
        whole = not text.read(1)
    keys = set(_KEY.findall(head))
    refuse_sparse(file.name, head.count("\n"), len(keys), len(head))
    if not whole:
        try:
            first = pj.read_json(io.BytesIO(head.encode()), pj.ReadOptions(block_size=4 * LINE))
            return _parse(file, {e.name: e.type for e in first.schema}, others="error")
        except pa.ArrowInvalid:
            with file.text() as text:
                while lines := "".join(text.readlines(CHUNK_CHARACTERS)):
                    keys.update(_KEY.findall(lines))
                    refuse_sparse(file.name, survey.lines, len(keys), survey.size)
    return _parse(file, {})


def _parse(file: TextFile, types: Mapping[str, pa.DataType], others: str = "infer") -> pa.Table:
    raw = file.stream()
    if not file.is_utf8:
        raw = pa.transcoding_input_stream(raw, file.encoding, "utf-8")
    explicit = pa.schema(list(types.items())) if types else None
    return pj.read_json(
        raw,
        read_options=pj.ReadOptions(block_size=LINE),
        parse_options=pj.ParseOptions(explicit_schema=explicit, unexpected_field_behavior=others),
    )


def _refuse_deep(file: TextFile) -> None:
    """Refuse lines that nest so deeply that a parser would exhaust its stack."""
    with file.text() as text:
        while chunk := text.read(CHUNK_CHARACTERS):
            if chunk.count("{") + chunk.count("[") - chunk.count("\n{") > MAX_BRACKETS:
                break
        else:
            return
    with file.text() as text:
        for number, line in enumerate(text, 1):
            if line.count("{") + line.count("[") > MAX_BRACKETS:
                _kinds_of(line, f"{file.name}, line {number}", ())


def _check_lines(file: TextFile, floats: Collection[str] = ()) -> None:
    """Refuse the first line that is invalid or differs in type from the lines above it.

    Parameters
    ----------
    file : TextFile
    floats : collection of str
        The columns of floats, in which no integer may lose digits.
    """
    kinds: dict[str, str] = {}
    with file.text() as text:
        for number, line in enumerate(text, 1):
            place = f"{file.name}, line {number}"
            if line.strip():
                for column, kind in _kinds_of(line, place, floats).items():
                    if kinds.setdefault(column, kind) != kind:
                        raise DataError(
                            f"{place}, column {column!r}: holds {kind} where the lines above "
                            f"hold {kinds[column]}; give a column one type"
                        )


def _kinds_of(line: str, place: str, floats: Collection[str]) -> dict[str, str]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"{place}: key {name!r} is given twice; keep one")
        return dict(items)

    try:
        row = json.loads(line, object_pairs_hook=pairs)
    except DataError:
        raise
    except (ValueError, RecursionError):
        raise DataError(f"{place}: is not JSON; write one object a line") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: is not a JSON object; write one object a line")
    for name, value in row.items():
        if type(value) is int and abs(value) > EXACT and name in floats:
            raise DataError(
                f"{place}, column {name!r}: holds an integer that a float would round; "
                "write the column as text"
            )
    return {name: _kind(value) for name, value in row.items() if value is not None}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
