"""SDV's engines, made safe: exact conditions, kept shares, obeyed seeds, parameters alone."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import Rows, levels, mixed, whole, zero_inflated

from privsynth.coding.codec import Codec
from privsynth.engines.registry import ENGINES, engine, recipe
from privsynth.engines.sdv.encoding import Number, encode
from privsynth.errors import ArtefactError, ConfigError, DataError, SamplingError
from privsynth.privacy.disclosure import Disclosure

COPULA = "sdv-gaussian-copula"
NETWORKS = ("sdv-ctgan", "sdv-tvae", "sdv-copula-gan")
SMALL_GAN = {
    "epochs": 1,
    "batch_size": 100,
    "generator_dim": [16],
    "discriminator_dim": [16],
    "embedding_dim": 8,
}
QUICK: dict[str, dict[str, Any]] = {
    COPULA: {},
    "sdv-ctgan": SMALL_GAN,
    "sdv-copula-gan": SMALL_GAN,
    "sdv-tvae": {
        "epochs": 1,
        "compress_dims": [16],
        "decompress_dims": [16],
        "embedding_dim": 8,
    },
}
every_engine = pytest.mark.parametrize("name", list(QUICK))


def fitted(name: str, rows: Rows, seed: int = 0, **settings: Any) -> Any:
    return recipe(name, QUICK[name] | settings).fit(rows, np.random.default_rng(seed))


def drawn(model: Any, n: int, seed: int = 1, where: dict[int, int] | None = None) -> np.ndarray:
    return np.asarray(model.sample(n, np.random.default_rng(seed), where=where))


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: fitted(name, mixed()) for name in QUICK}


def test_every_engine_of_the_family_is_tested() -> None:
    assert {name for name in ENGINES if name.startswith("sdv-")} == set(QUICK)


@every_engine
def test_rows_are_codes_of_their_columns(name: str, models: dict[str, Any]) -> None:
    codes = drawn(models[name], 500)
    assert codes.shape == (500, 7)
    assert codes.dtype == np.int32
    assert (codes >= 0).all()
    assert (codes < mixed().codec.sizes).all()
    assert (codes[:, 4] == 0).all()
    assert not models[name].holds_rows


@every_engine
def test_the_same_seed_gives_the_same_codes_and_another_seed_others(
    name: str, models: dict[str, Any]
) -> None:
    again = fitted(name, mixed())
    assert np.array_equal(drawn(models[name], 300), drawn(again, 300))
    assert not np.array_equal(drawn(models[name], 300), drawn(again, 300, seed=2))


@pytest.mark.parametrize("name", NETWORKS)
def test_another_seed_trains_another_network(name: str, models: dict[str, Any]) -> None:
    other = fitted(name, mixed(), seed=9)
    assert not np.array_equal(models[name].layers[0][0], other.layers[0][0])


@every_engine
@pytest.mark.parametrize("label", [0, 1])
def test_a_condition_on_the_target_holds_in_every_row(
    name: str, label: int, models: dict[str, Any]
) -> None:
    codes = drawn(models[name], 250, where={6: label})
    assert len(codes) == 250
    assert (codes[:, 6] == label).all()


@every_engine
def test_an_unseen_class_is_refused(name: str, models: dict[str, Any]) -> None:
    with pytest.raises(SamplingError, match="no row of the class"):
        drawn(models[name], 5, where={6: 2})


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_refuses_other_conditions(name: str, models: dict[str, Any]) -> None:
    with pytest.raises(SamplingError, match="target alone"):
        drawn(models[name], 5, where={0: 1})
    with pytest.raises(SamplingError, match="target alone"):
        drawn(models[name], 5, where={6: 1, 0: 1})


@every_engine
def test_classes_keep_their_shares(name: str, models: dict[str, Any]) -> None:
    codes = drawn(models[name], 20_000)
    assert abs((codes[:, 6] == 1).mean() - 0.1) < 0.015


def test_the_copula_keeps_marginals_nulls_and_associations() -> None:
    rows = mixed(8_000)
    codes = drawn(fitted(COPULA, rows), 20_000)
    for j, size in enumerate(rows.codec.sizes):
        real = np.bincount(rows.rows[:, j], minlength=size) / len(rows.rows)
        made = np.bincount(codes[:, j], minlength=size) / len(codes)
        assert np.abs(real - made).sum() / 2 < 0.03, rows.codec.codings[j].name
    for null, j in ((30, 1), (5, 2), (1, 5)):
        assert abs((codes[:, j] == null).mean() - (rows.rows[:, j] == null).mean()) < 0.015
    real, made = (np.corrcoef(r[:, 0], r[:, 3])[0, 1] for r in (rows.rows, codes))
    assert made == pytest.approx(real, abs=0.05)


@pytest.mark.parametrize("distribution", ["norm", "beta", "truncnorm", "gamma", "uniform"])
def test_a_named_distribution_shapes_its_column_alone(distribution: str) -> None:
    rows = mixed()
    plain = fitted(COPULA, rows)
    model = fitted(COPULA, rows, numerical_distributions={"age": distribution})
    assert not np.array_equal(model.shares[:, :20], plain.shares[:, :20])
    assert np.array_equal(model.shares[:, 20:], plain.shares[:, 20:])
    assert np.allclose(model.shares[:, :20].sum(axis=1), 1)


def test_wrong_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="gaussian_kde"):
        recipe(COPULA, {"default_distribution": "gaussian_kde"})
    with pytest.raises(ConfigError, match="'gamma'"):
        recipe("sdv-copula-gan", {"default_distribution": "gama"})
    with pytest.raises(ConfigError, match=r"'agee'.*'age'"):
        fitted(COPULA, mixed(), numerical_distributions={"agee": "norm"})
    with pytest.raises(ConfigError, match=r"batch_size is 500.*pac"):
        recipe("sdv-ctgan", {"pac": 7})
    with pytest.raises(ConfigError, match="epochs"):
        recipe("sdv-tvae", {"epochs": 0})
    with pytest.raises(ConfigError, match="generator_dim"):
        recipe("sdv-ctgan", {"generator_dim": [0]})


@every_engine
def test_the_state_rebuilds_the_model(name: str, models: dict[str, Any]) -> None:
    import json

    meta, arrays = models[name].state()
    again = engine(name).model.from_state(
        json.loads(json.dumps(meta)), {key: array.copy() for key, array in arrays.items()}
    )
    assert np.array_equal(drawn(models[name], 400), drawn(again, 400))


@every_engine
def test_the_state_does_not_grow_with_the_rows(name: str, models: dict[str, Any]) -> None:
    """400 rows or 590: no array has an axis of that length, or as many figures a row."""
    for rows, model in ((400, models[name]), (590, fitted(name, mixed(590)))):
        _, arrays = model.state()
        for key, array in arrays.items():
            assert array.dtype in (np.float32, np.float64, np.int32), key
            assert rows not in array.shape, key


@every_engine
def test_a_damaged_state_is_refused(name: str, models: dict[str, Any]) -> None:
    meta, arrays = models[name].state()
    read = engine(name).model.from_state
    for key in arrays:
        with pytest.raises(ArtefactError):
            read(meta, {other: array for other, array in arrays.items() if other != key})
        with pytest.raises(ArtefactError):
            read(meta, arrays | {key: np.append(arrays[key].ravel(), 0).astype(arrays[key].dtype)})
        with pytest.raises(ArtefactError):
            read(meta, arrays | {key: arrays[key].astype(np.float16)})
    for key in meta:
        with pytest.raises(ArtefactError):
            read({other: value for other, value in meta.items() if other != key}, arrays)
    with pytest.raises(ArtefactError):
        read(meta | {"target": 99}, arrays)
    with pytest.raises(ArtefactError):
        read(meta | {"sizes": [2] * 7}, arrays)


@every_engine
@pytest.mark.parametrize("target", [None, 1])
def test_tables_of_one_kind_alone(name: str, target: int | None) -> None:
    rng = np.random.default_rng(0)
    discrete = Codec((levels("a", 3), levels("b", 4), levels("c", 1)), target)
    table = np.stack([rng.integers(0, 3, 300), rng.integers(0, 4, 300), np.zeros(300)], axis=1)
    codes = drawn(fitted(name, Rows(discrete, table.astype(np.int32))), 100)
    assert (codes < discrete.sizes).all()
    numeric = Codec((whole("a", 30), zero_inflated("b", 40)), target)
    assert not numeric.classes
    table = np.stack([rng.integers(0, 30, 300), rng.integers(0, 40, 300)], axis=1)
    codes = drawn(fitted(name, Rows(numeric, table.astype(np.int32))), 100)
    assert (codes < numeric.sizes).all()


@every_engine
def test_a_level_without_rows_and_a_column_without_values_are_no_error(name: str) -> None:
    rng = np.random.default_rng(0)
    codec = Codec((levels("a", 4), whole("b", 30, nullable=True), levels("y", 3)), 2)
    table = np.stack([rng.integers(0, 2, 300), np.full(300, 30), rng.integers(0, 2, 300)], axis=1)
    model = fitted(name, Rows(codec, table.astype(np.int32)))
    codes = drawn(model, 200)
    assert (codes[:, 1] == 30).mean() > 0.95
    with pytest.raises(SamplingError, match="no row of the class"):
        drawn(model, 5, where={2: 2})


@every_engine
def test_a_class_of_exactly_k_rows_can_be_asked_for(name: str) -> None:
    model = fitted(name, mixed(share=10 / 400))
    assert (drawn(model, 50, where={6: 1})[:, 6] == 1).all()


@every_engine
def test_too_few_rows_say_how_many_are_needed(name: str) -> None:
    few = Rows(mixed().codec, mixed().rows[:9])
    with pytest.raises(DataError, match=r"9 rows, but .* needs (10|20)"):
        fitted(name, few)


@pytest.mark.parametrize("name", NETWORKS)
def test_twice_k_rows_are_enough_whatever_the_batch(name: str) -> None:
    rows = Rows(mixed().codec, mixed(20, share=0.5).rows)
    batch = 500
    assert drawn(fitted(name, rows, batch_size=batch), 30).shape == (30, 7)


@pytest.mark.parametrize("name", NETWORKS)
def test_mixture_components_rest_on_k_rows(name: str, models: dict[str, Any]) -> None:
    """With k of 10 in 40 rows there is room for four components at most."""
    rows = Rows(mixed().codec, mixed(40, share=0.5).rows)
    numbers = [part for part in fitted(name, rows).parts if hasattr(part, "means")]
    assert numbers
    assert all(len(part.means) <= 4 for part in numbers)


@every_engine
def test_a_column_of_10_000_levels_is_pooled_and_keeps_its_tail(name: str) -> None:
    """Ten levels hold half of the rows; no single one of the other 9,990 holds 1 in 1,000."""
    rng = np.random.default_rng(0)
    many = np.concatenate([np.arange(10_000), rng.integers(0, 10, 10_000)])
    codec = Codec((levels("many", 10_000), levels("y", 2)), 1)
    table = np.stack([many, rng.integers(0, 2, len(many))], axis=1).astype(np.int32)
    settings = {"max_levels": 11, "batch_size": 500} if name in NETWORKS else {}
    model = fitted(name, Rows(codec, table, Disclosure(1)), **settings)
    if name in NETWORKS:
        assert len(model.layers[-1][1]) == 11 + 2
    tail = drawn(model, 1_000)[:, 0]
    tail = tail[tail >= 10]
    assert len(np.unique(tail)) > 0.8 * len(tail) > 10


@every_engine
def test_the_users_random_state_threads_and_warning_filters_are_untouched(name: str) -> None:
    import torch

    np.random.seed(4)  # noqa: NPY002
    torch.manual_seed(4)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # type: ignore[index]  # noqa: NPY002
    threads, filters = torch.get_num_threads(), list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drawn(fitted(name, mixed()), 50)
    assert not caught
    assert np.array_equal(np.random.get_state()[1], before[0])  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.get_num_threads() == threads
    assert warnings.filters == filters


@every_engine
def test_progress_is_reported_to_its_end(name: str) -> None:
    steps: list[tuple[str, int, int]] = []
    QUICK_RECIPE = recipe(name, QUICK[name])
    QUICK_RECIPE.fit(
        mixed(),
        np.random.default_rng(0),
        lambda *step: steps.append(step),  # type: ignore[arg-type]
    )
    assert steps[-1][1] == steps[-1][2]
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


@pytest.mark.slow
def test_nothing_is_printed_and_no_file_is_made(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[1]); import test_sdv as t\n"
        "for name in t.QUICK: t.drawn(t.fitted(name, t.mixed()), 20)"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(here)],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.rglob("*")) == []


# -- the parts, by hand ------------------------------------------------------------------------


def test_numbers_that_a_network_is_fed_come_back_as_their_own_cells() -> None:
    """Atoms always, intervals but for the twentieth that touches an atom."""
    coding = zero_inflated("gain", 30, nullable=True)
    codes = np.repeat(np.arange(31, dtype=np.int32), 200)[:, None]
    number, presence = encode(Codec((coding,)), codes, np.random.default_rng(0), max_levels=9)
    assert isinstance(number.part, Number)
    back = np.searchsorted(number.part.cuts, number.values, side="right")
    same = back[:6000] == codes[:6000, 0]
    assert same[:200].all()
    assert same[200:400].mean() == pytest.approx(0.95, abs=0.05)
    assert same[400:].all()
    assert presence.part.codes[presence.values[0]] == -1  # type: ignore[union-attr]
    assert presence.part.codes[presence.values[-1]] == 30  # type: ignore[union-attr]
