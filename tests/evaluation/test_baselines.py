"""The over-samplers to beat: balanced, filled, and readable in the columns they were given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import DataError
from privsynth.evaluation.baselines import OVER_SAMPLERS, adasyn, at_random, smote, smotenc
from privsynth.evaluation.frames import silent


def made(rows: int = 60, rare: int = 12) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = (np.arange(rows) < rare).astype(np.int64)
    frame = pd.DataFrame(
        {
            "far": rng.normal(1e6, 1e5, rows) + 1e5 * truth,
            "town": pd.Categorical(rng.choice(["a", "b", "c"], rows)),
            "near": rng.normal(0, 1e-3, rows),
            "empty": np.full(rows, np.nan),
            "blank": pd.Categorical([None] * rows, categories=pd.Index([], dtype=object)),
        }
    )
    frame.loc[::7, "near"] = np.nan
    frame.loc[::9, "town"] = None
    return frame, truth


@pytest.mark.parametrize("name", ["random over-sampling", "smotenc", "adasyn"])
def test_what_is_added_balances_and_has_the_columns_given(name: str) -> None:
    frame, truth = made()
    more, classes = OVER_SAMPLERS[name](frame, truth, "auto", 0, silent)
    assert (classes == 1).all()
    assert abs(len(more) - 36) <= (12 if name == "adasyn" else 0)
    assert more.dtypes.to_dict() == frame.dtypes.to_dict()
    rare = frame[truth == 1]
    assert set(more["town"].dropna()) <= set(frame["town"].dropna())
    assert more["far"].between(rare["far"].min() - 1e-6, rare["far"].max() + 1e-6).all()
    assert more["empty"].isna().all()
    assert more["blank"].isna().all()
    assert more["near"].notna().all() == (name != "random over-sampling")


@pytest.mark.parametrize("over_sample", [smote, adasyn])
def test_numbers_alone_lie_between_two_rows(over_sample: object) -> None:
    frame, truth = made()
    frame = frame[["far", "near"]].fillna(0.0)
    more, _ = over_sample(frame, truth, "auto", 0, silent)  # type: ignore[operator]
    real = frame[truth == 1].to_numpy()
    scale = frame.std().to_numpy()

    def on_a_segment(point: np.ndarray) -> bool:
        one, two = (real[:, None] - point) / scale, (real[None] - point) / scale
        lengths = np.linalg.norm(one - two, axis=2)
        return bool(
            np.isclose(np.linalg.norm(one, axis=2) + np.linalg.norm(two, axis=2), lengths).any()
        )

    assert all(on_a_segment(point) for point in more.to_numpy())


def test_random_rows_are_copies_and_follow_the_seed() -> None:
    frame, truth = made()
    one, two, three = (at_random(frame, truth, 0.5, seed, silent)[0] for seed in (0, 0, 1))
    assert one.index.tolist() == two.index.tolist() != three.index.tolist()
    assert set(one.index) <= set(range(12))
    assert len(one) == 12


def test_fewer_rows_than_neighbours_lower_the_neighbours_and_say_so() -> None:
    frame, truth = made(40, 3)
    notes: list[str] = []
    more, _ = smotenc(frame, truth, "auto", 0, notes.append)
    assert len(more) == 34
    assert "fewer than 6 rows" in notes[0]
    with pytest.raises(DataError, match="two rows"):
        smotenc(*made(40, 1), "auto", 0, silent)


def test_levels_alone_are_too_little_for_smotenc_and_enough_for_adasyn() -> None:
    frame, truth = made()
    with pytest.raises(DataError, match="numeric column"):
        smotenc(frame[["town"]], truth, "auto", 0, silent)
    assert list(adasyn(frame[["town"]], truth, "auto", 0, silent)[0].columns) == ["town"]


def test_adasyn_without_other_classes_nearby_is_refused_in_one_line() -> None:
    frame = pd.DataFrame({"x": np.append(np.zeros(40), np.full(10, 1e6)) + np.arange(50) / 100})
    with pytest.raises(DataError) as caught:
        adasyn(frame, (np.arange(50) >= 40).astype(np.int64), "auto", 0, silent)
    assert "\n" not in str(caught.value)
