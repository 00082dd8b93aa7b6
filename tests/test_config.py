"""A configuration file becomes one checked, immutable value, or one clear line."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from privsynth.config import RunConfig, parse_setting
from privsynth.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_every_key(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        engine: sdv-ctgan
        target: Class
        schema: reviewed.yaml
        k: 5
        seed: 7
        holdout: 0.2
        holdout_output: /elsewhere/holdout.csv
        encoding: latin-1
        settings: {epochs: 30, generator_dim: [128, 128]}
        """,
    )
    assert RunConfig.from_yaml(path) == RunConfig(
        engine="sdv-ctgan",
        target="Class",
        schema=tmp_path / "reviewed.yaml",
        k=5,
        seed=7,
        holdout=0.2,
        holdout_output=Path("/elsewhere/holdout.csv"),
        encoding="latin-1",
        settings={"epochs": 30, "generator_dim": [128, 128]},
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "engine:\n"])
def test_what_is_left_out_keeps_its_default(tmp_path: Path, text: str) -> None:
    assert RunConfig.from_yaml(written(tmp_path, text)) == RunConfig()


def test_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        RunConfig().k = 1  # type: ignore[misc]


def test_override_wins_where_given() -> None:
    run = RunConfig(engine="sdv-tvae", seed=1, settings={"epochs": 3, "batch_size": 50})
    changed = run.override({"epochs": 9}, engine=None, seed=2)
    assert changed == RunConfig(engine="sdv-tvae", seed=2, settings={"epochs": 9, "batch_size": 50})
    assert run.settings == {"epochs": 3, "batch_size": 50}


def test_an_unknown_key_names_the_file_and_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "enginee: sdv-ctgan\n")
    with pytest.raises(ConfigError, match=r"run\.yaml: unknown key 'enginee'.*'engine'"):
        RunConfig.from_yaml(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("k: ten", "'k' is a text; expected a whole number"),
        ("k: true", "'k' is true/false"),
        ("k: 0", "'k' is 0; expected 1 or more"),
        ("k:", "'k' is nothing"),
        ("seed: 1.5", "'seed' is a number; expected a whole number"),
        ("seed: -1", "'seed' is -1"),
        ("holdout: 1", "a share between 0 and 1"),
        ("holdout: .nan", "a share between 0 and 1"),
        ("target: no", "'target' is true/false; expected a text"),
        ("schema: [a]", "'schema' is a list; expected a path"),
        ("settings: [epochs]", "'settings' is a list; expected a mapping"),
        ("settings: {1: 2}", "'settings' has a key that is not text"),
        ("- engine", "is not a mapping"),
        ("engine: [a", "line 1"),
        ("k: 1\nk: 2", "line 2: a key is given twice"),
        ("? [a]\n: 1", "line 1: an object tag or key that is not plain"),
        ("seed: 2020-99-99", "line 1: is not a valid date or number"),
        ("settings: " + "[" * 5000, "line 1: is not plain YAML"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_file(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_yaml(written(tmp_path, text))
    message = str(caught.value)
    assert "run.yaml" in message
    assert says in message
    assert "\n" not in message


def test_object_tags_build_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    tag = f"!!python/object/apply:os.mkdir ['{trap}']"
    with pytest.raises(ConfigError, match="line 1: an object tag"):
        RunConfig.from_yaml(written(tmp_path, f"engine: {tag}\n"))
    with pytest.raises(ConfigError, match="--set epochs"):
        parse_setting(f"epochs={tag}")
    assert not trap.exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        RunConfig.from_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        RunConfig.from_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"target: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml: is not UTF-8"):
        RunConfig.from_yaml(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("epochs=30", ("epochs", 30)),
        ("lr=2e-4", ("lr", 2e-4)),
        ("lr=1.5E+3", ("lr", 1500.0)),
        ("dims=[128, 128]", ("dims", [128, 128])),
        ("cuda=false", ("cuda", False)),
        ("name=beta", ("name", "beta")),
        ("rule=a=b", ("rule", "a=b")),
        ("limit=", ("limit", None)),
        (" epochs =1", ("epochs", 1)),
    ],
)
def test_a_setting_is_read_as_yaml(text: str, setting: tuple[str, Any]) -> None:
    assert parse_setting(text) == setting


@pytest.mark.parametrize("text", ["epochs", "=3", "", " =3"])
def test_a_setting_needs_a_key_and_an_equals_sign(text: str) -> None:
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_setting(text)


_values = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text("abc ", min_size=1).map(str.strip).filter(bool),
    st.lists(st.integers(), max_size=4),
)


@given(st.dictionaries(st.sampled_from(["epochs", "lr", "dims", "name"]), _values))
def test_settings_survive_a_round_trip(settings: dict[str, Any]) -> None:
    for key, value in settings.items():
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n")
        assert parse_setting(f"{key}={text}") == (key, value)


def test_every_shipped_config_is_read() -> None:
    folder = Path(__file__).parent.parent / "configs"
    for path in folder.glob("*.yaml"):
        assert RunConfig.from_yaml(path).engine, path.name
