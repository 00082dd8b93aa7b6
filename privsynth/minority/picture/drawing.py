"""Draw a table before and after its augmentation; the only picture of real rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from privsynth.errors import UsageError, did_you_mean
from privsynth.files import check_writable, replacing
from privsynth.minority.picture.comparison import collect
from privsynth.packages import need

if TYPE_CHECKING:
    import pandas as pd

    from privsynth.schema import Schema

__all__ = ["SUFFIXES", "before_after", "check_plot"]

SUFFIXES = (".png", ".svg", ".pdf", ".html")
"""File types of a picture."""
TITLE = "Before and after augmentation"
WARNING = "HOLDS REAL RECORDS: must not be shared as synthetic data"


def check_plot(out: str | Path) -> None:
    """Refuse a picture that could not be written, before any work is done.

    Raises
    ------
    UsageError
        The suffix is not one of `SUFFIXES`.
    StorageError
        The folder is missing or not writable.
    MissingExtraError
        HTML is asked for, and plotly is not installed.
    """
    if _suffix(out) == ".html":
        need("a picture as HTML", "plotly")
    check_writable(out)


def before_after(
    real: pd.DataFrame,
    real_labels: Any,
    synthetic: pd.DataFrame,
    synthetic_labels: Any,
    schema: Schema,
    out: str | Path,
    *,
    majority: Any,
    seed: int = 0,
) -> None:
    """Draw a table before and after its augmentation, to a file that holds real records.

    Rows are projected onto the first two principal components of the real rows and, where
    umap-learn is installed, by UMAP (McInnes, Healy and Melville 2018, arXiv:1802.03426). Below
    are the class sizes, and the columns in which the synthetic minority differs most from the
    real one.

    Parameters
    ----------
    real, synthetic : pandas.DataFrame
        The original rows and the added ones, with or without the target.
    real_labels, synthetic_labels : array-like, one a row
        Their classes. Every class but `majority` counts as minority.
    schema : Schema
        How the columns are read; ids, keys, personal data, text and the target are not drawn.
    out : str or Path
        Its suffix sets the type: .png, .svg, .pdf, or .html, a self-contained page.
    majority : object
        The label of the largest class.
    seed : int
        Chooses at most 3,000 points of each group at random. Same seed, same file.

    Raises
    ------
    UsageError
        The suffix is not known.
    StorageError
        The file cannot be written.
    """
    suffix = _suffix(out)
    picture = collect(real, real_labels, synthetic, synthetic_labels, schema, majority, seed)
    with replacing(out) as temporary:
        if suffix == ".html":
            from privsynth.minority.picture.page import page

            temporary.write_text(page(picture, TITLE, WARNING), encoding="utf-8")
        else:
            from privsynth.minority.picture.sheet import write_sheet

            write_sheet(picture, TITLE, WARNING, temporary, suffix)


def _suffix(out: str | Path) -> str:
    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        given = suffix or "no suffix"
        raise UsageError(f"{out}: {given} is no suffix of a picture{did_you_mean(given, SUFFIXES)}")
    return suffix
