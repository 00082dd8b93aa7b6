"""A hostile schema, configuration, policy or spending file ends in one line, and stays as it is."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated_bytes, mutated_text, mutated_tree
from toy_artefacts import schema, toy

import privsynth
from privsynth.coding.declared import check_declared
from privsynth.config import RunConfig
from privsynth.errors import PrivsynthError
from privsynth.evaluation.policy import Policy, apply_policy, findings_of
from privsynth.evaluation.score import Evaluation, Score
from privsynth.privacy.budget import Budget
from privsynth.privacy.spending import reserve
from privsynth.schema.schema import Schema

CORPUS = Path(__file__).parent / "corpus" / "documents"
SECONDS = 20
FEW, MANY = 250, 4_000
ROWS = toy(60)
WORDS = (
    "!!timestamp x", "!!timestamp 2024-01-01", "!!binary aGk=", "!!set {a}", "!!omap [a: 1]",
    "!!int x", "!!float x", "!!python/name:os.system", "!x", "&a", "*a", "<<: *a", "<<: 1", "? ",
    ".nan", ".inf", "-.inf", "1e308", "1e999", "-1", "9" * 400, "0x10", "0o17", "1:30", "~",
    "null", "yes", "no", "2024-02-30", "2024-01-31", "2024-01-31 25:61", "[", "]", "{", "}",
    "[[[[", "- ", ": ", "'", '"', "|", ">", "%YAML 9.9", "---", "...", "\t", "\x00", "\ufeff",
    "\u2028", "name:", "kind: id", "kind: text", "kind: numeric", "kind: datetime",
    "kind: ordinal", "dtype: int8", "dtype: decimal256(99, 2)", "dtype: decimal128(5, 30)",
    "dtype: date32[day]", "levels: [1, 01]", "dtype: timestamp[us, tz=Nowhere/Nothing]",
    "levels: [a, b]", "bounds: [0, 1e308]", "bounds: []", "bounds: [2020-01-01, 2024-13-01]",
    "bounds: [-1e308, 1e308]", "bounds: [.nan, 1]", "role: key", "decimals: 400", "decimals: -1",
    "format: '%Q'", "personal: '{'", "unique: true", "role: target", "mapping: {a: b}",
    "determined_by: town", "source: discovered", "nullable: 1", "version: true", "{a: 1, a: 2}",
    "!!str 1", "'1'", "1.5", "true", "# x",
)  # fmt: skip
YAML: dict[str, str] = {
    "schema": schema(declared=True).to_yaml(),
    "inferred": schema(declared=False).to_yaml(),
    "config": "engine: cart\ntarget: bad\nk: 5\nseed: 7\nepsilon: 1.0\ndelta: 1e-6\nholdout: 0.2\n"
    "minority: false\nsampling_strategy: {bad: 50}\nsettings: {leaf: 20, pruning: 2.0}\n",
    "policy": "name: ours\nreplication: 0.0\nmembership_epsilon: 1.0\nfloors: {auc: 0.5}\n",
}


def read_schema(path: Path, rng: np.random.Generator) -> None:
    """Read it, and fit by it, with a budget or without."""
    given = Schema.from_yaml(path)
    assert Schema.from_dict(given.to_dict()) == given
    check = rng.random() < 0.5
    if check:
        check_declared(given, list(ROWS.columns), "t")
    engine = "independent" if check else "cart"
    more = {"budget": Budget(5.0, unit="row")} if check else {"k": 5}
    model = privsynth.fit(ROWS, engine=engine, schema=given, seed=1, **more)
    assert len(model.sample(20, seed=1)) == 20


def read_config(path: Path, rng: np.random.Generator) -> None:
    run = RunConfig.from_yaml(path)
    if run.engine is not None:
        privsynth.engines.recipe(run.engine, run.settings)


READERS: dict[str, Callable[[Path, np.random.Generator], object]] = {
    "schema": read_schema,
    "inferred": read_schema,
    "config": read_config,
    "policy": lambda path, _: Policy.from_yaml(path),
}


def ledger() -> dict[str, object]:
    """A spending file of two entries."""
    entry = {"what": "x", "epsilon": 0.5, "delta": 1e-7, "rho": 0.01, "delta_spent": 0.0}
    head = {"format": "privsynth-ledger", "version": 1, "epsilon": 3.0, "delta": 1e-6}
    return {**head, "unit": "row", "rows_per_unit": 1, "entries": [entry, dict(entry)]}


def evaluation() -> dict[str, object]:
    """An evaluation of two scores."""
    scores = (
        Score("utility", "auc", 0.8, 0.7, 0.9, 0.85, detail={"x": 0.5}),
        Score("a", "b", None),
    )
    told = Evaluation(scores, {"rows": {"synthetic": 5}}, ("a note",))
    return dict(json.loads(told.to_json()))


def read_ledger(path: Path) -> None:
    """Spend from it; where that is refused the file stays as it is."""
    before = path.read_bytes()
    try:
        reserve(path, Budget(0.5, 1e-7), 0.0, "a fit")
    except PrivsynthError:
        assert path.read_bytes() == before
        raise


def read_evaluation(path: Path) -> None:
    told = Evaluation.from_json(path.read_bytes().decode("utf-8", "replace"), path.name)
    assert apply_policy(told, Policy())
    assert findings_of(told) == ()
    assert told.to_json()


JSON = {"ledger": (ledger, read_ledger), "evaluation": (evaluation, read_evaluation)}


def fuzz(seeds: range, folder: Path, attempt: Callable[[int, Path], None]) -> list[str]:
    """Try one mutation a seed; what went wrong, one line each."""
    wrong = []
    for seed in seeds:
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                attempt(seed, folder)
        except PrivsynthError as error:
            if "\n" in str(error):
                wrong.append(f"seed {seed}: more than one line")
        except Exception as error:  # any at all is what is looked for
            wrong.append(f"seed {seed}: {type(error).__name__}: {error}"[:300])
        if time.perf_counter() - start > SECONDS:
            wrong.append(f"seed {seed}: took too long")
    return wrong


def try_yaml(seed: int, folder: Path) -> None:
    rng = np.random.default_rng(seed)
    name = str(rng.choice(sorted(YAML)))
    text = mutated_text(YAML[name], rng, WORDS)
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        data = mutated_bytes(data, rng)
    elif rng.random() < 0.03:
        data = text.encode(str(rng.choice(["utf-16", "utf-32", "latin-1"])), "replace")
    path = folder / f"{name}.yaml"
    path.write_bytes(data)
    READERS[name](path, rng)


def try_json(seed: int, folder: Path) -> None:
    rng = np.random.default_rng(seed)
    name = str(rng.choice(sorted(JSON)))
    make, read = JSON[name]
    tree = mutated_tree(make(), rng)
    text = json.dumps(tree, indent=1).encode()
    if rng.random() < 0.2:
        text = mutated_bytes(text, rng)
    path = folder / f"{name}.json"
    path.write_bytes(text)
    read(path)


def test_hostile_yaml_ends_in_one_line(tmp_path: Path) -> None:
    assert fuzz(range(FEW), tmp_path, try_yaml) == []


def test_hostile_json_ends_in_one_line(tmp_path: Path) -> None:
    assert fuzz(range(FEW), tmp_path, try_json) == []


@pytest.mark.deep
def test_much_hostile_yaml_ends_in_one_line(tmp_path: Path) -> None:
    assert fuzz(range(FEW, MANY), tmp_path, try_yaml) == []


@pytest.mark.deep
def test_much_hostile_json_ends_in_one_line(tmp_path: Path) -> None:
    assert fuzz(range(FEW, MANY), tmp_path, try_json) == []


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_document_of_the_corpus_is_refused_in_one_line(path: Path) -> None:
    with pytest.raises(PrivsynthError, match=path.name) as caught:
        READERS[path.stem.split("-")[0]](path, np.random.default_rng(0))
    assert "\n" not in str(caught.value)
