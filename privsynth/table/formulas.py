"""Cells that a spreadsheet would run as formulas, and the quote that prevents it.

A spreadsheet that opens a CSV file runs a cell such as ``=HYPERLINK(...)`` as a formula (CSV
injection); a ``'`` in front makes it plain text. A cell or header is *risky* if it begins with

- ``=``, ``@``, a tab or a carriage return, or
- ``+`` or ``-``, unless the whole cell is one of the harmless texts below.

`escape` puts one ``'`` before a text that is risky after any number of quotes. `unescape` removes
one ``'`` from a text that is risky after at least one. So `unescape` undoes `escape` for every
text: ``=x`` is written ``'=x``, and ``'=x`` is written ``''=x``. ``'+5`` is not risky, so neither
changes it. A file from elsewhere loses the quote of its ``'=x``.

After its sign, a harmless text is

- a number: ``-5``, ``- 5``, ``-.5``, ``-1,234.50``, ``-1.234,50``, ``-1 234,50``, ``-1'234.50``,
  ``-1e5``, ``-12.5%``;
- an amount, which is a number with a currency sign or code before or after it: ``-$5.00``,
  ``-5 €``, ``-5 EUR``, ``-EUR 5``, ``-EUR5.00``, ``-US$5.00``, ``-R$ 5``, ``-5 kr``. Letters before
  the number need a blank or two decimals, because ``EUR5`` and ``R$5`` are references to cells;
- after ``+``, a phone number of 7 to 15 digits: ``+49 (0)170/123-4567``, ``+1-555-0100 x12``;
- nothing, or only signs: ``-``, ``--``, ``+-``.

None of these calls a function or refers to a cell. Characters that look like the six but are
others, such as the full-width ``＝``, are not escaped, nor is a text that begins with a blank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["escape", "escape_names", "unescape", "unescape_names", "unescape_rows"]

# RE2's syntax, which Arrow uses. A gap is a blank, or one of the blanks of typeset numbers.
_GAP = r"[ \x{A0}\x{2009}\x{202F}]"
_NUMBER = (
    rf"(?:[0-9](?:(?:[.,'’]|{_GAP})?[0-9])*[.,]?|[.,][0-9]+)"
    rf"(?:[eE][+-]?[0-9]{{1,3}})?(?:{_GAP}?[%‰])?"
)
_CODE = r"(?:[A-Z]{3}|(?:kr|Kč|zł|Ft|Fr|Rs|Rp|RM)\.?)"
_SIGN = r"[A-Z]{0,3}\p{Sc}"
_AMOUNT = (
    rf"(?:\p{{Sc}}{_GAP}?|(?:{_CODE}|{_SIGN}){_GAP})?{_NUMBER}(?:{_GAP}?(?:{_CODE}|{_SIGN}))?"
    rf"|(?:{_SIGN}|[A-Z]{{3}})[0-9][0-9.,]*[.,][0-9]{{2}}"
)
_PHONE = (
    rf"(?:(?:[().\-/‐-–]|{_GAP}){{0,3}}[0-9]){{7,15}}\)?"
    rf"(?:{_GAP}?(?:x|X|#|[eE]xt\.?){_GAP}?[0-9]{{1,6}})?"
)
_HARMLESS = rf"(?:[+-]{_GAP}*(?:{_AMOUNT})|\+{_GAP}?{_PHONE}|[+-](?:[+-]|{_GAP})*){_GAP}*$"
_QUOTE = ord("'")
_SUSPECT = np.zeros(256, dtype=bool)
_SUSPECT[[ord(character) for character in "'=@\t\r+-"]] = True


def escape(texts: pa.Array) -> pa.Array:
    """Put a ``'`` before each text that a spreadsheet would run as a formula.

    Parameters
    ----------
    texts : pyarrow.StringArray

    Returns
    -------
    pyarrow.StringArray
        `texts` itself if none of them is risky.
    """
    import pyarrow.compute as pc

    suspects = _SUSPECT[_first_bytes(texts)]
    return _changed(
        texts, suspects, "^'*", lambda texts: pc.binary_join_element_wise("'", texts, "")
    )


def unescape(texts: pa.Array) -> pa.Array:
    """Undo `escape`; see the module's notes for what it does to other texts.

    Parameters
    ----------
    texts : pyarrow.StringArray

    Returns
    -------
    pyarrow.StringArray
    """
    import pyarrow.compute as pc

    suspects = _first_bytes(texts) == _QUOTE
    return _changed(texts, suspects, "^'+", lambda texts: pc.utf8_slice_codeunits(texts, 1))


def escape_names(names: Sequence[str]) -> list[str]:
    """Return column names as written in a header; see `escape`."""
    import pyarrow as pa

    return list(escape(pa.array(names, pa.string())).to_pylist())


def unescape_names(names: Sequence[str]) -> list[str]:
    """Return column names as read from a header; see `unescape`."""
    import pyarrow as pa

    return list(unescape(pa.array(names, pa.string())).to_pylist())


def unescape_rows(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Undo `escape` in batches of text columns, one batch at a time."""
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            columns = [unescape(column) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(columns, schema=rows.schema)

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def _first_bytes(texts: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the first byte of each text; 0 for an empty text."""
    _, offsets, data = texts.buffers()
    if data is None or not data.size or not len(texts):
        return np.zeros(len(texts), dtype=np.uint8)
    ends = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
    first = np.frombuffer(data, np.uint8).take(ends[:-1], mode="clip")
    first[ends[:-1] == ends[1:]] = 0
    return first


def _changed(
    texts: pa.Array,
    suspects: npt.NDArray[np.bool_],
    quotes: str,
    change: Callable[[pa.Array], pa.Array],
) -> pa.Array:
    """Change the suspects that are risky after the regular expression `quotes`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not suspects.any():
        return texts
    mask = pa.array(suspects)
    masked = texts.filter(mask)
    risky = pc.and_not(
        pc.match_substring_regex(masked, rf"{quotes}[=@\t\r+-]"),
        pc.match_substring_regex(masked, quotes + _HARMLESS),
    )
    return pc.replace_with_mask(texts, mask, pc.if_else(risky, change(masked), masked))
