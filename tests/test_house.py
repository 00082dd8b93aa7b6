"""The house: packages import downward, through faces, and never in a circle."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from house import imported, modules

import privsynth

HOUSE = Path(privsynth.__file__).parent

ORDER = (
    "__main__",
    "cli",
    "",
    "pipeline",
    "releases",
    "minority",
    "report",
    "fitting",
    "artefact",
    "consistency",
    "card",
    "task",
    "sampler",
    "evaluation",
    "engines",
    "curator",
    "coding",
    "schema",
    "privacy",
    "table",
    "config",
    "files",
    "arrays",
    "packages",
    "errors",
    "redaction",
)
"""The packages and the files of the root, from the top; an import goes down this list."""

BESIDE_THE_FACE = {
    "evaluation.attacks.audit",
    "evaluation.attacks.scan",
    "evaluation.baselines",
    "evaluation.minority",
    "files.documents",
    "minority.picture",
    "minority.sampler",
    "report.html",
    "report.plots",
    "report.terminal",
    "table.duck",
    "table.formulas",
    "table.spelling",
    "table.texts",
}
"""Modules that are imported by their own name, because they need what is slow to import."""


def beside_the_face(module: str) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for name in BESIDE_THE_FACE)


def complaints(house: Path, order: tuple[str, ...] = ORDER) -> list[str]:
    """Say what breaks the rules of the house; an empty list is a sound one."""
    known = modules(house)
    place = {package: number for number, package in enumerate(order)}
    rooms = {name.split(".")[0] for name in known}
    found = [f"{name!r} is in ORDER, and not in the house" for name in order if name not in rooms]
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        own = name.split(".")[0]
        if own not in place:
            found.append(f"{name}: has no place; give it one in ORDER and docs/architecture.md")
            continue
        graph[name] = set()
        for module, line in imported(path, known, name):
            package = module.split(".")[0]
            graph[name].add(module)
            if module not in known:
                found.append(f"{name}:{line}: imports {module!r}, which is no module of privsynth")
            elif place.get(package, -1) < place[own]:
                found.append(f"{name}:{line}: imports {module!r}, which is above it")
            elif package != own and module != package and not beside_the_face(module):
                found.append(f"{name}:{line}: imports {module!r} past the face of its package")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("circle: " + " -> ".join(error.args[1]))
    return found


def test_every_import_goes_down_and_through_a_face() -> None:
    assert complaints(HOUSE) == []


def house_with(folder: Path, **sources: str) -> Path:
    (folder / "__init__.py").touch()
    for name, source in sources.items():
        path = folder / Path(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(source)
    return folder


FEW = ("", "pipeline", "engines", "curator", "schema", "table", "errors")


def planted(folder: Path, **sources: str) -> list[str]:
    """Return the complaints about a small house, but for the rooms that it lacks."""
    found = complaints(house_with(folder, **sources), FEW)
    return [complaint for complaint in found if not complaint.endswith("not in the house")]


def test_an_upward_import_is_found_at_the_head_of_a_file(tmp_path: Path) -> None:
    found = planted(tmp_path, table="import privsynth.pipeline", pipeline="")
    assert found == ["table:1: imports 'pipeline', which is above it"]


def test_an_upward_import_is_found_inside_a_function(tmp_path: Path) -> None:
    found = planted(tmp_path, schema="def f():\n    from privsynth import curator\n", curator="")
    assert found == ["schema:2: imports 'curator', which is above it"]


def test_an_upward_import_is_found_where_it_is_relative(tmp_path: Path) -> None:
    found = planted(tmp_path, engines__sdv="from ..pipeline import load", pipeline="")
    assert found == ["engines.sdv:1: imports 'pipeline', which is above it"]


def test_the_face_of_privsynth_is_above_its_packages(tmp_path: Path) -> None:
    found = planted(tmp_path, schema="from privsynth import Schema")
    assert found == ["schema:1: imports '', which is above it"]


def test_an_import_past_a_face_is_found(tmp_path: Path) -> None:
    found = planted(tmp_path, pipeline="import privsynth.engines.cart", engines__cart="")
    assert found == ["pipeline:1: imports 'engines.cart' past the face of its package"]


def test_a_circle_inside_a_package_is_found(tmp_path: Path) -> None:
    (circle,) = planted(
        tmp_path,
        table__read="from privsynth.table import write",
        table__write="import privsynth.table.read",
    )
    assert circle.startswith("circle: ")


def test_a_room_without_a_place_and_a_place_without_a_room_are_found(tmp_path: Path) -> None:
    found = complaints(house_with(tmp_path, attic="", table=""), ("", "table", "cellar"))
    assert found == [
        "'cellar' is in ORDER, and not in the house",
        "attic: has no place; give it one in ORDER and docs/architecture.md",
    ]


def test_an_import_down_or_inside_a_package_is_sound(tmp_path: Path) -> None:
    assert not planted(
        tmp_path,
        errors="",
        table__read="from privsynth.errors import DataError",
        table__write="from .read import read",
        schema="from privsynth import table",
    )
