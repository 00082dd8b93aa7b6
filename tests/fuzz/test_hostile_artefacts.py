"""Model files made to harm: bombs, parts that contradict each other, and files of old that open."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from mutations import members_of, repacked
from safetensors.numpy import load as unpacked
from safetensors.numpy import save as packed
from toy_artefacts import artefact

import privsynth
from privsynth.artefact import ARRAYS
from privsynth.artefact import packed as saved
from privsynth.errors import ArtefactError

OLD = Path(__file__).parents[1] / "data" / "artefacts"
MIB = 2**20
Parts = dict[str, Any]


def refused(data: bytes, folder: Path, *, most: int = 400 * MIB) -> str:
    """Open a file that is to be refused for little memory; give the line that it ends in."""
    path = folder / "m.psyn"
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArtefactError, match=r"m\.psyn") as caught:
        privsynth.load(path)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < most, f"{grown / MIB:.0f} MiB"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_arrays(name: str, change: Callable[[dict[str, np.ndarray]], None]) -> bytes:
    parts = members_of(artefact(name))
    arrays = {key: array.copy() for key, array in unpacked(parts[ARRAYS]).items()}
    change(arrays)
    return repacked({**parts, ARRAYS: packed(arrays)})


def with_json(name: str, change: Callable[[Parts], None]) -> bytes:
    """Change the JSON members of an artefact, read, by the names of the members' stems."""
    parts = members_of(artefact(name))
    names = {key.removesuffix(".json"): key for key in parts if key.endswith(".json")}
    trees = {stem: json.loads(parts[key]) for stem, key in names.items()}
    change(trees)
    changed = {names[stem]: json.dumps(tree).encode() for stem, tree in trees.items()}
    return repacked({**parts, **changed})


# Files of the present format


@pytest.mark.parametrize("path", sorted(OLD.glob("*.psyn")), ids=lambda path: path.stem)
def test_a_file_of_the_present_format_opens_draws_and_is_saved_the_same(path: Path) -> None:
    model = privsynth.load(path)
    assert len(model.sample(50, seed=1)) == 50
    old, new = members_of(path.read_bytes()), members_of(saved(model))
    for name in old.keys() - {"manifest.json", "ledger.json", ARRAYS}:
        assert json.loads(new[name]) == json.loads(old[name]), name
    for name, array in unpacked(old[ARRAYS]).items():
        assert np.array_equal(unpacked(new[ARRAYS])[name], array), name


# Bombs


def test_a_group_far_out_costs_no_memory(tmp_path: Path) -> None:
    def far(arrays: dict[str, np.ndarray]) -> None:
        arrays["column0.groups"][0] = 2**31 - 1

    assert "groups" in refused(with_arrays("mst", far), tmp_path)


