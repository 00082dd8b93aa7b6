"""JSON lines: one object a row. Strings that all spell a date or a time become one."""

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
from privsynth.table.bytestream import CELLS, CHUNK, IN_MEMORY, Survey, TextFile
from privsynth.table.limits import LINE, refuse_sparse
from privsynth.table.places import reading
from privsynth.table.relation import Table, in_memory
from privsynth.table.rows import lines
from privsynth.table.spelling import EXACT, detect, typed, warn_of_zones
from privsynth.table.storage import check_names

__all__ = ["read_json_lines", "read_json_texts", "with_times"]

ROWS = 1 << 14
DEPTH = 250
"""Opening brackets on a line from which it is tried whether they nest too deeply for a parser."""
_KEY = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"\s*:')


def read_json_lines(file: TextFile, texts: Collection[str] = ()) -> tuple[pa.Table, dict[str, str]]:
    """Read a file of JSON lines into memory.

    Parameters
    ----------
    file : TextFile
    texts : collection of str
        Columns of text that stay text, whatever they spell.

    Returns
    -------
    table : pyarrow.Table
    formats : dict of str to str
        How its dates and times are spelled.

    Raises
    ------
    DataError
        A line is no JSON object, names a key twice, or holds another type than the lines
        before it (with its line number).
    """
    with file.fingerprint().unchanged(), reading(file.name, "JSON lines"):
        survey = file.survey()
        _refuse_deep(file)
        try:
            table = _parse_bounded(file, survey)
            # Arrow reads text that looks like a time as one, and forgets how it was spelled.
            moments = {
                entry.name: pa.string()
                for entry in table.schema
                if pa.types.is_timestamp(entry.type)
            }
            if moments:
                table = _parse(file, moments).select(table.column_names)
        except pa.ArrowInvalid:
            _judge(file)
            raise
        # An integer that Arrow had to round lies in a column of floats, beyond the exact ones.
        rounded = {
            entry.name
            for entry in table.schema
            if pa.types.is_floating(entry.type)
            and (pc.max(pc.abs(table[entry.name])).as_py() or 0) >= EXACT
        }
        if rounded:
            _judge(file, rounded)
        strings = [e.name for e in table.schema if pa.types.is_string(e.type)]
        return with_times(table, [name for name in strings if name not in texts])


def read_json_texts(file: TextFile, columns: Sequence[str] | None = None) -> Table:
    """Read a file of JSON lines whatever it holds: every plain value as the text that spells it.

    Parameters
    ----------
    file : TextFile
    columns : sequence of str, optional
        The names of its columns; other keys are left out. By default those that its rows have.

    Notes
    -----
    A row is a line that is not blank and ends with a line feed. One that is no JSON object, names a
    key twice or is no text is a row without values, and so is what a row does not hold.
    """
    seen = file.fingerprint()
    with seen.unchanged(), reading(file.name, "JSON lines"):
        survey = replace(file, errors="replace").survey(total=True, rows=False)
        names = _keys(file, survey.size) if columns is None else list(columns)
        check_names(names, file.name)
        schema = pa.schema([(name, pa.string()) for name in names])

        def scan(wanted: list[str]) -> Iterator[pa.RecordBatch]:
            chosen = pa.schema([schema.field(name) for name in wanted])
            with seen.unchanged(), reading(file.name, "JSON lines"):
                rows = filter(bytes.strip, lines(file))
                while batch := list(islice(rows, ROWS)):
                    found = [_values(line) for line in batch]
                    held = [[_text(row.get(name)) for row in found] for name in wanted]
                    arrays = [pa.array(values, pa.string()) for values in held]
                    yield pa.RecordBatch.from_arrays(arrays, schema=chosen)

        if survey.size <= IN_MEMORY and survey.lines * len(names) <= CELLS:
            return in_memory(pa.Table.from_batches(scan(names), schema), file.name)
        n_rows = sum(1 for line in lines(file) if line.strip())
    return Table(file.name, schema, n_rows, scan)


