"""`fit --holdout-after` sets the rows from a date on aside; the card and a caution say so."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import privsynth as face
from privsynth.artefact import packed
from privsynth.card import Card
from privsynth.cli.program import main
from privsynth.errors import ArtefactError, PrivsynthWarning, UsageError
from privsynth.task import After

ROWS = 200
CUT = "2024-03-11"
SCHEMA = """
columns:
- {name: opened, kind: datetime, dtype: 'date32[day]', bounds: [2024-01-01, 2024-12-31]}
- {name: amount, kind: integer, bounds: [0, 100]}
- {name: Class, kind: categorical, levels: [bad, good], role: target}
"""


def privsynth(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def loans() -> pd.DataFrame:
    """Return two loans a day from 2024-01-01 on; 60 of the 200 are from 2024-03-11 on."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=ROWS // 2, freq="D").date
    return pd.DataFrame(
        {
            "opened": np.repeat(days, 2),
            "amount": rng.integers(0, 100, ROWS),
            "Class": np.tile(["good", "good", "good", "bad"], ROWS // 4),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    loans().to_csv("loans.csv", index=False)
    Path("schema.yaml").write_text(SCHEMA)
    return tmp_path


FIT = ["fit", "loans.csv", "-o", "m.psyn", "--engine", "copula", "--seed", 1]
IN_TIME = ["--holdout-after", CUT, "--holdout-column", "opened", "--holdout-output", "later.csv"]


def test_the_rows_from_the_date_on_are_set_aside(folder: Path) -> None:
    said = done(privsynth(*FIT, *IN_TIME)).stderr
    later = pd.read_csv("later.csv")
    assert (len(later), later["opened"].min()) == (60, CUT)
    card = json.loads(done(privsynth("inspect", "m.psyn", "--json")).stdout)
    assert card["holdout"] == {"after": CUT, "column": "opened"}
    assert card["rows"] == 140
    assert f"the holdout is the rows at or after {CUT}" in said
    assert "drift for membership" in said


def test_the_holdout_can_be_evaluated_against_the_whole_file(folder: Path) -> None:
    done(privsynth(*FIT, *IN_TIME))
    done(privsynth("sample", "m.psyn", "-n", 140, "-o", "s.csv", "--seed", 1))
    told = ["--train", "loans.csv", "--holdout", "later.csv", "--no-attacks", "--json", "r.json"]
    done(privsynth("evaluate", "s.csv", *told))
    rows = json.loads(Path("r.json").read_text())["about"]["rows"]
    assert rows == {"train": 140, "holdout": 60, "synthetic": 140}


@pytest.mark.parametrize("spelled", [CUT, f"'{CUT}'", f"{CUT} 00:00:00", f"'{CUT}T00:00'"])
def test_a_configuration_sets_it_too(folder: Path, spelled: str) -> None:
    Path("run.yaml").write_text(
        f"holdout_after: {spelled}\nholdout_column: opened\nholdout_output: later.csv\n"
    )
    done(privsynth(*FIT, "--config", "run.yaml"))
    assert len(pd.read_csv("later.csv")) == 60


def test_the_command_line_puts_one_way_in_place_of_the_other(folder: Path) -> None:
    Path("run.yaml").write_text("holdout: 0.5\nholdout_output: later.csv\n")
    done(privsynth(*FIT, "--config", "run.yaml", *IN_TIME))
    assert len(pd.read_csv("later.csv")) == 60
    Path("run.yaml").write_text(
        f"holdout_after: {CUT}\nholdout_column: opened\nholdout_output: later.csv\n"
    )
    done(privsynth(*FIT, "--config", "run.yaml", "--holdout", 0.5))
    assert len(pd.read_csv("later.csv")) == 100


def test_augment_refuses_a_configuration_with_a_holdout_in_time(folder: Path) -> None:
    Path("run.yaml").write_text("target: Class\nholdout_column: opened\n")
    result = privsynth("augment", "loans.csv", "-o", "a.csv", "--config", "run.yaml")
    assert (result.exit_code, "set a holdout aside" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (IN_TIME[:4], "--holdout-output"),
        (IN_TIME[2:], "--holdout-after and --holdout-column belong together"),
        (IN_TIME[:2], "--holdout-after and --holdout-column belong together"),
        ([*IN_TIME, "--holdout", 0.2], "exclude each other"),
        ([*IN_TIME, "--holdout-column", "opend"], "no column 'opend'; did you mean 'opened'"),
        ([*IN_TIME, "--holdout-column", "amount"], "column 'amount': is of type int64"),
        ([*IN_TIME, "--holdout-column", "Class"], "column 'Class': is of type string"),
        ([*IN_TIME, "--holdout-after", "soon"], "date is given as 'soon'"),
        ([*IN_TIME, "--holdout-after", "2024-02-30"], "date is given as '2024-02-30'"),
        ([*IN_TIME, "--holdout-after", f"{CUT}T00:00Z"], "leave the offset out"),
        ([*IN_TIME, "--holdout-after", "2030-01-01"], "no row is at or after 2030-01-01"),
        ([*IN_TIME, "--holdout-after", "2020-01-01"], "no row is before 2020-01-01"),
    ],
)
def test_what_cannot_be_set_aside_is_one_line(
    folder: Path, options: list[object], says: str
) -> None:
    before = {path.name for path in folder.iterdir()}
    result = privsynth(*FIT, *options)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert says in result.stderr
    assert {path.name for path in folder.iterdir()} == before


# ------------------------------------------------------------------ in Python


@pytest.mark.parametrize("cut", [CUT, date(2024, 3, 11), datetime(2024, 3, 11), pd.Timestamp(CUT)])
def test_a_date_is_given_as_text_or_as_a_date(cut: Any, tmp_path: Path) -> None:
    with pytest.warns(PrivsynthWarning, match="rows at or after 2024-03-11"):
        model = face.fit(
            *[loans()],
            engine="copula",
            seed=1,
            holdout_after=cut,
            holdout_column="opened",
            holdout_output=tmp_path / "later.csv",
        )
    assert [kind for kind, _ in model.cautions] == ["holdout"]
    assert model.card["rows"] == 140


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"holdout_after": CUT}, "both a date and a column"),
        ({"holdout_column": "opened"}, "both a date and a column"),
        ({"holdout_after": CUT, "holdout_column": "opened", "holdout": 0.2}, "give one of them"),
        ({"holdout_after": CUT, "holdout_column": 3}, "column is given as 3"),
        ({"holdout_after": 2024, "holdout_column": "opened"}, "date is given as '2024'"),
        ({"holdout_after": pd.NaT, "holdout_column": "opened"}, "date is given as 'NaT'"),
    ],
)
def test_half_a_holdout_is_refused(given: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        face.fit(loans(), **given, holdout_output=tmp_path / "later.csv")
    with pytest.raises(UsageError, match=f"{says}|where to write it"):
        face.fit(loans(), **given)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ the card


def test_a_card_keeps_how_the_holdout_was_set_aside(tmp_path: Path) -> None:
    model = face.fit(loans(), engine="copula", seed=1)
    state = model.card.to_dict()
    assert state["holdout"] is None
    for holdout, kept in ((0.25, 0.25), (After(CUT, "opened"), {"after": CUT, "column": "opened"})):
        card = Card.from_dict({**state, "holdout": kept})
        assert card.holdout == holdout
        assert card.to_dict() == {**state, "holdout": kept}
        assert card.task(model.schema, None).holdout == holdout


@pytest.mark.parametrize(
    "damaged",
    [
        {"after": CUT},
        {"after": CUT, "column": None},
        {"after": 2024, "column": "opened"},
        {"after": CUT, "column": "opened", "rows": 60},
        "2024-03-11",
        [0.25],
    ],
)
def test_a_card_with_a_damaged_holdout_is_refused(damaged: Any) -> None:
    state = face.fit(loans(), engine="copula", seed=1).card.to_dict()
    with pytest.raises(ArtefactError, match="'holdout' is damaged"):
        Card.from_dict({**state, "holdout": damaged})
    with pytest.raises(UsageError, match="date is given as 'soon'"):
        Card.from_dict({**state, "holdout": {"after": "soon", "column": "opened"}})


def test_a_model_that_was_saved_is_the_same(folder: Path) -> None:
    done(privsynth(*FIT, *IN_TIME))
    assert packed(face.load("m.psyn")) == Path("m.psyn").read_bytes()


# ------------------------------------------------------------------ under a budget

PRIVATE = ["fit", "loans.csv", "-o", "m.psyn", "--schema", "schema.yaml", "--epsilon", 5]


@pytest.mark.parametrize(("cut", "aside"), [(CUT, 60), ("2030-01-01", 0), ("2020-01-01", 200)])
def test_under_a_budget_neither_rows_nor_their_number_are_told(
    folder: Path, cut: str, aside: int
) -> None:
    said = done(privsynth(*PRIVATE, *IN_TIME, "--holdout-after", cut)).stderr
    assert len(pd.read_csv("later.csv")) == aside
    assert f"the holdout is the rows at or after {cut}" in said
    assert "neither learnt nor set aside" not in said


def test_under_a_budget_a_persons_later_rows_are_on_neither_side(folder: Path) -> None:
    frame = loans().assign(who=[f"p{i // 4}" for i in range(ROWS)])
    frame.loc[frame["who"] == "p0", "opened"] = [date(2024, 1, 1), *[date(2024, 6, 1)] * 3]
    frame.to_csv("loans.csv", index=False)
    Path("schema.yaml").write_text(SCHEMA + "- {name: who, kind: id}\n")
    said = done(privsynth(*PRIVATE, *IN_TIME, "--unit", "who", "--rows-per-unit", 4)).stderr
    later = pd.read_csv("later.csv")
    assert later["who"].unique().tolist() == [f"p{i}" for i in range(35, 50)]
    assert len(later) == 60
    assert "neither learnt nor set aside" not in said


@pytest.mark.parametrize(
    ("column", "says"),
    [("amount", "schema, column 'amount': is of type int64"), ("opend", "no column 'opend'")],
)
def test_under_a_budget_names_and_declarations_are_refused(
    folder: Path, column: str, says: str
) -> None:
    before = {path.name for path in folder.iterdir()}
    result = privsynth(
        *PRIVATE, *IN_TIME, "--holdout-column", column, "--ledger", "l", "--new-ledger"
    )
    assert (result.exit_code, says in result.stderr) == (2, True), result.stderr
    assert {path.name for path in folder.iterdir()} == before


def test_an_odd_date_stops_no_fit_under_a_budget(folder: Path) -> None:
    with Path("loans.csv").open("a") as file:
        file.write("soon,5,bad\n")
    done(privsynth(*PRIVATE, *IN_TIME))
    assert len(pd.read_csv("later.csv")) == 60


def test_a_cut_in_a_zone_is_one_under_a_budget_too(folder: Path) -> None:
    frame = loans()
    frame["opened"] = pd.to_datetime(frame["opened"]).dt.tz_localize("Europe/Berlin")
    frame.to_parquet("loans.parquet")
    Path("schema.yaml").write_text(SCHEMA.replace("date32[day]", "timestamp[us, tz=Europe/Berlin]"))
    arguments = ["fit", "loans.parquet", *PRIVATE[2:], *IN_TIME]
    done(privsynth(*arguments))
    assert len(pd.read_csv("later.csv")) == 60
    cut = datetime(2024, 3, 10, 23, tzinfo=UTC).isoformat()  # midnight in Berlin
    done(privsynth(*arguments, "--holdout-after", cut))
    assert len(pd.read_csv("later.csv")) == 60
