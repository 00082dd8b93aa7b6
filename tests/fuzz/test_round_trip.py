"""Whatever can be fitted can be saved, opened and drawn from: the checks refuse nothing sound."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from random_tables import declared, table

import privsynth
from privsynth.errors import PrivsynthError
from privsynth.privacy.budget import Budget

FEW, MANY = 60, 3_000


def opened_again(seed: int, folder: Path) -> bool:
    """Fit, save, open and draw; whether the table could be fitted at all."""
    rng = np.random.default_rng(seed)
    frame, private = table(rng), seed % 3 == 0
    engine = str(rng.choice(["marginals", "copula", "aim"] if private else ["cart", "copula"]))
    target = "aim" if rng.random() < 0.8 else None
    given = {"budget": Budget(5.0, unit="row")} if private else {"k": int(rng.choice([2, 5, 10]))}
    schema = declared(frame, rng) if private or seed % 3 == 1 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = privsynth.fit(
                frame, engine=engine, target=target, schema=schema, seed=1, **given
            )
        except PrivsynthError:
            return False
        model.save(folder / "m.psyn")
        again = privsynth.load(folder / "m.psyn")
        assert again.sample(30, seed=2).equals(model.sample(30, seed=2))
    return True


def test_what_is_fitted_to_any_sound_table_opens_again(tmp_path: Path) -> None:
    assert sum(opened_again(seed, tmp_path) for seed in range(FEW)) > FEW / 2


@pytest.mark.deep
def test_what_is_fitted_to_many_sound_tables_opens_again(tmp_path: Path) -> None:
    assert sum(opened_again(seed, tmp_path) for seed in range(FEW, MANY)) > MANY / 2
