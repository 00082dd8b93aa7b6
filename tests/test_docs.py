"""The documents agree with the program: help texts, README commands, links."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("privsynth/data/*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> str:
    """All README blocks of one language, joined in their order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return "\n".join(code for name, code in FENCE.findall(text) if name == language)


def run_in_clone(folder: Path, *command: str) -> None:
    """Run README code where the shipped tables lie as they do in a clone."""
    shutil.copytree(ROOT / "privsynth" / "data", folder / "privsynth" / "data")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONSAFEPATH": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_the_readme_s_commands_run(tmp_path: Path) -> None:
    code = blocks("bash")
    assert "privsynth fit" in code
    run_in_clone(tmp_path, "bash", "-euo", "pipefail", "-c", code)
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_readme_s_python_runs(tmp_path: Path) -> None:
    code = blocks("python")
    assert "privsynth.fit" in code
    run_in_clone(tmp_path, sys.executable, "-c", code)


def test_the_page_of_the_command_line_is_the_program_s_own_help() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "write_cli.py"))["page"]()
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == page, "docs/cli.md is behind the program; run 'make docs'"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_the_picture_of_the_house_is_the_one_that_its_imports_give() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "draw_house.py"))
    assert (ROOT / "docs" / "house.svg").read_text(encoding="utf-8") == script["picture"]()


def test_the_architecture_names_every_room_in_few_words() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 1_200
    rooms = {
        path.name if path.is_file() else f"{path.name}/"
        for path in (ROOT / "privsynth").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {room for room in rooms if room not in text} == set()
