"""Gaps and undeclared values that are too few to be believed: shared out, and without bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from audits import ENGINES, Recording
from scipy.stats import norm, t

from privsynth.artefact import FittedModel, load
from privsynth.coding.levels import OTHER
from privsynth.engines.marginal.grouping import Groups, group_codes, keep_all, spread
from privsynth.engines.registry import recipe
from privsynth.errors import ArtefactError, SamplingError
from privsynth.fitting import learn, refit
from privsynth.minority import growth
from privsynth.minority.growth import grow_privately
from privsynth.minority.plan import Plan
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Source
from privsynth.schema.schema import Schema
from privsynth.table import read
from privsynth.task import FitTask

Floats = npt.NDArray[np.float64]
GIVEN = Source.DECLARED
CHANCE = 1e-7
ROWS = 3_000
DOUBT = {"marginals": 0.1, "mst": 0.1, "aim": 0.3, "independent": 0.05, "copula": 0.1}
"""So small an epsilon that 240 rows do not stand out of the noise."""


class Quiet(Recording):
    """An accountant that charges for its noise and leaves it out: only tests may."""

    def gaussian(self, *asked: Any) -> npt.NDArray[np.int64]:
        super().gaussian(*asked)
        return np.ravel(self.answers[-1].exact).astype(np.int64)

    def greatest(self, *asked: Any) -> int:
        super().greatest(*asked)
        return int(np.argmax(self.answers[-1].exact))


def fitted(
    frame: pd.DataFrame,
    schema: Schema,
    name: str,
    epsilon: float,
    target: str | None = None,
    accountant: Any = Quiet,
) -> FittedModel:
    task = FitTask(name, {}, schema, target, budget=Budget(epsilon), seed=0)
    return learn(
        read(frame, total=True), task, stream=np.random.SeedSequence(0), accountant=accountant
    )


def share(model: FittedModel, column: str) -> Floats:
    """About the share of each code of a column."""
    return np.asarray(model.model.marginal(model.schema.names.index(column)), dtype=float)


LETTERS = Column("cat", Kind.CATEGORICAL, "string", Levels(("a", "b", "c")), GIVEN)
DIGIT = Column("num", Kind.INTEGER, "int64", Bounds(0, 10), GIVEN)
CLASS = Column("y", Kind.CATEGORICAL, "string", Levels(("no", "yes")), GIVEN)
SCHEMA = Schema((LETTERS, DIGIT, CLASS))


def people(lost: int = 240, rare_class: bool = False) -> pd.DataFrame:
    """Levels as 3 : 2 : 1, numbers symmetric about 5, and `lost` rows with neither."""
    known = ROWS - lost
    cat = np.repeat(["a", "b", "c"], [known // 2, known // 3, known - known // 2 - known // 3])
    num = np.tile(np.arange(2, 9), known // 7 + 1)[:known]
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "cat": rng.permutation(np.append(cat, ["unheard of"] * lost)),
            "num": rng.permutation(np.append(num.astype(float), [np.nan] * lost)),
            "y": rng.permutation(np.repeat(["no", "yes"], [ROWS - 600, 600])),
        }
    )
    if rare_class:  # half of the class has no digit
        holes = frame.index[frame["y"] == "yes"][:lost]
        frame["num"] = np.random.default_rng(1).integers(2, 9, ROWS).astype(float)
        frame.loc[holes, "num"] = np.nan
    return frame


# ------------------------------------------------------------------ by hand


def test_the_last_group_is_shared_out_in_proportion() -> None:
    values, scale = spread(np.array([30, 10, 8]), np.zeros(3), axis=0)
    assert values.tolist() == [36, 12]
    assert scale.tolist() == [0, 0]


def test_the_last_group_is_shared_out_as_it_lies_beside_other_columns() -> None:
    # 6 rows of the last group stand beside the first class, 2 beside the second.
    counts = np.array([[30, 10], [10, 30], [6, 2]])
    values, _ = spread(counts, np.full((3, 2), 1e-6), axis=0)
    expected = [[30 + 6 * 3 / 4, 10 + 2 / 4], [10 + 6 / 4, 30 + 2 * 3 / 4]]
    assert np.allclose(values, expected)
    assert np.allclose(values.sum(axis=0), counts.sum(axis=0)), "the other column keeps its counts"


def test_a_dependence_that_noise_would_show_is_not_believed() -> None:
    counts = np.array([[400, 400], [400, 400], [6, -2]])
    values, _ = spread(counts, np.full((3, 2), 20.0), axis=0)
    assert np.allclose(values, [[401, 401], [401, 401]])


def test_nothing_is_shared_out_of_nothing() -> None:
    for counts in ([0, 0, 0], [-5, -3, -1], [0, 0, 7]):
        values, _ = spread(np.array(counts), np.full(3, 2.0), axis=0)
        assert np.isfinite(values).all()
        assert values.sum() == pytest.approx(sum(counts))


def test_doubtful_codes_form_a_group_that_is_never_drawn() -> None:
    one = keep_all(np.array([50.0, 40.0, 30.0, 3.0, 2.0]), 2.0, spare=2)
    assert (one.group_of.tolist(), one.size, one.counted) == ([0, 1, 2, 3, 3], 3, 4)
    two = group_codes(
        np.array([[50.0], [40.0], [90.0], [2.0]]), 2.0, spare=2, ordered=True, max_groups=9
    )
    assert (two.group_of.tolist(), two.size, two.counted) == ([0, 1, 2, 3], 3, 4)
    sure = group_codes(
        np.array([[50.0], [40.0], [90.0], [80.0]]), 2.0, spare=2, ordered=True, max_groups=9
    )
    assert sure.size == sure.counted == 4
    for groups in (one, two, sure):
        every = np.repeat(np.arange(groups.size), 50)
        codes = groups.refine(every, np.zeros(len(every), np.intp), np.random.default_rng(0))
        assert (groups.shares[codes] > 0).all()
        assert np.array_equal(groups.group_of[codes], every)
        again = Groups.from_state(groups.state("x"), "x")
        assert (again.size, again.counted) == (groups.size, groups.counted)


def test_a_group_in_the_middle_without_a_share_is_damage() -> None:
    arrays = {
        "x.groups": np.array([0, 1, 2], np.int32),
        "x.shares": np.array([[1.0], [0.0], [1.0]]),
    }
    with pytest.raises(ArtefactError, match="do not add up"):
        Groups.from_state(arrays, "x")


# ------------------------------------------------------------------ without noise


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("target", [None, "y"])
def test_levels_and_numbers_keep_their_proportions(name: str, target: str | None) -> None:
    model = fitted(people(), SCHEMA, name, DOUBT[name], target)
    full = fitted(people(0), SCHEMA, name, DOUBT[name], target)
    for column, codes in (("cat", 3), ("num", 11)):
        found = share(model, column)
        assert found[:codes].sum() == pytest.approx(1, abs=1e-6)
        # As a table without gaps is told under the same noise, smoothed as it is.
        assert np.allclose(found, share(full, column), atol=0.012), column
    drawn = model.sample(20_000, seed=1)
    assert not drawn["num"].isna().any()
    assert OTHER not in set(drawn["cat"])
    assert abs(drawn["num"].mean() - 5) < 0.1
    assert share(model, "y")[1] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("name", ENGINES)
def test_gaps_that_stand_out_are_drawn(name: str) -> None:
    drawn = fitted(people(), SCHEMA, name, 50.0, "y").sample(20_000, seed=1)
    assert drawn["num"].isna().mean() == pytest.approx(0.08, abs=0.01)
    assert (drawn["cat"] == OTHER).mean() == pytest.approx(0.08, abs=0.01)


@pytest.mark.parametrize("name", ["marginals", "copula"])
def test_a_class_that_has_all_the_gaps_keeps_its_share(name: str) -> None:
    drawn = fitted(people(240, rare_class=True), SCHEMA, name, DOUBT[name], "y").sample(
        20_000, seed=1
    )
    assert (drawn["y"] == "yes").mean() == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("name", ["marginals", "copula"])
def test_rows_without_a_class_are_shared_out_among_the_classes(name: str) -> None:
    frame = people(0)
    frame.loc[np.random.default_rng(2).permutation(ROWS)[:240], "y"] = None
    model = fitted(frame, SCHEMA, name, DOUBT[name], "y")
    assert share(model, "y")[2:].sum() < 1e-6, "none is believed"
    kept = frame["y"].value_counts(normalize=True)
    assert share(model, "y")[1] == pytest.approx(kept["yes"], abs=0.01)
    assert model.card["class_shares"][1] == pytest.approx(kept["yes"], abs=0.01)


def bound_columns(gaps: Sequence[str]) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=ROWS)
    frame = pd.DataFrame(
        {
            "p": np.clip(np.rint(5 + 2 * x), 0, 10),
            "q": np.clip(np.rint(5 + 2 * (0.8 * x + 0.6 * rng.normal(size=ROWS))), 0, 10),
            "s": np.where(x > 0, "high", "low"),
        }
    ).astype({"s": object})
    for i, name in enumerate(gaps):
        frame.loc[np.arange(ROWS) % 12 == i, name] = "unheard of" if name == "s" else np.nan
    return frame


BOUND = Schema(
    (
        Column("p", Kind.INTEGER, "int64", Bounds(0, 10), GIVEN),
        Column("q", Kind.INTEGER, "int64", Bounds(0, 10), GIVEN),
        Column("s", Kind.CATEGORICAL, "string", Levels(("high", "low")), GIVEN),
    )
)


@pytest.mark.parametrize("name", ["marginals", "mst", "aim", "copula"])
def test_what_columns_say_of_each_other_is_not_weakened_by_gaps(name: str) -> None:
    told = []
    for gaps in ((), ("p", "s")):
        drawn = fitted(bound_columns(gaps), BOUND, name, DOUBT[name]).sample(20_000, seed=1)
        assert drawn.notna().to_numpy().all()
        level = (drawn["s"] == "high").astype(float)
        pairs = (drawn["p"], drawn["q"]), (level, drawn["q"])
        told.append([float(np.corrcoef(*pair)[0, 1]) for pair in pairs])
    assert np.allclose(told[0], told[1], atol=0.05), told


def test_rows_that_are_grown_under_a_budget_have_no_gap_in_the_last_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(growth, "learn", partial(learn, accountant=Quiet))
    table = read(people(), total=True)
    plan = Plan("marginals", schema=SCHEMA, budget=Budget(0.1))
    made = grow_privately(table, table, "y", plan, Budget(0.1), seed=0)
    new = made.synthetic.to_pandas()
    assert len(new) > 1_000
    assert set(new["cat"]) == {"a", "b", "c"}
    shares = new["cat"].value_counts(normalize=True)
    assert shares["c"] == pytest.approx(1 / 6, abs=0.03)
    assert abs(new["num"].mean() - 5) < 0.25


def test_a_model_with_doubtful_gaps_is_saved_asked_and_refitted(tmp_path: Any) -> None:
    model = fitted(people(), SCHEMA, "marginals", 0.1)
    model.save(tmp_path / "m.psyn")
    again = load(tmp_path / "m.psyn")
    assert again.sample(500, seed=3).equals(model.sample(500, seed=3))
    for asked in ({"num": None}, {"cat": "(other)"}):
        with pytest.raises(SamplingError):
            again.sample(5, seed=1, where=asked)
    for name in ("mst", "aim", "independent"):
        other = refit(again, name, recipe(name, None))
        assert np.allclose(share(other, "cat"), share(again, "cat"), atol=0.02), name


# ------------------------------------------------------------------ with noise


def test_levels_of_one_size_come_out_equal_within_the_noise() -> None:
    """The difference of two levels has a known variance: it fails by chance once in 1e7 runs."""
    times, lost = 60, 240
    frame = pd.DataFrame({"cat": np.repeat(["a", "b", "c", "unheard of"], [920, 920, 920, lost])})
    schema = Schema((LETTERS,))
    apart, scale = [], 0.0
    for _ in range(times):
        model = fitted(frame, schema, "mst", 0.08, accountant=Accountant)
        shares = share(model, "cat")
        apart.append((shares[2] - shares[0]) * ROWS)
        scale = model.ledger.events[0].scale
    assert 70 < scale < 140, "so many rows would be believed, or noise hides what is looked for"
    # The estimate smooths, which draws levels together and never apart.
    margin = float(norm.isf(CHANCE / 2)) * scale * math.sqrt(2 / times) * 1.2
    assert margin < lost, "the fault would not be seen"
    assert abs(float(np.mean(apart))) < margin


@pytest.mark.slow
def test_the_mean_of_a_column_stays_though_some_of_its_values_are_missing() -> None:
    times = 120
    frame, schema = people()[["num"]], Schema((DIGIT,))
    means = []
    for _ in range(times):
        model = fitted(frame, schema, "mst", 0.08, accountant=Accountant)
        shares = share(model, "num")[:11]
        means.append(float(shares @ np.arange(11) / shares.sum()))
    spread_of = float(np.std(means, ddof=1)) / math.sqrt(times)
    margin = float(t.isf(CHANCE / 2, times - 1)) * spread_of
    assert margin < 0.2, "8% of gaps in the highest group would not be seen: they add 0.24"
    assert abs(float(np.mean(means)) - 5) < margin
