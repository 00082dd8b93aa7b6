"""Measured figures in the documents: `make figures` measures them again and writes them.

A document marks a figure as ``<!-- figure: NAME -->93%<!-- end -->``. Each name has a function
below that measures it. Figures of the long benchmarks are in RESULTS.md, which `make bench` writes.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from privsynth.table import read

__all__ = ["DOCUMENTS", "FIGURES", "figures_in", "rewritten"]

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "docs/data.md")
SHIPPED = ROOT / "privsynth" / "data"
_MARKED = re.compile(r"(<!-- figure: ([\w -]+) -->)(.*?)(<!-- end -->)", re.DOTALL)
_VERDICT = re.compile(r"^(?:privsynth: )?SMOTE mirrors: (.*)$", re.MULTILINE)


def figures_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each figure in a document."""
    for match in _MARKED.finditer(text):
        yield match[2], match[3]


def rewritten(text: str, figures: Mapping[str, Callable[[], str]]) -> str:
    """Return a document with each of its figures measured again."""
    return _MARKED.sub(lambda match: f"{match[1]}{figures[match[2]]()}{match[4]}", text)


@cache
def _verdict(engine: str) -> str:
    """Run README's `augment` command of an engine; return what it says of reconstruction."""
    commands = [
        shlex.split(line)
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("privsynth augment ")
    ]
    (words,) = (words for words in commands if _engine(words) == engine)
    with TemporaryDirectory() as folder:
        (Path(folder) / "privsynth").mkdir()
        (Path(folder) / "privsynth" / "data").symlink_to(SHIPPED)
        done = subprocess.run(
            [sys.executable, "-P", "-m", *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    (said,) = _VERDICT.findall(done.stderr)
    return str(said)


def _engine(words: Sequence[str]) -> str:
    return words[words.index("--engine") + 1] if "--engine" in words else "cart"


def _size(demo: str) -> str:
    table = read(SHIPPED / _demos()[demo]["table"])
    return f"{table.n_rows:,} x {len(table.names)}"


def _share(demo: str) -> str:
    about = _demos()[demo]
    classes = read(SHIPPED / about["table"]).to_arrow([about["target"]]).column(0).to_pylist()
    return f"{classes.count(about['positive']) / len(classes):.1%}"


@cache
def _demos() -> Mapping[str, Mapping[str, str]]:
    return dict(yaml.safe_load((SHIPPED / "demos.yaml").read_text(encoding="utf-8")))


FIGURES: Mapping[str, Callable[[], str]] = {
    "reconstruction by smotenc": lambda: _verdict("smotenc"),
    "reconstruction by cart": lambda: _verdict("cart"),
    **{
        f"{what} of {demo}": lambda measure=measure, demo=demo: measure(demo)
        for demo in ("fraud", "health", "intrusion", "adult")
        for what, measure in (("size", _size), ("share", _share))
    },
}


if __name__ == "__main__":
    for name in DOCUMENTS:
        page = ROOT / name
        page.write_text(rewritten(page.read_text(encoding="utf-8"), FIGURES), encoding="utf-8")