def _keys(file: TextFile, size: int) -> list[str]:
    """Return the keys of all lines, in the order in which they first come."""
    keys: dict[str, None] = {}
    for row, line in enumerate(lines(file), 1):
        keys |= dict.fromkeys(_values(line))
        refuse_sparse(file.name, row, len(keys), size)
    return list(keys)


def _values(line: bytes) -> dict[str, Any]:
    """Read one line, its numbers as text; nothing of one that is no object."""
    try:
        row = _ANY.decode(line.decode())
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """Give an object; None where two values have one key."""
    row = dict(pairs)
    return row if len(row) == len(pairs) else None


_ANY = json.JSONDecoder(object_pairs_hook=_once, parse_int=str, parse_float=str, parse_constant=str)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    # Half of a pair of surrogates can be escaped in JSON and is no character.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def with_times(table: pa.Table, columns: list[str]) -> tuple[pa.Table, dict[str, str]]:
    """Type those columns of text that all spell a date or a time; give their formats."""
    positions = [table.schema.get_field_index(name) for name in columns]
    texts = pa.table({f"c{i}": table.column(i).cast(pa.string()) for i in positions})
    spellings = detect(lambda: texts, positions, only_times=True)
    formats = {}
    if spellings:
        found = typed(texts, list(spellings), spellings).read_all()
        for i, spelling in spellings.items():
            name = table.schema.field(i).name
            if spelling.mixed:
                warn_of_zones(name)
            table = table.set_column(i, name, found[f"c{i}"].cast(spelling.dtype))
            formats[name] = spelling.format or ""
    return table, formats


def _parse_bounded(file: TextFile, survey: Survey) -> pa.Table:
    """Parse a file whose keys could make a table far larger than the file.

    Arrow gives every line a cell of every key. So the keys are counted in the first lines, which
    is slow, and the other lines are read by a parser that takes no other key or type. Only where
    that fails are the keys of all lines counted.
    """
    with file.text() as text:
        head = "".join(text.readlines(CHUNK))
        whole = not text.read(1)
    keys = set(_KEY.findall(head))
    refuse_sparse(file.name, head.count("\n"), len(keys), len(head))
    if not whole:
        try:
            first = pj.read_json(io.BytesIO(head.encode()), pj.ReadOptions(block_size=4 * LINE))
            return _parse(file, {e.name: e.type for e in first.schema}, others="error")
        except pa.ArrowInvalid:
            with file.text() as text:
                while lines := "".join(text.readlines(CHUNK)):
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
    """Refuse lines whose brackets nest so deeply that a parser would run out of its stack."""
    with file.text() as text:
        while chunk := text.read(CHUNK):
            if chunk.count("{") + chunk.count("[") - chunk.count("\n{") > DEPTH:
                break
        else:
            return
    with file.text() as text:
        for number, line in enumerate(text, 1):
            if line.count("{") + line.count("[") > DEPTH:
                _row(line, f"{file.name}, line {number}", ())


def _judge(file: TextFile, floats: Collection[str] = ()) -> None:
    """Refuse the first line that cannot stand beside those before it.

    Parameters
    ----------
    file : TextFile
    floats : collection of str
        The columns that are floats, in which an integer may not lose digits.
    """
    kinds: dict[str, str] = {}
    with file.text() as text:
        for number, line in enumerate(text, 1):
            place = f"{file.name}, line {number}"
            if line.strip():
                for column, kind in _row(line, place, floats).items():
                    if kinds.setdefault(column, kind) != kind:
                        raise DataError(
                            f"{place}, column {column!r}: holds {kind} where lines before hold "
                            f"{kinds[column]}; give one type to a column"
                        )


def _row(line: str, place: str, floats: Collection[str]) -> dict[str, str]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"{place}: key {name!r} comes twice; keep one of them")
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
