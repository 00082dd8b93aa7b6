"""matplotlib that draws off the screen and leaves nothing behind.

Figures are objects of their own, the user's style and `pyplot` are not touched, and the cache of
fonts lies in a temporary folder that goes when the program ends.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privsynth.files import TEMPORARY, prefix, sweep
from privsynth.report.plots.marks import INK, LINE, MINORITY, SOFT, SYNTHETIC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure", "inline", "style", "without_traces", "write"]

# drawn for letters that DejaVu Sans lacks, where one of them is there
_WIDER = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Arial Unicode MS",
)
_DPI = 150
# colours of the page take over from those of the picture, so that it can be read in the dark
_OF_THE_PAGE = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    MINORITY.colour: "var(--real)",
    SYNTHETIC.colour: "var(--value)",
}


def without_traces(variable: str) -> None:
    """Point a library's cache folder to a temporary one, unless the user has chosen a folder."""
    if not os.environ.get(variable):
        sweep(Path(tempfile.gettempdir()))
        folder = tempfile.mkdtemp(TEMPORARY, prefix(Path("cache")))
        os.environ[variable] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style: no user's settings, no mathematics in names, no flood of warnings."""
    if "matplotlib" not in sys.modules:
        without_traces("MPLCONFIGDIR")
    import matplotlib
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "axes.edgecolor": SOFT,
                "axes.grid": False,
                "axes.labelcolor": INK,
                "axes.linewidth": 0.6,
                "axes.spines.right": False,
                "axes.spines.top": False,
                "axes.titlelocation": "left",
                "axes.titlesize": 9,
                "axes.unicode_minus": False,
                "font.family": ["DejaVu Sans", *(name for name in _WIDER if name in there)],
                "font.size": 8,
                "grid.color": LINE,
                "grid.linewidth": 0.6,
                "hatch.linewidth": 0.5,
                "legend.frameon": False,
                "pdf.fonttype": 42,
                "svg.fonttype": "none",
                "svg.hashsalt": "privsynth",
                "text.color": INK,
                "text.parse_math": False,
                "xtick.color": SOFT,
                "xtick.labelsize": 7,
                "ytick.color": SOFT,
                "ytick.labelsize": 7,
            }
        )
        yield


def figure(width: float, height: float) -> Figure:
    """Return an empty figure, its size in inches, that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def write(drawn: Figure, path: Path, suffix: str, title: str, about: str) -> None:
    """Write a figure to a file, with a title and a sentence in its metadata and no date.

    Parameters
    ----------
    drawn : Figure
    path : Path
    suffix : {".png", ".svg", ".pdf"}
    title, about : str
    """
    metadata: dict[str, dict[str, Any]] = {
        ".png": {"Title": title, "Description": about, "Software": None},
        ".svg": {"Title": title, "Description": about, "Date": None, "Creator": None},
        ".pdf": {
            "Title": title,
            "Subject": about,
            "CreationDate": None,
            "Creator": None,
            "Producer": None,
        },
    }
    # opened here: a name that ends otherwise would be given an ending
    with path.open("wb") as file:
        drawn.savefig(file, format=suffix[1:], metadata=metadata[suffix], facecolor="white")


def inline(drawn: Figure, name: str, alt: str) -> str:
    """Return a figure as SVG to stand inside a page.

    Parameters
    ----------
    drawn : Figure
    name : str
        Of letters and hyphens; goes before every id, since a page holds several pictures.
    alt : str
        What is to be seen, for who cannot see it.

    Returns
    -------
    str
        One ``<svg>`` element, every name in it escaped; inks are the page's own.
    """
    buffer = BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    drawn.savefig(buffer, format="svg", transparent=True, metadata={**nothing, "Title": alt})
    text = buffer.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    # a rule for all elements would hold for the whole page
    text = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S
    )
    text = re.sub(r'(<svg [^>]*?) width="[^"]*pt"| height="[^"]*pt"', r"\1", text, count=2)
    text = text.replace("<svg ", '<svg role="img" stroke-linejoin="round" ', 1)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href=", "href=")
    text = re.sub(r'(\bid="|\bhref="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in _OF_THE_PAGE.items():
        text = text.replace(f": {colour}", f": {variable}")
    return text.strip()
