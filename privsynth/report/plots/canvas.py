"""Draw with matplotlib off screen and leave nothing behind.

Figures belong to no window, the user's style and `pyplot` are not touched, and the font cache is
in a temporary folder that is removed when the program ends.
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

# fallbacks for letters that DejaVu Sans lacks, if installed
_FALLBACKS = (
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
# the page's colours replace those of the picture, so that it is readable in dark mode, too
_PAGE_COLOURS = {
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
    """Draw in our style: no user settings, no mathematics in names, no warnings about glyphs."""
    if "matplotlib" not in sys.modules:
        without_traces("MPLCONFIGDIR")
    import matplotlib
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
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
                "font.family": [
                    "DejaVu Sans",
                    *(name for name in _FALLBACKS if name in installed),
                ],
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
    """Return an empty figure that belongs to no window; its size is in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(fig)
    return fig


def write(fig: Figure, path: Path, suffix: str, title: str, about: str) -> None:
    """Write a figure to a file, with a title and a sentence in its metadata and no date.

    Parameters
    ----------
    fig : Figure
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
    # open the file here: matplotlib appends a suffix to a name that has another one
    with path.open("wb") as file:
        fig.savefig(file, format=suffix[1:], metadata=metadata[suffix], facecolor="white")


def inline(fig: Figure, name: str, alt: str) -> str:
    """Return a figure as SVG to stand inside a page.

    Parameters
    ----------
    fig : Figure
    name : str
        Letters and hyphens; prefixed to every id, since a page holds several pictures.
    alt : str
        A description for readers who cannot see the picture.

    Returns
    -------
    str
        One ``<svg>`` element, every name in it escaped; its colours are those of the page.
    """
    buffer = BytesIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    fig.savefig(buffer, format="svg", transparent=True, metadata={**no_metadata, "Title": alt})
    text = buffer.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    # a style sheet inside the picture would apply to the whole page
    text = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S
    )
    text = re.sub(r'(<svg [^>]*?) width="[^"]*pt"| height="[^"]*pt"', r"\1", text, count=2)
    text = text.replace("<svg ", '<svg role="img" stroke-linejoin="round" ', 1)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href=", "href=")
    text = re.sub(r'(\bid="|\bhref="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in _PAGE_COLOURS.items():
        text = text.replace(f": {colour}", f": {variable}")
    return text.strip()
