"""A hostile model file is refused in one line, or what it loads as can be shown and drawn from."""

from __future__ import annotations

import json
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from mutations import mutated
from toy_artefacts import NAMES, artefact

import privsynth
from privsynth.artefact import FittedModel
from privsynth.cli.results import shown_card
from privsynth.errors import PrivsynthError

CORPUS = Path(__file__).parent / "corpus" / "artefacts"
SECONDS, BYTES = 20, 2**30
FEW, MANY = 200, 36_000


def drawn(path: Path) -> bool:
    """Open a file, show and draw from what it holds; whether it was a model at all.

    Raises
    ------
    AssertionError
        An error of ours has more than one line.
    Exception
        Any error that is none of ours.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = privsynth.load(path)
        except PrivsynthError as error:
            check_line(error)
            return False
        assert repr(model)
        card = shown_card(model)
        assert yaml.safe_dump(card, allow_unicode=True).encode()
        assert json.dumps(card, ensure_ascii=False).encode()
        for given in ({}, {"balance": 0.5}, *({"where": asked} for asked in conditions(model))):
            try:
                rows = model.sample(50, seed=1, **given)
                assert len(rows) == 50
                assert str(rows)
            except PrivsynthError as error:
                check_line(error)
    return True


def check_line(error: PrivsynthError) -> None:
    """Refuse a message of several lines."""
    assert "\n" not in str(error)


def conditions(model: FittedModel) -> list[dict[str, object]]:
    """Two conditions: on the target, and on another column."""
    asked = []
    targets = [] if model.codec.target is None else [model.codec.codings[model.codec.target]]
    for coding in (*targets, *model.codec.codings[:5]):
        levels = getattr(coding, "levels", ())
        if levels and len(asked) < 2:
            asked.append({coding.name: levels[-1]})
    return asked


def fuzz(seeds: range, folder: Path) -> list[str]:
    """Try one mutation a seed; what went wrong, one line each."""
    path, wrong = folder / "m.psyn", []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        name, other = (str(each) for each in rng.choice(NAMES, 2))
        path.write_bytes(mutated(artefact(name), artefact(other), rng))
        start, held = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            drawn(path)
        except Exception as error:  # any at all is what is looked for
            wrong.append(f"seed {seed} ({name}): {type(error).__name__}: {error}"[:300])
            (folder / f"{seed}.psyn").write_bytes(path.read_bytes())
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
        if time.perf_counter() - start > SECONDS or grown * 1024 > BYTES:
            wrong.append(f"seed {seed} ({name}): took too long, or {grown} KiB")
    return wrong


@pytest.fixture(scope="module", autouse=True)
def _every_toy_is_sound(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("sound") / "m.psyn"
    for name in NAMES:
        path.write_bytes(artefact(name))
        assert drawn(path), name


def test_a_few_hundred_mutated_models_end_in_rows_or_one_line(tmp_path: Path) -> None:
    assert fuzz(range(FEW), tmp_path) == []


@pytest.mark.deep
def test_many_mutated_models_end_in_rows_or_one_line(tmp_path: Path) -> None:
    assert fuzz(range(FEW, MANY), tmp_path) == []


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.psyn")), ids=lambda path: path.stem)
def test_what_fuzzing_found_is_refused(path: Path) -> None:
    assert not drawn(path)
