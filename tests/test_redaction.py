"""No password is ever shown: in no message, no representation and no file."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from privsynth import errors
from privsynth.cli.program import main
from privsynth.redaction import printable
from privsynth.table import Table, databases, read, write
from privsynth.table.places import database

SECRET = "s3cr3t"

HIDDEN = {
    "postgresql://u:s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "POSTGRESQL://u:s3cr3t@h:5432/d::t": "POSTGRESQL://u:***@h:5432/d::t",
    "postgres://u:s3cr3t@a:1,b:2/d::t": "postgres://u:***@a:1,b:2/d::t",
    "postgresql://u:x/s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "postgresql://u:x:s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "postgresql://u:x@s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "postgresql://u:x#s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "postgresql://u:x?s3cr3t@h/d::t": "postgresql://u:***",
    "postgresql://h:1/d?sslpassword=a@s3cr3t::t": "postgresql://h:***",
    "postgresql://u:x%40s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "postgresql://u:my s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "postgresql://u:x::s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "postgresql://u@corp:s3cr3t@h/d::t": "postgresql://u:***@h/d::t",
    "postgresql://:s3cr3t@h/d::t": "postgresql://:***@h/d::t",
    "postgresql://h/d?password=s3cr3t::t": "postgresql://h/d?***",
    "postgresql://u@h/d?x=1&sslpassword=s3cr3t": "postgresql://u@h/d?***",
    "postgresql:///d?user=u&password=a::s3cr3t": "postgresql:///d?***",
    "postgresql://u:s3cr3t/d::t": "postgresql://u:***::t",
    "postgresql:/u:s3cr3t@h/d::t": "postgresql:/u:***@h/d::t",
    "postgresql:u:s3cr3t@h/d": "postgresql:u:***@h/d",
    "postgresql+psycopg2://u:s3cr3t@h/d": "postgresql+psycopg2://u:***@h/d",
    "jdbc:postgresql://h/d?password=s3cr3t": "jdbc:postgresql://h/d?***",
    "mysql://u:s3cr3t@h/d::t": "mysql://u:***@h/d::t",
    "s3://KEY:s3cr3t@bucket/x.csv?token=s3cr3t": "s3://KEY:***@bucket/x.csv?***",
    "host=h password=s3cr3t dbname=d": "host=h password=*** dbname=d",
    "host=h PASSWORD = 'my s3cr3t' dbname=d": "host=h PASSWORD = *** dbname=d",
    "host=h sslpassword='it\\'s s3cr3t": "host=h sslpassword=***",
}
SHOWN = [
    "postgresql://h/d::t",
    "postgresql://u@h:5432/d::t",
    "postgresql://[::1]:5432/d::t",
    "host=h passfile=/home/u/.pgpass",
    "duckdb:////home/a:b@c/f?x=1.db::t",
    "sqlite:///a b#c%25.db::t",
    "duckdb://f.db::t",
    "data/a:b@c.csv",
    "C:/data/a@b.csv",
]


@pytest.mark.parametrize("place", HIDDEN)
def test_a_password_is_hidden_and_the_rest_is_left(place: str) -> None:
    assert printable(place) == HIDDEN[place]
    assert printable(HIDDEN[place]) == HIDDEN[place]


@pytest.mark.parametrize("place", SHOWN)
def test_a_place_without_a_password_is_shown_whole(place: str) -> None:
    assert printable(place) == place


@pytest.mark.parametrize("place", HIDDEN)
def test_a_message_keeps_its_reason(place: str) -> None:
    said = printable(f"{place}: no table 'x'; did you mean 'y'? (known: y)")
    assert SECRET not in said
    if "'it" not in place:
        assert said.endswith(": no table 'x'; did you mean 'y'? (known: y)")


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "did_you_mean"])
def test_no_error_or_warning_holds_a_password(name: str) -> None:
    kind = getattr(errors, name)
    error = kind(f"postgresql://u:{SECRET}@h/d: cannot be read; check the path")
    for shown in (
        str(error),
        repr(error),
        repr(error.args),
        repr(pickle.loads(pickle.dumps(error))),
    ):
        assert SECRET not in shown
        assert "postgresql://u:***@h/d: cannot be read" in shown


def test_a_warning_is_scrubbed_where_it_is_given() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(f"postgresql://u:{SECRET}@h/d", errors.PrivsynthWarning, stacklevel=1)
    assert SECRET not in str(caught[0].message)


def test_a_scheme_is_read_in_any_case() -> None:
    place = database(f"POSTGRES://u:{SECRET}@h/d::t")
    assert place is not None
    assert (place.scheme, place.address) == ("postgresql", f"postgresql://u:{SECRET}@h/d")
    assert SECRET not in repr(place)
    assert SECRET not in place.name
    assert read_name("DuckDB:///f.db::t") == "duckdb"


def read_name(url: str) -> str:
    place = database(url)
    assert place is not None
    return place.scheme


# ---------------------------------------------------------------- every command

URL = f"postgresql://u:{SECRET}@127.0.0.1:1/d"
URLS = [
    f"{URL}::t",
    f"{URL.upper().replace(SECRET.upper(), SECRET)}::T",
    URL,
    f"postgres://u:a/b:{SECRET}@127.0.0.1:1/d::t",
    f"postgresql://127.0.0.1:1/d?password={SECRET}::t",
    f"postgresql://127.0.0.1:1/d?user=u&sslpassword=a@b{SECRET}::t",
    f"mysql://u:{SECRET}@h/d::t",
]
COMMANDS = [
    "schema @",
    "schema t.csv -o @",
    "fit @ -o m.psyn",
    "fit t.csv -o @",
    "fit t.csv -o m.psyn --schema @",
    "fit t.csv -o m.psyn --config @",
    "fit t.csv -o m.psyn --holdout 0.2 --holdout-output @",
    "fit t.csv -o m.psyn --epsilon 1 --schema s.yaml --ledger @",
    "fit t.csv -o m.psyn --verbose --encoding @",
    "fit t.csv @ -o m.psyn",
    "fit t.csv -o m.psyn --k @",
    "fit t.csv -o m.psyn --engine @",
    "fit t.csv -o m.psyn --@",
    "sample @ -n 5 -o o.csv",
    "sample m.psyn -n 5 -o @ --verbose",
    "augment @ --target y -o o.csv --verbose",
    "augment t.csv --target y -o @",
    "augment t.csv --target y -o o.csv --plot @",
    "augment t.csv --target y -o o.csv --report @",
    "augment t.csv --target y -o o.csv --json @",
    "augment @ --target y -o @",
    "evaluate @ --train t.csv",
    "evaluate t.csv --train @",
    "evaluate t.csv --train t.csv --holdout @",
    "evaluate t.csv --train t.csv --model @",
    "evaluate t.csv --train t.csv --policy @",
    "evaluate t.csv --train t.csv --holdout t.csv --records-at-risk @",
    "evaluate t.csv --train t.csv -o @ --json @",
    "release @ -n 5 --train t.csv -o r",
    "release m.psyn -n 5 --train @ -o r",
    "release m.psyn -n 5 --train t.csv --holdout @ -o r --policy @",
    "release m.psyn -n 5 --train t.csv -o @ --sign @",
    "verify @ --key @ --model @",
    "inspect @",
    "demo -o @",
    "demo @",
    "@",
]


def run(command: str, url: str) -> Result:
    arguments = [word.replace("@", url) for word in command.split()]
    result = CliRunner().invoke(main, arguments)
    for shown in (result.stdout, result.stderr):
        assert SECRET not in shown, shown
    return result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(rows(), "t.csv")
    return tmp_path


def rows() -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table({"a": rng.integers(0, 9, 200), "y": rng.choice(["p", "q"], 200)})


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_the_password_of_a_url_that_fails(command: str, folder: Path) -> None:
    Path("m.psyn").write_bytes(b"x")
    for url in URLS:
        result = run(command, url)
        assert result.exit_code == 2, result.output
        assert result.stderr.splitlines()[-1].startswith("privsynth: error: ")


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[1:2] == ["@"]])
def test_no_command_shows_the_password_of_a_connection_string(command: str, folder: Path) -> None:
    assert run(command, f"host=h password={SECRET}").exit_code == 2


class Nowhere:
    """A sink that takes rows and keeps none."""

    def __init__(self, *_: object) -> None:
        pass

    def write(self, table: pa.Table) -> None:
        pass

    finish = abort = lambda _: None


def texts(folder: Path) -> list[bytes]:
    """Everything in the files of a folder, models unpacked."""
    found = []
    for file in folder.rglob("*"):
        if file.is_file():
            found.append(file.read_bytes())
            if zipfile.is_zipfile(io.BytesIO(found[-1])):
                with zipfile.ZipFile(file) as archive:
                    found += [archive.read(name) for name in archive.namelist()]
    return found


def test_no_command_that_succeeds_shows_or_writes_the_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: Any, **__: Any) -> tuple[pa.Table, dict[str, str]]:
        return rows(), {}

    monkeypatch.setattr(databases, "read_adbc", answer)
    monkeypatch.setattr(databases, "DatabaseSink", Nowhere)
    monkeypatch.setattr(databases, "relations", lambda _: set())
    pytest.importorskip("adbc_driver_postgresql")
    Path("s.yaml").write_text(
        "columns:\n- {name: a, kind: integer, dtype: int64, bounds: [0, 9], source: declared}\n"
        "- {name: y, kind: categorical, dtype: string, levels: [p, q], source: declared}\n"
    )
    for number, url in enumerate([f"{URL}::t", f"postgres://h/d?password={SECRET}::t"]):
        Path(str(number)).mkdir()
        for command in [
            "schema @ -o N/schema.yaml",
            "fit @ -o N/m.psyn --target y --holdout 0.2 --holdout-output @2",
            "fit @ -o N/p.psyn --epsilon 1 --schema s.yaml --ledger N/l --new-ledger --verbose",
            "sample N/m.psyn -n 5 -o @ --verbose",
            "augment @ --target y -o @2 --sampling-strategy minority",
            "evaluate @ --train @ --no-attacks -o N/report.html --json N/report.json",
        ]:
            result = run(command.replace("N/", f"{number}/"), url)
            assert result.exit_code == 0, (command, result.output)
            assert SECRET not in result.output
    found = texts(folder)
    assert len(found) > 10
    assert not any(SECRET.encode() in text for text in found)


def test_a_table_is_represented_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "read_adbc", lambda *_: (rows(), {}))
    table = read(f"{URL}::t")
    assert isinstance(table, Table)
    assert SECRET not in repr(table)
    assert SECRET not in table.name
