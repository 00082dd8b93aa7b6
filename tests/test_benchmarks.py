"""The benchmarks: measures on toys worked out by hand, and one small run from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are no part of the package that is installed

from benchmarks import (  # noqa: E402
    bench,
    measures,
    nulls,
    results,
    running,
    scaling,
    systems,
    tables,
)
from benchmarks.systems import SYSTEMS, child  # noqa: E402
from privsynth.evaluation.score import Evaluation, Score  # noqa: E402


def canonical(**columns: list[object]) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    texts = [name for name in frame if frame[name].dtype == object]
    return frame.astype(dict.fromkeys(texts, "category"))


def points(*rows: float) -> np.ndarray:
    return np.array(rows, dtype=np.float32)[:, None]


def test_agreement_of_two_shuffled_halves_is_that_worked_out_by_hand() -> None:
    train = canonical(a=["x", "x", "y", "y"], b=["p", "q", "p", "q"])
    other = canonical(a=["x", "x", "y", "y"], b=["p", "p", "q", "q"])
    found = measures.agreement(train, other)
    # each column alone agrees; of four cells of 1/4, two become 1/2 and two become 0
    assert found == {"agreement_1way": 1.0, "agreement_2way": 0.5}


def test_three_way_agreement_sees_what_pairs_do_not() -> None:
    bits = np.array([[a, b, a ^ b] for a in (0, 1) for b in (0, 1)])
    train, other = (
        canonical(**{name: [f"{bit}" for bit in column] for name, column in zip("abc", t.T)})  # noqa: B905
        for t in (np.repeat(bits, 2, axis=0), np.concatenate([bits, bits ^ [0, 0, 1]]))
    )
    found = measures.agreement(train, other)
    assert found["agreement_2way"] == 1.0
    assert found["agreement_3way"] == 0.5


def test_a_number_counts_by_its_rank_and_a_level_by_whether_it_is_the_same() -> None:
    frame = canonical(number=[0.0, 10.0, 1000.0, np.nan], level=["u", "u", "v", "w"])
    (rows,) = measures.embed(frame, frame)
    gap = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    # ranks 1/6, 3/6, 5/6; the missing number stands at 1/2 with a flag worth 1/2
    assert gap[0, 1] == pytest.approx((1 / 3) ** 2, abs=1e-6)
    assert gap[0, 2] == pytest.approx((2 / 3) ** 2 + 1, abs=1e-6)
    assert gap[1, 3] == pytest.approx(0.5 + 1, abs=1e-6)


def test_the_nearest_distance_is_that_of_every_pair() -> None:
    rng = np.random.default_rng(0)
    some, others = (rng.random((n, 7)).astype(np.float32) for n in (50, 31))
    each = np.linalg.norm(some[:, None] - others[None], axis=2).min(axis=1)
    np.testing.assert_allclose(measures.nearest(some, others, block=8), each, atol=1e-5)


def test_a_copy_is_closer_to_train_and_a_tie_counts_one_half() -> None:
    rng = np.random.default_rng(0)
    train, holdout = points(0, 1, 2), points(10, 11, 12)
    assert measures.closer_to_train(train, holdout, train, rng) == 1.0
    assert measures.closer_to_train(train, holdout, holdout, rng) == 0.0
    assert measures.closer_to_train(train, holdout, points(0, 6, 12), rng) == 0.5


def test_membership_of_copies_is_found_and_of_fresh_rows_is_not() -> None:
    rng = np.random.default_rng(0)
    train, holdout, fresh = (rng.random((2_000, 5)).astype(np.float32) for _ in range(3))
    copied = measures.membership(train, holdout, train, rng)
    assert copied["tpr"] == 1.0
    assert copied["lower"] == pytest.approx(0.025 ** (1 / 2_000))  # k = n has a closed form
    unknown = measures.membership(train, holdout, fresh, rng)
    assert unknown["lower"] < 0.01 < unknown["tpr"] + 0.02
    assert unknown["others"] == 1_000


def test_membership_attacks_the_rows_named_and_says_when_there_are_none() -> None:
    rng = np.random.default_rng(0)
    train, holdout = (rng.random((400, 5)).astype(np.float32) for _ in range(2))
    rare = np.arange(400) < 40
    found = measures.membership(train, holdout, train[rare], rng, rare, rare)
    assert (found["tpr"], found["others"]) == (1.0, 20.0)
    nobody = measures.membership(train, holdout, train, rng, rare, rare & False)
    assert (nobody["tpr"], nobody["lower"]) == (None, None)


def test_a_table_of_a_single_class_teaches_nothing() -> None:
    train = canonical(a=[0.0, 1.0, 2.0], y=["n", "n", "n"])
    test = canonical(a=[0.0, 1.0, 2.0, 3.0], y=["n", "n", "n", "p"])
    found = measures.tstr(train, test, "y", "p")
    assert found == {"roc_auc": 0.5, "pr_auc": 0.25, "f1": 0.0}


def test_a_positive_number_is_the_same_when_a_peer_gives_it_as_a_float() -> None:
    rng = np.random.default_rng(0)
    number = rng.random(400)
    whole = pa.table({"a": number, "y": (number > 0.8).astype(int)})
    train, holdout = whole.slice(0, 200), whole.slice(200)
    floats = train.set_column(1, "y", train["y"].cast(pa.float64()))
    given, again = (measures.score(train, holdout, t, "y", 1) for t in (train, floats))
    assert given == again
    assert given["roc_auc"] > 0.99


def test_the_interval_is_student_s() -> None:
    assert results.interval([0.5]) == (0.5, None)
    mean, half = results.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    assert half == pytest.approx(2.776 * np.sqrt(2.5 / 5))


def test_made_tables_have_the_shape_asked_for_and_a_rare_target() -> None:
    made = tables.made(5_000, 16)
    assert made.shape == (5_000, 16)
    assert made.equals(tables.made(5_000, 16))
    assert np.mean(made["target"].to_numpy() == "yes") == pytest.approx(0.06, abs=0.001)
    assert made["gappy_5"].null_count > 0


def test_a_split_parts_the_rows_and_follows_the_seed() -> None:
    table = pa.table({"row": range(100)})
    train, holdout = tables.split(table, 0.6, 1)
    assert (len(train), len(holdout)) == (60, 40)
    assert set(train["row"].to_pylist()) | set(holdout["row"].to_pylist()) == set(range(100))
    assert tables.split(table, 0.6, 1)[0].equals(train)
    assert not tables.split(table, 0.6, 2)[0].equals(train)


def test_columns_that_give_the_target_away_and_rows_without_one_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"duration": [1, 2, 3], "age": [4, 5, 6], "y": ["yes", None, "no"]}
    pq.write_table(pa.table(table), tmp_path / "bank_marketing.parquet")
    monkeypatch.setenv(tables.FOLDER, str(tmp_path))
    assert tables.load("bank_marketing").to_pydict() == {"age": [4, 6], "y": ["yes", "no"]}
    assert tables.present() == ("bank_marketing", "made_100k")


@pytest.mark.parametrize("arguments", [[], ["--tables", "adult"]])
def test_without_the_variable_one_line_says_what_to_set(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(tables.FOLDER, raising=False)
    assert bench.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "PRIVSYNTH_BENCH_DATA is not set" in said


def test_every_system_has_an_adapter_and_every_peer_its_requirements() -> None:
    folder = Path(systems.__file__).parent
    for name, system in SYSTEMS.items():
        assert name == system.name
        assert (folder / f"{system.adapter}.py").exists()
        if system.environment is not None:
            assert (folder.parent / "requirements" / f"{system.environment}.txt").exists()
    assert set(systems.DEFAULT) <= set(SYSTEMS)


def test_the_cpu_seconds_of_a_child_are_counted() -> None:
    work = "import sys; sys.path[0] = sys.argv[1]; import child, subprocess\n"
    work += "before = child.cpu_seconds()\n"
    work += "subprocess.run([sys.executable, '-c', 'sum(range(10_000_000))'])\n"
    work += "print(child.cpu_seconds() - before)"
    folder = Path(child.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", work, str(folder)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 0.05


def run_bench(folder: Path, system: str = "privsynth-cart") -> tuple[Path, Path]:
    cache, output = folder / "cache", folder / "RESULTS.md"
    arguments = ["--tables", "made_100k", "--rows", "900", "--seeds", "1", "--systems", system]
    assert bench.main([*arguments, "--cache", str(cache), "--output", str(output)]) == 0
    return cache, output


@pytest.mark.slow
def test_a_run_scores_costs_writes_the_page_and_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, output = run_bench(tmp_path)
    place = cache / "made_100k-900" / "privsynth-cart" / "0"
    cost = json.loads((place / "run.json").read_text())["cost"]
    assert cost["fit_cpu_seconds"] > 0
    assert cost["sample_peak_bytes"] >= cost["import_peak_bytes"] > 2**20
    scores = json.loads((place / "scores.json").read_text())["scores"]
    assert 0.5 < scores["agreement_2way"] < 1
    assert pq.read_metadata(place / "synthetic.parquet").num_rows == 540
    page = output.read_text()
    assert "## made_100k" in page
    assert "| privsynth-cart | 1 |" in page
    assert "| bootstrap | 1 |" in page
    assert "†" not in page.partition("## made_100k")[2]

    capsys.readouterr()
    run_bench(tmp_path)
    assert capsys.readouterr().err == ""
    assert output.read_text() == page


def test_a_system_that_fails_is_said_to_have_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = systems.System(
        "privsynth-cart", "ours", None, {"engine": "cart", "settings": {"leaf": -1}}
    )
    monkeypatch.setitem(SYSTEMS, "privsynth-cart", broken)  # type: ignore[arg-type]
    page = run_bench(tmp_path)[1].read_text()
    assert "| privsynth-cart | 0 | - |" in page
    assert "privsynth-cart failed on split 0: `" in page
    assert "ConfigError: " in page


def test_a_peer_that_is_not_installed_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(running.VENVS, str(tmp_path / "nowhere"))
    page = run_bench(tmp_path, "arfpy")[1].read_text()
    assert "arfpy: not installed" in capsys.readouterr().err
    assert "| arfpy |" not in page.partition("## made_100k")[2]


@pytest.mark.slow
def test_scaling_and_kernels_have_their_tables_in_the_page(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    sizes = ["--rows", "300", "--columns", "5", "--sampled", "1000", "--fitted", "300"]
    arguments = [*sizes, "--systems", "privsynth-cart", "--cache", str(cache)]
    assert scaling.main(arguments) == 0
    both = [
        {"group": "count", "params": {"way": way}, "stats": {"min": seconds}}
        for way, seconds in (("privsynth", 0.03), ("floor", 0.01))
    ]
    (cache / results.KERNELS).write_text(json.dumps({"benchmarks": both}))
    page = results.markdown(cache, (), None)
    assert "| privsynth-cart | 5 | 300 |" in page
    assert "| privsynth-cart | 1,000 |" in page
    assert "| count | 30.0 | 10.0 | 3.00 x |" in page


def test_an_interval_errs_where_it_leaves_out_what_an_honest_table_has() -> None:
    scores = (
        Score("attacks", "membership_auc", 0.6, 0.55, 0.7, 0.5),
        Score("attacks", "membership_tpr_at_1pct", 0.1, 0.005, 0.2, 0.01),
        Score("attacks", "membership_epsilon", 0.1, 0.0, None, 0.0),
        Score("attacks", "near_replicas", 0.3, -0.2, -0.1, 0.5),  # of the difference
        Score("attacks", "linkability", None),
        Score("fidelity", "marginal_agreement_1way", 0.5, 0.4, 0.6),
    )
    found = {e.name: (e.runs, e.low, e.high) for e in nulls.errors([Evaluation(scores)] * 2)}
    assert found == {
        "membership_auc": (2, 2, 0),
        "membership_tpr_at_1pct": (2, 0, 0),
        "membership_epsilon": (2, 0, 0),
        "near_replicas": (2, 0, 2),
    }


@pytest.mark.slow
def test_a_run_over_honest_tables_prints_a_line_a_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert nulls.main(["--runs", "1", "--rows", "200", "--holdout", "200"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("| exact_replicas | 1 |") for line in lines)
