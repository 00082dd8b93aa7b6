"""CSV and TSV files.

Arrow splits the rows, since it reads every mixture of line ends. Python's strict parser checks a
file with quotation marks and finds the wrong line. DuckDB detects the types.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.csv as pv

from privsynth.errors import DataError
from privsynth.table import formulas
from privsynth.table.bytestream import CELLS, IN_MEMORY, TextFile
from privsynth.table.limits import LINE
from privsynth.table.places import reading
from privsynth.table.relation import Table, in_memory
from privsynth.table.rows import stream
from privsynth.table.spelling import Spelling, detect, typed, warn_of_zones
from privsynth.table.storage import check_names, subschema

__all__ = ["DELIMITERS", "read_delimited"]

DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class _Layout:
    """The header of a file, and how its rows are split.

    Parameters
    ----------
    names : list of str
    delimiter : str
    blanks : int
        The number of blank lines above the header.
    total : bool
        Whether to accept any row; see `read_delimited`.
    escaped : bool
        Whether to remove the ``'`` before formulas.
    """

    names: list[str]
    delimiter: str
    blanks: int
    total: bool
    escaped: bool


def read_delimited(
    file: TextFile,
    delimiter: str | None = None,
    total: bool = False,
    *,
    escape: bool = True,
    texts: Collection[str] = (),
) -> Table:
    """Read a CSV file, detecting the type of each column.

    Parameters
    ----------
    file : TextFile
    delimiter : str, optional
        By default it is detected from the header line.
    total : bool
        Leave every column as text, detect the delimiter from the header alone, and refuse nothing
        because of a row's content; see `privsynth.table.rows`.
    escape : bool
        Remove the ``'`` that stops a cell or name from being a formula; see `formulas`.
    texts : collection of str
        Columns that stay text.

    Raises
    ------
    DataError
        The file is empty or not text, its header is blank or repeats a name, or a row cannot be
        split into fields (with its line number).
    """
    fingerprint = file.fingerprint()
    with fingerprint.unchanged(), reading(file.name, "a text file"):
        if total:
            file = replace(file, errors="replace")  # rows may contain invalid bytes
        survey = file.survey(total)
        layout = _layout(file, delimiter, total, escape)
        check_names(layout.names, file.name)
        positions = list(range(len(layout.names)))
        in_ram = survey.size <= IN_MEMORY and survey.lines * len(positions) <= CELLS
        try:
            if in_ram:
                rows = _texts(file, layout, positions).read_all()
                n_rows = rows.num_rows
            else:
                n_rows = sum(batch.num_rows for batch in _texts(file, layout, [0]))
        except pa.ArrowInvalid:
            raise _fault(file, layout) from None
        if survey.quoted and not total:
            _check_rows(file, layout)
        spellings = detect(
            lambda: rows if in_ram else _texts(file, layout, positions),
            [] if total else [i for i, name in enumerate(layout.names) if name not in texts],
            comma=layout.delimiter == ";",  # as written where the comma is the decimal sign
        )
    for i, spelling in spellings.items():
        if spelling.mixed:
            warn_of_zones(layout.names[i])
    schema, formats = _types_and_formats(layout.names, spellings)
    if in_ram:
        batches = _typed(rows, positions, spellings, schema)
        return in_memory(pa.Table.from_batches(batches, schema), file.name, formats=formats)

    def scan(columns: list[str]) -> Iterator[pa.RecordBatch]:
        some = [layout.names.index(column) for column in columns]
        with fingerprint.unchanged(), reading(file.name, "a text file"):
            cells = _texts(file, layout, some)
            yield from _typed(cells, some, spellings, subschema(schema, columns))

    return Table(file.name, schema, n_rows, scan, formats=formats)


def _layout(file: TextFile, delimiter: str | None, total: bool, escaped: bool) -> _Layout:
    headers, failed = {}, False
    for candidate in delimiter or DELIMITERS:
        with file.text() as text, _long_fields():
            lines = _Lines(file, text)
            rows = (row for row in csv.reader(lines, delimiter=candidate, strict=True) if row)
            try:
                header = next(rows)
            except csv.Error:
                failed = True
                continue
            fits = True
            with suppress(csv.Error):  # checking the whole file reports the faulty row
                fits = total or len(next(rows, header)) == len(header)
        stray = _has_stray_quote(header, file, candidate)
        headers[candidate] = (fits and len(header) > 1 and not stray, len(header)), header
    # Of the delimiters that split header and first row alike, the first with the most fields.
    chosen = max(headers, key=lambda candidate: headers[candidate][0], default="")
    if not chosen or (failed and _has_stray_quote(headers[chosen][1], file, chosen)):
        raise DataError(
            f"{file.name}, line 1: a quotation mark is not closed where its field ends; close it"
        )
    with file.text() as text:
        blanks = next(i for i, line in enumerate(text) if line.strip("\r\n"))
    header = headers[chosen][1]
    names = formulas.unescape_names(header) if escaped else header
    return _Layout(names, chosen, blanks, total, escaped)


def _has_stray_quote(header: list[str], file: TextFile, delimiter: str) -> bool:
    """Return whether a name contains a quotation mark that is not doubled, as it should be."""
    names = [name for name in header if '"' in name]
    with file.text() as text, _long_fields():
        reader = csv.reader(text, delimiter=delimiter)
        lines = next((reader.line_num for row in reader if row), 0) if names else 0
    with file.text() as text:
        raw = "".join(islice(text, lines))
    return not all('"' + name.replace('"', '""') + '"' in raw for name in names)


class _Lines:
    """The lines of a text; refuses a row whose lines are too long in total."""

    def __init__(self, file: TextFile, text: io.TextIOWrapper) -> None:
        self.length = 0
        self._file = file
        self._text = text
        self._line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self._line += 1
        self.length += len(line)
        if self.length > LINE:
            raise self._file.long_row(self._line)
        return line


@contextmanager
def _long_fields() -> Iterator[None]:
    """Raise the parser's limit on the length of a field, a setting of the whole process."""
    before = csv.field_size_limit(LINE)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_rows(file: TextFile, layout: _Layout, *, bounded: bool = False) -> None:
    """Refuse the first row that strict parsing cannot split into fields.

    Parameters
    ----------
    file : TextFile
    layout : _Layout
    bounded : bool
        Whether to limit the length of rows, which may be endless if Arrow refused the file.
    """
    width = len(layout.names)
    with file.text() as text, _long_fields():
        lines = _Lines(file, text)
        source = lines if bounded else text
        reader = csv.reader(source, delimiter=layout.delimiter, strict=True)
        line = 1
        try:
            for row in reader:
                lines.length = 0
                if len(row) != width and row:
                    raise DataError(
                        f"{file.name}, line {line}: has {len(row)} fields where the header has "
                        f"{width}; give every row {width}, and quote a field that holds the "
                        f"delimiter {layout.delimiter!r}"
                    )
                line = reader.line_num + 1
        except csv.Error as error:
            if "limit" in str(error):
                raise file.long_row(line) from None
            raise DataError(
                f"{file.name}, line {line}: a quotation mark is not closed where its field ends; "
                'close it, and write one inside a field as ""'
            ) from None


