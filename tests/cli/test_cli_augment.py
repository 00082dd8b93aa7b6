"""`privsynth augment`, `fit --minority` and `sample --balance` as a user types them."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from privsynth.cli.program import main
from privsynth.evaluation import folds, learners, minority
from privsynth.pipeline import minority_gain

WIDE = ["--target", "Class", "--seed", "1"]
FOLDS = {"folds": 3, "repeats": 1, "seed": 1}


def privsynth(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") <= 4
    assert "Traceback" not in result.output
    return result.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    bad = np.arange(500) % 10 == 0
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, 500),
            "paid": rng.gamma(2, np.where(bad, 20, 60)).round(2),
            "ratio": rng.normal(bad * 1.0).round(6),
            "when": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 300, 500), "D"),
            "Class": np.where(bad, "bad", "good"),
        }
    )
    path = tmp_path_factory.mktemp("augment") / "data.csv"
    frame.to_csv(path, index=False)
    return path


def test_the_output_is_the_input_and_then_the_synthetic_rows(data: Path, tmp_path: Path) -> None:
    result = done(privsynth("augment", data, "-o", tmp_path / "out.csv", *WIDE))
    given, grown = data.read_text().splitlines(), (tmp_path / "out.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[0] for line in grown[: len(given)]] == given
    assert {line.rsplit(",", 1)[1] for line in grown[1 : len(given)]} == {"False"}
    assert {line.rsplit(",", 1)[1] for line in grown[len(given) :]} == {"True"}
    assert len(grown) == 1 + 2 * 450
    assert "500 real rows and 400 synthetic ones" in result.stderr
    assert "no real row can be reconstructed" in result.stderr
    assert "not for sharing" in result.stderr


def test_smote_s_rows_are_attacked_and_the_result_is_said(data: Path, tmp_path: Path) -> None:
    numbers = pd.read_csv(data).drop(columns="when").assign(age=lambda d: d["age"] + 0.5)
    rng = np.random.default_rng(0)
    for column in ("age", "paid", "ratio"):
        numbers[column] += rng.normal(0, 1e-3, len(numbers))
    numbers.to_parquet(tmp_path / "numbers.parquet")
    out = tmp_path / "out.parquet"
    arguments = ["--engine", "smote", "--sampling-strategy", '{"bad": 600}', *WIDE]
    result = done(privsynth("augment", tmp_path / "numbers.parquet", "-o", out, *arguments))
    told = next(line for line in result.stderr.splitlines() if "SMOTE mirrors" in line)
    assert "real minority rows can be reconstructed" in told
    assert int(told.split(":")[1].split("%")[0]) >= 80


def test_no_flag_leaves_the_columns_as_they_are(data: Path, tmp_path: Path) -> None:
    done(privsynth("augment", data, "-o", tmp_path / "o.csv", "--no-flag", "--ratio", 0.5, *WIDE))
    grown = pd.read_csv(tmp_path / "o.csv")
    assert list(grown.columns) == list(pd.read_csv(data).columns)
    assert grown["Class"].value_counts().to_dict() == {"good": 450, "bad": 225}


def test_the_same_seed_gives_the_same_file_and_a_drawn_one_is_told(
    data: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    for out in (first, second):
        done(privsynth("augment", data, "-o", out, *WIDE))
    assert first.read_bytes() == second.read_bytes()
    told = done(privsynth("augment", data, "-o", first, "--target", "Class")).stderr
    seed = told.split("give --seed ")[1].split(" ")[0]
    done(privsynth("augment", data, "-o", second, "--target", "Class", "--seed", seed))
    assert first.read_bytes() == second.read_bytes()


def test_balanced_data_is_done_at_once_and_said(data: Path, tmp_path: Path) -> None:
    done(privsynth("augment", data, "-o", tmp_path / "a.csv", "--no-flag", *WIDE))
    result = done(privsynth("augment", tmp_path / "a.csv", "-o", tmp_path / "b.csv", *WIDE))
    assert "nothing is added" in result.stderr
    assert len(pd.read_csv(tmp_path / "b.csv")) == 900


def test_a_configuration_is_read_and_the_command_line_wins(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("engine: random\ntarget: Class\nsampling_strategy: 0.5\nseed: 3\n")
    out = tmp_path / "out.csv"
    told = done(privsynth("augment", data, "-o", out, "--config", config)).stderr
    assert "175 synthetic" in told
    assert "100% of the synthetic rows are copies" in told
    told = done(
        privsynth(
            "augment", data, "-o", out, "--config", config, "--ratio", 0.2, "--engine", "cart"
        )
    ).stderr
    assert "40 synthetic" in told
    assert "cart learnt" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ratio", 2], "above 0 and at most 1"),
        (["--ratio", 0.5, "--sampling-strategy", "auto"], "give one of them"),
        (["--sampling-strategy", '{"bad": 1'], "is not JSON"),
        (["--sampling-strategy", '{"wurst": 100}'], "no row has"),
        (["--sampling-strategy", "most"], "none that over-sampling knows"),
        (["--engine", "smoke"], "did you mean 'smote'"),
        (["--engine", "smote"], "'when'"),
        (["--set", "k_neighbours=3"], "no setting"),
        (["--plot", "x.gif"], ".png"),
        (["--fit-on", "none"], "auto"),
        (["--selection", "classifiers", "--engine", "random"], "not selected"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(
    arguments: list[object], message: str, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    if arguments[0] == "--engine" and arguments[1] == "smote":
        frame = pd.read_csv(data)
        frame["when"] = "w" + (np.arange(len(frame)) % 3).astype(str).astype(object)
        frame.to_csv(tmp_path / "text.csv", index=False)
        data = tmp_path / "text.csv"
    assert message in refused(privsynth("augment", data, "-o", out, *WIDE, *arguments))
    assert out.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} <= {"out.csv", "text.csv"}


def test_a_target_has_to_be_named(data: Path, tmp_path: Path) -> None:
    assert "--target" in refused(privsynth("augment", data, "-o", tmp_path / "o.csv"))


def test_a_column_named_as_the_flag_is_found_before_anything_is_learnt(
    data: Path, tmp_path: Path
) -> None:
    pd.read_csv(data).assign(synthetic=1).to_csv(tmp_path / "d.csv", index=False)
    told = refused(privsynth("augment", tmp_path / "d.csv", "-o", tmp_path / "o.csv", *WIDE))
    assert "--no-flag" in told


def test_three_classes_take_no_ratio(data: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(data)
    frame.loc[:40, "Class"] = "odd"
    frame.to_csv(tmp_path / "three.csv", index=False)
    out = tmp_path / "o.csv"
    assert "has 3" in refused(
        privsynth("augment", tmp_path / "three.csv", "-o", out, "--ratio", 0.5, *WIDE)
    )
    done(privsynth("augment", tmp_path / "three.csv", "-o", out, *WIDE))
    assert pd.read_csv(out)["Class"].value_counts().nunique() == 1


@pytest.mark.slow
def test_it_is_judged_where_that_is_asked_for(data: Path, tmp_path: Path) -> None:
    arguments = ["--json", tmp_path / "j.json", "--report", tmp_path / "r.html", *WIDE]
    result = done(
        privsynth("augment", data, "-o", tmp_path / "o.csv", "--engine", "copula", *arguments)
    )
    about = json.loads((tmp_path / "j.json").read_text())["about"]
    assert about["methods"] == ["copula"]
    assert set(about["baselines"]) >= {"nothing", "class weights", "random over-sampling"}
    assert "<html" in (tmp_path / "r.html").read_text()
    assert "minority gain" in result.stdout
    (said,) = [line for line in result.stdout.splitlines() if line.startswith("copula: ")]
    assert re.match(r"copula: (gain|no gain shown|loss), [+-]0\.\d{3} \(95% interval ", said)


class _Judged:
    """What a cross-validation of minutes would give."""

    verdicts = ("cart: no gain shown, +0.001 over nothing",)


@pytest.mark.parametrize("output", ["o.csv", "-"])
def test_the_verdict_is_printed_in_words(
    data: Path, tmp_path: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privsynth.pipeline.minority_gain", lambda *_, **__: _Judged())
    monkeypatch.setattr("privsynth.cli.cmd_augment.print_scores", lambda report: None)
    out = output if output == "-" else tmp_path / output
    result = done(privsynth("augment", data, "-o", out, "--judge", *WIDE))
    assert ("no gain shown" in result.stdout) == (output != "-")
    assert ("no gain shown" in result.stderr) == (output == "-")


@pytest.mark.parametrize("options", [[], ["--unit", "row"], ["--unit", "person"]])
def test_a_judgement_keeps_the_units_whole_that_are_named(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "hist_gradient_boosting"
    monkeypatch.setattr(learners, "TREES", 10)
    for module in (folds, minority):
        monkeypatch.setattr(module, "CLASSIFIERS", {name: learners.CLASSIFIERS[name]})
    whole = partial(minority_gain, folds=3, repeats=1)
    monkeypatch.setattr("privsynth.pipeline.minority_gain", whole)
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(60), 3)
    frame = pd.DataFrame(
        {
            "person": 1000 + person,
            "paid": rng.gamma(2, 20, 180).round(2),
            "Class": np.where(person < 15, "bad", "good"),
        }
    )
    frame.to_csv(tmp_path / "d.csv", index=False)
    files = [tmp_path / "d.csv", "-o", tmp_path / "o.csv", "--json", tmp_path / "j.json"]
    result = done(privsynth("augment", *files, "--engine", "random", *WIDE, *options))
    about = json.loads((tmp_path / "j.json").read_text())["about"]
    assert about["methods"] == ["random"]
    kept = "column 'person': 60 units, none of which is on both sides of a fold"
    if options == ["--unit", "person"]:
        assert about["splits"] == {**FOLDS, "units": 60, "unit": "person"}
        assert about["columns"] == ["paid"]
        assert kept in result.output
    else:
        assert about["splits"] == FOLDS
        assert kept not in result.output


@pytest.mark.parametrize(
    ("spelled", "labels"),
    [
        ("true", "true,false"),
        ("True", "True,False"),
        ("1", "1,0"),
        ("1.0", "1,0"),
        ("yes", "yes,no"),
        ("2021-02-03", None),
    ],
)
def test_a_class_is_named_as_the_file_spells_it(
    data: Path, tmp_path: Path, spelled: str, labels: str | None
) -> None:
    frame = pd.read_csv(data, dtype=str)
    if labels is None:
        arguments = ["--sampling-strategy", json.dumps({spelled: 200}), *WIDE]
        when = frame.assign(Class=np.where(frame["Class"] == "bad", spelled, "2022-03-04"))
        when.to_csv(tmp_path / "d.csv", index=False)
        refused(privsynth("augment", tmp_path / "d.csv", "-o", tmp_path / "o.csv", *arguments))
        return
    bad, good = labels.split(",")
    frame["Class"] = np.where(frame["Class"] == "bad", bad, good)
    frame.to_csv(tmp_path / "d.csv", index=False)
    strategies = [json.dumps({spelled: 200})]
    config = tmp_path / "c.yaml"
    config.write_text(f"target: Class\nsampling_strategy: {{{spelled}: 200}}\n")
    for given in (["--sampling-strategy", strategies[0], *WIDE], ["--config", config, "--seed", 1]):
        done(privsynth("augment", tmp_path / "d.csv", "-o", tmp_path / "o.csv", *given))
        grown = pd.read_csv(tmp_path / "o.csv", dtype=str)["Class"].value_counts()
        assert grown[bad] == 200
    told = refused(
        privsynth(
            *["augment", tmp_path / "d.csv", "-o", tmp_path / "x.csv"],
            *["--sampling-strategy", '{"maybe": 200}', *WIDE],
        )
    )
    assert "'maybe' that no row has" in told
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--engine", "smote", "--k", 5], "k is given"),
        (["--engine", "smote", "--fit-on", "all"], "--fit-on"),
        (["--engine", "random", "--selection", "classifiers"], "selection"),
        (["--delta", "1e-5"], "--epsilon"),
        (["--set", "epochs=3"], "epochs"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    data: Path, tmp_path: Path, arguments: list[object], word: str
) -> None:
    numbers = pd.read_csv(data).drop(columns="when")
    numbers.to_csv(tmp_path / "d.csv", index=False)
    out = tmp_path / "o.csv"
    assert word in refused(privsynth("augment", tmp_path / "d.csv", "-o", out, *arguments, *WIDE))
    assert not out.exists()


def test_a_balance_and_a_condition_on_the_class_are_refused(data: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "m.psyn", tmp_path / "o.csv"
    done(privsynth("fit", data, "-o", model, *WIDE))
    both = ["sample", model, "-n", 20, "-o", out, "--balance", 1, "--where"]
    assert "leave one of them out" in refused(privsynth(*both, "Class=bad"))
    assert not out.exists()


@pytest.mark.parametrize("engine", ["cart", "copula"])
def test_a_model_of_the_minority_draws_it_alone(engine: str, data: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "m.psyn", tmp_path / "rows.csv"
    done(privsynth("fit", data, "-o", model, "--minority", "--engine", engine, *WIDE))
    done(privsynth("sample", model, "-n", 80, "-o", out, "--seed", 1))
    assert set(pd.read_csv(out)["Class"]) == {"bad"}
    assert "minority: true" in done(privsynth("inspect", model)).stdout
    told = refused(privsynth("sample", model, "-n", 80, "-o", out, "--balance", 1))
    assert "nothing to balance" in told


def test_a_model_that_holds_rows_says_so(data: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.psyn"
    arguments = ["fit", data, "-o", model, "--engine", "random", *WIDE]
    assert "minority alone" in refused(privsynth(*arguments))
    assert "--allow-rows" in refused(privsynth(*arguments, "--minority"))
    assert not model.exists()
    done(privsynth(*arguments, "--minority", "--allow-rows"))
    assert "holds_rows: true" in done(privsynth("inspect", model)).stdout


def test_a_minority_wants_a_target_with_classes(data: Path, tmp_path: Path) -> None:
    fit = ["fit", data, "-o", tmp_path / "m.psyn", "--minority"]
    assert "--target" in refused(privsynth(*fit))
    assert "number of many values" in refused(privsynth(*fit, "--target", "ratio"))


@pytest.mark.parametrize(("ratio", "rare"), [(1, 500), (0.25, 200)])
def test_rows_are_balanced_as_asked(ratio: float, rare: int, data: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "m.psyn", tmp_path / "rows.csv"
    done(privsynth("fit", data, "-o", model, *WIDE))
    done(privsynth("sample", model, "-n", 1000, "-o", out, "--balance", ratio, "--seed", 1))
    counts = pd.read_csv(out)["Class"].value_counts()
    assert counts["bad"] == pytest.approx(rare, abs=1)
    assert counts.sum() == 1000
    assert out.read_text().splitlines()[1:5] != sorted(out.read_text().splitlines()[1:5])
    told = privsynth("sample", model, "-n", 10, "-o", out, "--balance", 1.5)
    assert told.exit_code == 2
