"""Sequential trees: what a fitted model holds, and what it draws."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.engines.registry import recipe
from privsynth.errors import ConfigError, PrivsynthWarning


def loans(rows: int = 4000, seed: int = 0) -> pd.DataFrame:
    """Return rows in which a rare class depends on two columns together."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["car", "house", "boat"], rows, p=[0.5, 0.3, 0.2])
    region = rng.choice(list("abcdef"), rows)
    risky = (kind == "boat") & np.isin(region, ["a", "b"])
    bad = rng.random(rows) < np.where(risky, 0.45, 0.02)
    amount = np.where(bad, rng.gamma(4, 900, rows), rng.gamma(2, 900, rows)).round(-1)
    return pd.DataFrame(
        {
            "kind": kind,
            "region": region,
            "amount": amount,
            "late": np.where(rng.random(rows) < 0.2, np.nan, rng.integers(0, 30, rows)),
            "bad": np.where(bad, "yes", "no"),
        }
    )


def leaf_rows(model: privsynth.FittedModel, frame: pd.DataFrame) -> list[int]:
    """Count the training rows in each leaf of each tree, by walking them anew."""
    import pyarrow as pa

    cart, codec = model.model, model.codec
    codes = codec.encode(pa.Table.from_pandas(frame, preserve_index=False))
    labels = codes[:, cart.target]
    held: list[int] = []
    for j, shared, own in zip(cart.order, cart.shared, cart.by_class, strict=True):
        mine = codes if j == cart.target else codes[~np.isin(labels, list(own))]
        trees = [(shared, mine), *((tree, codes[labels == c]) for c, tree in own.items())]
        for tree, rows in trees:
            leaf = tree.leaf_of(np.asfortranarray(rows))
            held += np.bincount(leaf, minlength=len(tree.shares)).tolist()
    return held


def test_no_leaf_holds_fewer_rows_than_are_asked_for() -> None:
    frame = loans()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivsynthWarning)
        for settings, least in (({}, 15), ({"leaf": 5, "class_leaf": 2, "pruning": 0.0}, 10)):
            model = privsynth.fit(frame, engine="cart", target="bad", seed=1, settings=settings)
            assert min(leaf_rows(model, frame)) >= least


def test_what_two_columns_say_of_a_rare_class_together_is_kept() -> None:
    real = loans(8000)
    made = privsynth.fit(real, engine="cart", target="bad", seed=1).sample(40_000, seed=1)

    def share(frame: pd.DataFrame) -> float:
        risky = frame[(frame["kind"] == "boat") & frame["region"].isin(["a", "b"])]
        return float((risky["bad"] == "yes").mean())

    assert share(made) == pytest.approx(share(real), abs=0.06)


def test_a_column_that_says_nothing_splits_no_tree() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({f"c{i}": rng.integers(0, 8, 5000) for i in range(6)})
    model = privsynth.fit(frame, engine="cart", seed=1)
    with pytest.warns(PrivsynthWarning, match="pruning is 0.0"):
        bushy = privsynth.fit(frame, engine="cart", seed=1, settings={"pruning": 0.0})
    # The best of many chance splits gains more than twice their mean now and then.
    assert leaves(model) < 0.4 * leaves(bushy)


def leaves(model: privsynth.FittedModel) -> int:
    return sum(len(tree.shares) for tree in model.model.shared)


def test_a_large_table_is_split_by_a_part_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from privsynth.engines.cart import recipe

    monkeypatch.setattr(recipe, "ROWS_OF_TREE", 1500)
    frame = loans(9000)
    model = privsynth.fit(frame, engine="cart", target="bad", seed=1)
    assert min(leaf_rows(model, frame)) >= 15
    made = model.sample(9000, seed=1)
    for column in ("kind", "region"):
        shares = pd.concat([made[column].value_counts(), frame[column].value_counts()], axis=1)
        assert shares.diff(axis=1).iloc[:, 1].abs().max() < 150


def test_seven_hundred_levels_keep_their_tail_and_stay_small() -> None:
    rng = np.random.default_rng(0)
    weight = 1 / np.arange(1, 701)
    shop = rng.choice(700, 40_000, p=weight / weight.sum())
    frame = pd.DataFrame(
        {
            "shop": [f"s{i}" for i in shop],
            "spent": (rng.gamma(2, 10, 40_000) * (1 + shop % 7)).round(2),
            "late": np.where(rng.random(40_000) < (shop % 5) / 10, "y", "n"),
        }
    )
    model = privsynth.fit(frame, engine="cart", target="late", seed=1)
    made = model.sample(40_000, seed=1)
    held = frame["shop"].value_counts()
    held = held[held >= 10]
    assert set(held.index) - set(made["shop"]) == set()
    tail = held.index[300:]
    real_tail = frame["shop"].isin(tail).mean()
    assert made["shop"].isin(tail).mean() == pytest.approx(real_tail, rel=0.1)
    assert sum(array.nbytes for array in model.model.state()[1].values()) < 5_000_000


