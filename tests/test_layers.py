"""The floors of the house: an import goes down or sideways, never up, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import privsynth

HOUSE = Path(privsynth.__file__).parent

FLOORS = {
    1: ("errors", "redaction"),
    2: (
        "account",
        "accountant",
        "documents",
        "leftovers",
        "parallel",
        "personal",
        "privacy",
        "schema",
        "storage",
        "surrogates",
        "table",
    ),
    3: ("codec", "config", "conversion", "declared", "evaluation", "infer"),
    4: ("curator", "discovery", "heaps", "policy", "report"),
    5: ("engines",),
    6: (
        "artefact",
        "augmentation",
        "consistency",
        "fitting",
        "oversampling",
        "private",
        "release",
        "sampler",
        "selection",
        "task",
    ),
    7: ("pipeline",),
    8: ("", "__main__", "cli"),
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}


def modules(house: Path) -> dict[str, Path]:
    """Every module by its dotted name inside the package; the package itself is ''."""
    return {
        ".".join(path.relative_to(house).with_suffix("").parts)
        .removesuffix("__init__")
        .removesuffix("."): path
        for path in sorted(house.rglob("*.py"))
    }


def imported(path: Path, known: Mapping[str, Path], name: str) -> Iterator[tuple[str, int]]:
    """The package's own modules that a file imports, anywhere in it, with the line."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package[: len(package) - node.level + 1]
                base = ".".join(part for part in ("privsynth", *above, base) if part)
            # what is imported may be a module of the package, or a name inside it
            wanted = [
                f"{base}.{alias.name}"
                if f"{base}.{alias.name}".removeprefix("privsynth.") in known
                else base
                for alias in node.names
            ]
        else:
            continue
        for module in wanted:
            if module == "privsynth" or module.startswith("privsynth."):
                yield module.removeprefix("privsynth").removeprefix("."), node.lineno


def complaints(house: Path) -> list[str]:
    """Say what breaks the rules of the floors; an empty list is a sound house."""
    known = modules(house)
    found = []
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        room = name.split(".")[0]
        if room not in FLOOR_OF:
            found.append(f"{name}: has no floor; give it one in FLOORS and docs/architecture.md")
            continue
        graph[name] = set()
        for module, line in imported(path, known, name):
            below = module.split(".")[0]
            if module not in known:
                found.append(f"{name}:{line}: imports {module!r}, which is no module of privsynth")
            elif FLOOR_OF.get(below, 0) > FLOOR_OF[room]:
                found.append(f"{name}:{line}: imports {module!r} from a floor above")
            graph[name].add(module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("circle: " + " -> ".join(error.args[1]))
    return found


def test_every_import_goes_down_or_sideways_and_no_module_lacks_a_floor() -> None:
    assert complaints(HOUSE) == []


def house_with(folder: Path, **sources: str) -> Path:
    (folder / "__init__.py").touch()
    for name, source in sources.items():
        path = folder / Path(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    return folder


def test_a_planted_upward_import_is_found_at_the_head_of_a_file(tmp_path: Path) -> None:
    house = house_with(tmp_path, errors="", table="import privsynth.pipeline", pipeline="")
    assert complaints(house) == ["table:1: imports 'pipeline' from a floor above"]


def test_a_planted_upward_import_is_found_inside_a_function(tmp_path: Path) -> None:
    source = "def f():\n    from privsynth import curator\n"
    house = house_with(tmp_path, codec=source, curator="")
    assert complaints(house) == ["codec:2: imports 'curator' from a floor above"]


def test_a_planted_upward_import_is_found_where_it_is_relative(tmp_path: Path) -> None:
    house = house_with(tmp_path, engines__sdv="from ..artefact import load", artefact="")
    assert complaints(house) == ["engines.sdv:1: imports 'artefact' from a floor above"]


def test_the_face_of_the_package_is_the_top_floor(tmp_path: Path) -> None:
    house = house_with(tmp_path, schema="from privsynth import Schema")
    assert complaints(house) == ["schema:1: imports '' from a floor above"]


def test_a_circle_on_one_floor_is_found(tmp_path: Path) -> None:
    house = house_with(
        tmp_path, table="from privsynth import schema", schema="import privsynth.table"
    )
    (circle,) = complaints(house)
    assert circle.startswith("circle: ")


def test_a_module_without_a_floor_is_found(tmp_path: Path) -> None:
    (complaint,) = complaints(house_with(tmp_path, attic=""))
    assert complaint.startswith("attic: has no floor")


def test_an_import_down_or_sideways_is_sound(tmp_path: Path) -> None:
    house = house_with(
        tmp_path,
        errors="",
        table="from privsynth.errors import DataError",
        infer="from privsynth import codec, table",
        codec="from .table import read",
    )
    assert complaints(house) == []
