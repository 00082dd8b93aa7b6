"""A model file: what is saved comes back, and what was tampered with is refused."""

from __future__ import annotations

import io
import json
import pickle
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.artefact import LARGEST, FittedModel
from privsynth.errors import ArtefactError, StorageError, UsageError


@pytest.fixture(scope="module")
def model() -> FittedModel:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": rng.gamma(2, 100, 400).round(2),
            "state": rng.choice(["CT", "NY", "TX"], 400),
            "bad": rng.choice(["no", "yes"], 400, p=[0.8, 0.2]),
        }
    )
    return privsynth.fit(frame, target="bad", seed=1)


@pytest.fixture
def saved(model: FittedModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "m.psyn")
    return tmp_path / "m.psyn"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("seed", [-1, 1.5, "7"])
def test_a_seed_that_is_no_whole_number_is_refused_by_every_verb(
    model: FittedModel, seed: Any
) -> None:
    frame = model.sample(50, seed=1)
    for verb in (
        lambda: model.sample(5, seed=seed),
        lambda: privsynth.fit(frame, seed=seed),
        lambda: privsynth.evaluate(frame, train=frame, seed=seed),
    ):
        with pytest.raises(UsageError, match=f"the seed is {seed!r}; expected a whole number"):
            verb()


@pytest.mark.parametrize("share", ["0.2", 0, 1.0, [0.2]])
def test_a_holdout_that_is_no_share_is_refused(
    model: FittedModel, share: Any, tmp_path: Path
) -> None:
    frame, output = model.sample(50, seed=1), tmp_path / "aside.csv"
    with pytest.raises(UsageError, match="expected a number between 0 and 1"):
        privsynth.fit(frame, holdout=share, holdout_output=output)
    assert not output.exists()


def test_a_loaded_model_gives_the_same_rows(model: FittedModel, saved: Path) -> None:
    again = privsynth.load(saved)
    assert again.sample(300, seed=5).equals(model.sample(300, seed=5))
    assert again.card == model.card
    assert again.schema == model.schema
    assert str(again.ledger.guarantee()) == "no formal guarantee"


def test_same_model_same_bytes_for_the_owner_alone(model: FittedModel, saved: Path) -> None:
    first = saved.read_bytes()
    model.save(saved)
    assert saved.read_bytes() == first
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_the_file_holds_json_and_safetensors_and_no_pickle(saved: Path) -> None:
    assert sorted(members(saved)) == sorted(LARGEST)
    for name, data in members(saved).items():
        if name.endswith(".json"):
            json.loads(data)
        assert not data.startswith(b"\x80")


def test_any_flipped_byte_is_found(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    rng = np.random.default_rng(0)
    damaged = tmp_path / "damaged.psyn"
    places = {0, len(whole) // 2, len(whole) - 1, *rng.integers(0, len(whole), 150).tolist()}
    for place in places:
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with pytest.raises(ArtefactError, match=r"damaged\.psyn"):
            privsynth.load(damaged)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArtefactError, match="damaged"):
        privsynth.load(saved)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "model.pkl", "__init__.py"])
def test_an_extra_member_is_refused(saved: Path, name: str) -> None:
    saved.write_bytes(zipped({**members(saved), name: b"x"}))
    with pytest.raises(ArtefactError, match="member that no model has"):
        privsynth.load(saved)


def test_a_missing_member_is_refused(saved: Path) -> None:
    parts = members(saved)
    del parts["ledger.json"]
    saved.write_bytes(zipped(parts))
    with pytest.raises(ArtefactError, match="lacks a member"):
        privsynth.load(saved)


def test_a_newer_format_asks_for_a_newer_privsynth(saved: Path) -> None:
    parts = members(saved)
    manifest = json.loads(parts["manifest.json"])
    manifest["version"] = 99
    saved.write_bytes(zipped({**parts, "manifest.json": json.dumps(manifest).encode()}))
    with pytest.raises(ArtefactError, match="install a newer privsynth"):
        privsynth.load(saved)


def test_a_repacked_file_is_refused_even_when_its_members_are_whole(saved: Path) -> None:
    saved.write_bytes(zipped(members(saved)))
    with pytest.raises(ArtefactError, match="altered"):
        privsynth.load(saved)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.mark,))


def test_a_renamed_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "m.psyn").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ArtefactError, match="no privsynth model"):
        privsynth.load(tmp_path / "m.psyn")
    assert not mark.exists()


def test_a_member_that_says_it_is_huge_is_refused(saved: Path) -> None:
    parts = members(saved)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            size = LARGEST["manifest.json"] + 1
            archive.writestr(name, b" " * size if name == "manifest.json" else data)
    saved.write_bytes(buffer.getvalue())
    with pytest.raises(ArtefactError, match="larger than any model's"):
        privsynth.load(saved)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no\.psyn"):
        privsynth.load(tmp_path / "no.psyn")


def test_a_model_that_holds_rows_is_saved_only_when_told(
    model: FittedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model.model), "holds_rows", True)
    with pytest.raises(UsageError, match="--allow-rows"):
        model.save(tmp_path / "rows.psyn")
    assert not list(tmp_path.iterdir())
    model.save(tmp_path / "rows.psyn", allow_rows=True)
    assert (tmp_path / "rows.psyn").exists()