@pytest.mark.parametrize("name", ["codec.json", "schema.json", "model.json", "manifest.json"])
def test_json_that_unpacks_to_far_more_than_the_file_is_refused(name: str, tmp_path: Path) -> None:
    parts = members_of(artefact("cart"))
    size = {"codec.json": 60 * MIB, "manifest.json": 900_000}.get(name, 15 * MIB)
    bomb = b"[" + b"[]," * (size // 3) + b"[]]"
    data = repacked({**parts, name: bomb})
    assert len(data) < 150_000
    refused(data, tmp_path)


def test_json_of_many_small_values_is_refused_before_it_is_read(tmp_path: Path) -> None:
    # Random digits, so that it packs no better than a real codec.
    digits = np.random.default_rng(0).integers(10, 99, 2_000_000).tolist()
    bomb = json.dumps([{"a": digit} for digit in digits], separators=(",", ":")).encode()
    parts = members_of(artefact("cart"))
    assert "more values" in refused(repacked({**parts, "codec.json": bomb}), tmp_path)


def test_deep_json_is_refused(tmp_path: Path) -> None:
    for depth in (70, 100_000):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        parts = {**members_of(artefact("cart")), "codec.json": deep}
        assert "nested too deeply" in refused(repacked(parts), tmp_path)


def test_rows_that_are_compressed_inside_a_model_are_refused(tmp_path: Path) -> None:
    def bomb(arrays: dict[str, np.ndarray]) -> None:
        table = pa.table({"price": np.zeros(60_000_000)})
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
            stream.write_table(table)
        arrays["rows"] = np.frombuffer(sink.getvalue(), np.uint8)

    assert "compressed" in refused(with_arrays("smote", bomb), tmp_path)


def test_a_network_whose_empty_layer_lets_it_ask_for_any_noise_is_refused(tmp_path: Path) -> None:
    def empty(trees: Parts) -> None:
        trees["model"]["embedding"] = 10**9
        trees["model"]["layers"][0] = 0

    refused(with_json("sdv-tvae", empty), tmp_path)


def test_an_array_of_nothing_with_a_huge_shape_is_refused(tmp_path: Path) -> None:
    def huge(arrays: dict[str, np.ndarray]) -> None:
        arrays["prior"] = np.zeros((0, 2**40))

    assert "shape" in refused(with_arrays("cart", huge), tmp_path)


# Parts that contradict each other


def column(trees: Parts, name: str) -> Parts:
    return next(each for each in trees["schema"]["columns"] if each["name"] == name)


def coding(trees: Parts, name: str) -> Parts:
    names = [each["name"] for each in trees["schema"]["columns"]]
    return trees["codec"]["codings"][names.index(name)]


def swapped(trees: Parts) -> None:
    listed = trees["schema"]["columns"]
    listed[0], listed[3] = listed[3], listed[0]


LIES: dict[str, tuple[str, Callable[[Parts], Any]]] = {
    "columns swapped": ("cart", swapped),
    "a column fewer": ("cart", lambda t: t["schema"]["columns"].pop(9)),
    "another kind": ("cart", lambda t: column(t, "age").update(kind="categorical")),
    "another dtype": ("cart", lambda t: column(t, "price").update(dtype="string")),
    "too small a dtype": ("cart", lambda t: column(t, "price").update(dtype="decimal128(2, 0)")),
    "an unknown zone": ("cart", lambda t: column(t, "seen").update(dtype="timestamp[us, tz=No]")),
    "narrower bounds": ("cart", lambda t: column(t, "age").update(bounds=[30, 31])),
    "fewer levels": ("cart", lambda t: column(t, "bad").update(levels=["no"])),
    "no levels": ("cart", lambda t: column(t, "bad").pop("levels")),
    "other levels": ("cart", lambda t: coding(t, "bad").update(levels=["no", "maybe"])),
    "levels twice": ("cart", lambda t: coding(t, "bad").update(levels=["no", "no"])),
    "another target": ("cart", lambda t: t["codec"].update(target=0)),
    "a target that is true": ("cart", lambda t: t["codec"].update(target=True)),
    "the card's target": ("cart", lambda t: t["manifest"]["card"].update(target="town")),
    "other shares": ("cart", lambda t: t["manifest"]["card"].update(class_shares=[0.5, 0.5])),
    "shares of text": ("cart", lambda t: t["manifest"]["card"].update(class_shares=["a", "b"])),
    "more shares": ("cart", lambda t: t["manifest"]["card"].update(class_shares=[0.2] * 5)),
    "an unknown frame": ("cart", lambda t: t["manifest"]["card"].update(frame="numpy")),
    "no seed": ("cart", lambda t: t["manifest"]["card"].update(seed="7")),
    "negative rows": ("cart", lambda t: t["manifest"]["card"].update(rows=-1)),
    "rows that are true": ("cart", lambda t: t["manifest"]["card"].update(rows=True)),
    "another engine": ("cart", lambda t: t["manifest"]["card"].update(engine="copula")),
    "no engine": ("cart", lambda t: t["manifest"]["card"].update(engine="carp")),
    "a setting refused": ("cart", lambda t: t["manifest"]["card"]["settings"].update(leaf=-1)),
    "a setting unknown": ("cart", lambda t: t["manifest"]["card"]["settings"].update(leaves=5)),
    "rows denied": ("smote", lambda t: t["manifest"]["card"].update(holds_rows=False)),
    "another method": ("smote", lambda t: t["model"].update(method="adasyn")),
    "a model of other sizes": ("cart", lambda t: t["model"]["sizes"].reverse()),
    "an order that repeats": ("cart", lambda t: t["model"].update(order=[0] * 12)),
    "a copula of other latents": ("copula", lambda t: t["model"]["latents"].reverse()),
    "a clique below zero": ("mst", lambda t: t["model"]["beliefs"]["cliques"].append([-1])),
    "another label": ("marginals", lambda t: t["model"].update(label=0)),
    "a budget taken away": ("mst", lambda t: t["ledger"].pop("budget")),
    "a budget of text": ("mst", lambda t: t["ledger"]["budget"].update(epsilon="1")),
    "a price of 1e308": ("mst", lambda t: t["ledger"]["events"][0].update(rho=1e308)),
    "a price below zero": ("mst", lambda t: t["ledger"]["events"][0].update(rho=-1.0)),
    "a price that is true": ("mst", lambda t: t["ledger"]["events"][0].update(rho=True)),
    "an unknown mechanism": ("mst", lambda t: t["ledger"]["events"][0].update(mechanism="magic")),
    "an empty ledger": ("cart", lambda t: t["ledger"].update(events=[])),
    "a formal guarantee": ("cart", lambda t: t["ledger"].update(formal=True)),
    "cells out of order": ("cart", lambda t: coding(t, "age")["low"].reverse()),
    "cells of floats": ("cart", lambda t: coding(t, "age")["low"].__setitem__(0, 1.5)),
    "cells of text": ("cart", lambda t: coding(t, "age")["low"].__setitem__(0, "1")),
    "a step of nothing": ("cart", lambda t: coding(t, "age").update(step=0)),
    "dates out of reach": (
        "cart-number",
        lambda t: coding(t, "seen")["high"].__setitem__(-1, 2**62),
    ),
    "an offset below zero": ("cart", lambda t: coding(t, "key").update(offset=-(2**70))),
    "a flag that is a number": ("cart", lambda t: coding(t, "age").update(nullable=1)),
    "a format that is none": ("cart", lambda t: column(t, "seen").update(format="%Q")),
    "a newer schema": ("cart", lambda t: t["schema"].update(version=True)),
}


@pytest.mark.parametrize("lie", LIES)
def test_parts_that_contradict_each_other_are_refused(lie: str, tmp_path: Path) -> None:
    name, change = LIES[lie]
    refused(with_json(name, change), tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ledger.json", b'{"guarantee": "x", '),
        ("manifest.json", b'{"format": "privsynth-model", '),
        ("schema.json", b'{"version": 1, '),
    ],
)
def test_a_key_given_twice_is_named_with_its_line(name: str, text: bytes, tmp_path: Path) -> None:
    parts = members_of(artefact("cart"))
    doubled = text + parts[name].lstrip()[1:]
    assert "given twice" in refused(repacked({**parts, name: doubled}), tmp_path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "\ud800"])
def test_what_is_no_number_or_text_in_json_is_refused(number: str, tmp_path: Path) -> None:
    parts = members_of(artefact("cart"))
    value = '"\\ud800"' if number == "\ud800" else number
    told = parts["manifest.json"].replace(b'"holdout": null', f'"holdout": {value}'.encode())
    assert told != parts["manifest.json"]
    refused(repacked({**parts, "manifest.json": told}), tmp_path)
