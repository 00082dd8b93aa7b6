"""The imports of the packages, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

__all__ = ["imported", "modules", "package_graph"]


def modules(house: Path) -> dict[str, Path]:
    """Return every module by its dotted name inside the package; the package itself is ''."""
    return {
        ".".join(path.relative_to(house).with_suffix("").parts)
        .removesuffix("__init__")
        .removesuffix("."): path
        for path in sorted(house.rglob("*.py"))
    }


def imported(path: Path, known: Mapping[str, Path], name: str) -> Iterator[tuple[str, int]]:
    """Yield the package's own modules that a file imports, anywhere in it, with the line."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package[: len(package) - node.level + 1]
                base = ".".join(part for part in ("privsynth", *above, base) if part)
            # What is imported may be a module, or a name that a face has even where a module of
            # that name stands beside it.
            face = names_of(known.get(base.removeprefix("privsynth").removeprefix(".")))
            targets = [
                f"{base}.{alias.name}"
                if f"{base}.{alias.name}".removeprefix("privsynth.") in known
                and alias.name not in face
                else base
                for alias in node.names
            ]
        else:
            continue
        for target in targets:
            if target == "privsynth" or target.startswith("privsynth."):
                yield target.removeprefix("privsynth").removeprefix("."), node.lineno


@cache
def names_of(face: Path | None) -> frozenset[str]:
    """Return the names that a module lists in its ``__all__``."""
    if face is None:
        return frozenset()
    for node in ast.parse(face.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def package_graph(house: Path) -> dict[str, frozenset[str]]:
    """Return the packages, and files of the root, that each one imports; itself left out."""
    known = modules(house)
    graph: dict[str, set[str]] = {name.split(".")[0]: set() for name in known}
    for name, path in known.items():
        own = name.split(".")[0]
        graph[own] |= {m.split(".")[0] for m, _ in imported(path, known, name)} - {own}
    return {name: frozenset(below) for name, below in graph.items()}