def _texts(file: TextFile, layout: _Layout, columns: list[int]) -> pa.RecordBatchReader:
    names = [f"c{i}" for i in range(len(layout.names))]
    source: Any = file.stream()
    blanks, encoding = layout.blanks, "utf8" if file.is_utf8 else file.encoding
    if layout.total:
        source = stream(file, layout.delimiter, len(names), blanks)
        blanks, encoding = 0, "utf8"
    rows = pv.open_csv(
        source,
        read_options=pv.ReadOptions(
            block_size=LINE,
            column_names=names,
            skip_rows=blanks,
            skip_rows_after_names=1,
            encoding=encoding,
        ),
        parse_options=pv.ParseOptions(
            delimiter=layout.delimiter,
            newlines_in_values=True,
            # In a table of one column, a blank line is a row with a missing value.
            ignore_empty_lines=len(names) > 1,
        ),
        convert_options=pv.ConvertOptions(
            include_columns=[f"c{i}" for i in columns],
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return formulas.unescape_rows(rows) if layout.escaped else rows


def _fault(file: TextFile, layout: _Layout) -> DataError:
    """Return the error for a file that Arrow refused."""
    try:
        _check_rows(file, layout, bounded=True)
    except DataError as error:
        return error
    return file.long_row()


def _types_and_formats(
    names: list[str], spellings: dict[int, Spelling]
) -> tuple[pa.Schema, dict[str, str]]:
    types = [spellings[i].dtype if i in spellings else pa.string() for i in range(len(names))]
    formats = {
        name: form
        for i, name in enumerate(names)
        if i in spellings and (form := spellings[i].format)
    }
    return pa.schema(list(zip(names, types, strict=True))), formats


def _typed(
    texts: pa.Table | pa.RecordBatchReader,
    columns: list[int],
    spellings: dict[int, Spelling],
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    for batch in typed(texts, columns, spellings):
        arrays = [
            array.cast(entry.type) for array, entry in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