def test_asked_columns_are_drawn_first_and_the_target_before_them() -> None:
    model = privsynth.fit(
        loans(1000), engine="cart", target="bad", seed=1, settings={"order": ["late", "kind"]}
    )
    names = [model.codec.codings[j].name for j in model.model.order]
    assert names[:3] == ["bad", "late", "kind"]
    with pytest.raises(ConfigError, match="no column 'lat'"):
        privsynth.fit(loans(1000), engine="cart", settings={"order": ["lat"]})


@pytest.mark.parametrize(
    ("name", "value"), [("leaf", 5), ("class_leaf", 10), ("pruning", 1.0), ("shrinkage", 0.5)]
)
def test_a_dial_turned_from_privacy_to_fidelity_is_told(name: str, value: float) -> None:
    with pytest.warns(PrivsynthWarning, match=f"{name} is {value}; below"):
        privsynth.fit(loans(600), engine="cart", target="bad", settings={name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("leaf", 0), ("class_leaf", 0), ("pruning", -1.0), ("shrinkage", -1.0), ("predictors", 0)],
)
def test_a_setting_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError):
        recipe("cart", {name: value})


def test_a_column_named_twice_in_the_order_is_refused() -> None:
    with pytest.raises(ConfigError, match="'kind' is named twice"):
        privsynth.fit(loans(600), engine="cart", settings={"order": ["kind", "kind"]})


def test_columns_of_many_codes_do_not_crowd_out_those_that_tell() -> None:
    rng = np.random.default_rng(0)
    said = rng.random((3000, 10)) < 0.5
    numbers = rng.normal(size=(3000, 30)).round(3)
    numbers[:, :10] += 0.8 * said
    frame = pd.DataFrame(said, columns=[f"b{i}" for i in range(10)]).join(
        pd.DataFrame(numbers, columns=[f"y{i}" for i in range(30)])
    )
    odds = said.sum(axis=1) + rng.normal(size=3000)
    frame["t"] = np.where(odds > np.quantile(odds, 0.8), "yes", "no")
    made = privsynth.fit(frame, engine="cart", target="t", seed=0).sample(20_000, seed=0)
    kept = [
        made.loc[made[f"b{i}"], f"y{i}"].mean() - made.loc[~made[f"b{i}"], f"y{i}"].mean()
        for i in range(10)
    ]
    assert np.mean(kept) == pytest.approx(0.8, abs=0.08)
    assert min(kept) > 0.5


def test_a_rare_class_keeps_what_many_levels_say_of_a_number() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    level = np.clip(np.floor(350 * (0.5 + x / 7)), 0, 349).astype(int)
    frame = pd.DataFrame({"level": [f"h{i}" for i in level], "x": x.round(3)})
    frame["t"] = np.where(rng.random(20_000) < 0.1, "yes", "no")
    model = privsynth.fit(frame, engine="cart", target="t", seed=0, settings={"order": ["level"]})
    made = model.sample(20_000, seed=0, where={"t": "yes"})
    made = made[made["level"] != "(other)"]
    number = made["level"].str[1:].astype(int)
    assert np.corrcoef(number, made["x"])[0, 1] > 0.8


def test_many_levels_that_are_drawn_from_numbers_stay_near_them() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20_000))
    level = np.clip(np.floor(400 * (0.5 + (x + y) / 10)), 0, 399).astype(int)
    name = rng.permutation(400)
    frame = pd.DataFrame(
        {"x": x.round(3), "y": y.round(3), "level": [f"h{i}" for i in name[level]]}
    )
    frame["t"] = np.where(rng.random(20_000) < 0.1, "yes", "no")
    settings = {"order": ["x", "y"]}
    made = privsynth.fit(frame, engine="cart", target="t", seed=0, settings=settings).sample(
        20_000, seed=0
    )
    made = made[made["level"] != "(other)"]
    number = np.argsort(name)[made["level"].str[1:].astype(int)]
    assert np.corrcoef(number, made["x"] + made["y"])[0, 1] > 0.93


def test_what_sets_a_rare_class_apart_is_drawn_early() -> None:
    rng = np.random.default_rng(0)
    label = np.array([*["common"] * 4900, *["other"] * 4900, *["rare"] * 200])
    common = rng.normal(size=10_000) + 1.2 * (label == "common")
    rare = rng.normal(size=10_000) + 2.5 * (label == "rare")
    frame = pd.DataFrame({"common": common.round(2), "rare": rare.round(2), "t": label})
    model = privsynth.fit(frame, engine="cart", target="t", seed=0)
    assert [model.codec.codings[j].name for j in model.model.order] == ["t", "rare", "common"]


@pytest.mark.parametrize("name", ["pruning", "shrinkage"])
def test_an_infinite_setting_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="give a number of 0 or more"):
        recipe("cart", {name: float("inf")})
