"""A release is put in place whole, and whoever alters it is found out."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import privsynth
from privsynth import releases
from privsynth.cli.program import main
from privsynth.errors import MissingExtraError, StorageError, UsageError
from privsynth.evaluation.policy import POLICIES, Policy
from privsynth.evaluation.score import Evaluation, Score
from privsynth.files import atomic
from privsynth.releases.croissant import croissant
from privsynth.releases.files import json_bytes, sha256, sums

SALT = "ab" * 32
ROWS = 120
FILES = (
    "SHA256SUMS",
    "card.json",
    "croissant.json",
    "evaluation.json",
    "report.html",
    "synthetic.csv",
)


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, 400),
            "income": rng.normal(50, 9, 400).round(1),
            "smoker": rng.random(400) < 0.3,
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 400), "D"),
            "ward": rng.choice(["north", "south"], 400),
        }
    )


@pytest.fixture(scope="module")
def model(train: pd.DataFrame) -> privsynth.pipeline.FittedModel:
    return privsynth.fit(train, engine="copula", target="ward", seed=3)


def evaluation(holdout: int = 3_000, **changes: Any) -> Evaluation:
    scores = (
        Score("attacks", "membership_epsilon", 0.4, 0.1, better="lower"),
        Score("attacks", "linkability", 0.01, -0.01, 0.02, better="lower", detail={"rows": 500.0}),
        Score("fidelity", "marginal_agreement_1way", 0.97, 0.96, 0.98, real=float("nan")),
    )
    about = {"rows": {"train": 400, "holdout": holdout, "synthetic": ROWS}, **changes}
    return Evaluation(scores, about, ("a note",))


Build = Callable[..., Path]


@pytest.fixture(scope="module")
def files(model: Any, train: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    model.save(folder / "model.psyn")
    train.to_csv(folder / "train.csv", index=False)
    for table in ("synthetic.csv", "synthetic.parquet"):
        privsynth.sample(model, ROWS, seed=5, output=folder / table)
    return folder


def make(place: Path, files: Path, model: Any, *, table: str, **changes: Any) -> Path:
    with releases.opened(place) as folder:
        shutil.copy(files / table, folder / table)
        given: dict[str, Any] = {
            "model": model,
            "model_file": files / "model.psyn",
            "evaluation": evaluation(),
            "page": "<p>report</p>",
            "policy": POLICIES["standard"],
            "seeds": {"sample": 5, "evaluate": 0},
            "inputs": {"train": files / "train.csv", "holdout": None},
            "salt": SALT,
        }
        releases.fill(folder, releases.Release(**{**given, **changes}))
    return place


@pytest.fixture(scope="module")
def usual(files: Path, model: Any) -> Path:
    """The release that most tests alter, each its own copy."""
    return make(files / "usual", files, model, table="synthetic.csv")


@pytest.fixture
def build(tmp_path: Path, model: Any, files: Path, usual: Path) -> Build:
    def built(name: str = "out", table: str = "synthetic.csv", **changes: Any) -> Path:
        place = tmp_path / name
        if changes or table != "synthetic.csv":
            return make(place, files, model, table=table, **changes)
        return Path(shutil.copytree(usual, place, dirs_exist_ok=True))

    return built


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return new_key(tmp_path / "key.pem")


def new_key(path: Path) -> Path:
    """Write an ed25519 key, and its public part beside it with the ending .pub."""
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization as s

    made = ed25519.Ed25519PrivateKey.generate()
    pem, plain = s.Encoding.PEM, s.NoEncryption()
    path.write_bytes(made.private_bytes(pem, s.PrivateFormat.PKCS8, plain))
    public = made.public_key().public_bytes(pem, s.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


def forge(folder: Path, change: Callable[[Any], object], name: str = "card.json") -> None:
    """Change a JSON file as a careful forger would: every hash of it is made anew."""
    path = folder / name
    state = json.loads(path.read_text())
    change(state)
    path.write_bytes(json_bytes(state))
    if name != "card.json":
        forge(folder, lambda card: card["files"].__setitem__(name, sha256(path)))
        return
    resum(folder)


def resum(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()} - {
        "SHA256SUMS",
        "SHA256SUMS.sig",
        "SHA256SUMS.pub",
    }
    (folder / "SHA256SUMS").write_bytes(sums({name: sha256(folder / name) for name in names}))


def test_a_release_is_whole_and_verifies(build: Build, files: Path, tmp_path: Path) -> None:
    out = build(page="new")
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert releases.verify(out) == ()
    assert releases.verify(out, model=files / "model.psyn") == ()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_sha256sum_reads_the_sums(build: Build) -> None:
    lines = (build() / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == sorted(set(FILES) - {"SHA256SUMS"})


def test_a_parquet_table_verifies_too(build: Build) -> None:
    out = build(table="synthetic.parquet")
    assert releases.verify(out) == ()
    assert json.loads((out / "card.json").read_text())["output"]["rows"] == ROWS


def test_the_same_release_is_the_same_bytes(build: Build) -> None:
    one, two = build("one", page=""), build("two", page="")
    for name in FILES:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_the_card_holds_what_is_claimed(build: Build, model: Any, files: Path) -> None:
    card = json.loads((build() / "card.json").read_text())
    assert card["model"]["engine"] == "copula"
    assert card["model"]["disclosure"]["k"] == 10
    assert card["model"]["sha256"] == sha256(files / "model.psyn")
    assert card["seeds"] == {"fit": 3, "sample": 5, "evaluate": 0}
    assert card["ledger"] == model.ledger.to_dict()
    assert card["guarantee"]["words"] == "no formal guarantee"
    assert card["guarantee"]["epsilon"] is None
    assert card["policy"] == POLICIES["standard"].to_dict()
    assert [score["value"] for score in card["evaluation"]["scores"]] == [0.4, 0.01, 0.97]
    assert {f["score"]: f["verdict"] for f in card["findings"]}["exact_replicas"] == "INCONCLUSIVE"
    told = " ".join(card["not_covered"])
    for part in ("domain", "bounds", "tuning", "row count", "repeated releases", "outside any"):
        assert part in told
    assert card["warnings"] == []
    assert not any("time" in name or "date" in name for name in card)


def test_a_release_without_a_holdout_warns_in_the_card(build: Build) -> None:
    out = build(evaluation=evaluation(0))
    (warning,) = json.loads((out / "card.json").read_text())["warnings"]
    assert "no holdout" in warning
    assert releases.verify(out) == ()


def test_an_engine_that_holds_rows_says_what_it_is(
    build: Build, train: pd.DataFrame, tmp_path: Path
) -> None:
    numbers = train.assign(ward=np.where(np.arange(400) < 60, "rare", "usual"))[
        ["age", "income", "ward"]
    ]
    held = privsynth.fit(numbers, engine="smote", target="ward", minority=True, seed=1)
    with releases.opened(tmp_path / "rows") as folder:
        privsynth.sample(held, ROWS, seed=5, output=folder / "synthetic.csv")
        card = releases.fill(
            folder,
            releases.Release(
                model=held,
                model_file=None,
                evaluation=evaluation(),
                page="",
                policy=POLICIES["standard"],
                seeds={"sample": 5},
                inputs={"train": None},
                salt=SALT,
            ),
        )
    assert "IS training rows" in card["model_is"]
    assert card["model_is"] in card["warnings"]
    assert card["inputs"]["sha256"] == {"train": None}
    assert releases.verify(tmp_path / "rows") == ()


def test_the_input_can_be_checked_by_who_has_the_salt_alone(build: Build, files: Path) -> None:
    out = build()
    told = json.loads((out / "card.json").read_text())["inputs"]["sha256"]
    assert told["train"] == releases.salted_hash(files / "train.csv", SALT)
    assert told["train"] != releases.salted_hash(files / "train.csv", "cd" * 32)
    assert all(SALT.encode() not in path.read_bytes() for path in out.iterdir())
    for short in ("", "ab", "no hexadecimal digits " * 4):
        with pytest.raises(UsageError, match="64 hexadecimal"):
            releases.salted_hash(files / "train.csv", short)


def test_croissant_names_every_column_and_gives_it_an_id_that_readers_take() -> None:
    names = ["amount", "a b", "x/y", "ü", "#", "a.b"]
    columns = [{"name": name, "dtype": "int64"} for name in names]
    output = {"file": "synthetic.csv", "rows": 1, "bytes": 1, "sha256": "", "columns": columns}
    fields = croissant(output, "no formal guarantee")["recordSet"][0]["field"]
    assert [field["name"] for field in fields] == names
    assert [field["source"]["extract"]["column"] for field in fields] == names
    ids = [field["@id"].removeprefix("rows/") for field in fields]
    assert ids == ["amount", "column~2", "column~3", "column~4", "column~5", "a.b"]


def test_croissant_describes_the_table(build: Build) -> None:
    out = build()
    told = json.loads((out / "croissant.json").read_text())
    assert told["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    (file,) = told["distribution"]
    assert file["sha256"] == sha256(out / "synthetic.csv")
    assert file["contentUrl"] == "synthetic.csv"
    (records,) = told["recordSet"]
    assert {field["name"]: field["dataType"] for field in records["field"]} == {
        "age": "sc:Integer",
        "income": "sc:Float",
        "smoker": "sc:Boolean",
        "seen": "sc:Date",
        "ward": "sc:Text",
    }


@pytest.mark.parametrize("name", FILES)
def test_a_byte_changed_in_any_file_is_found(build: Build, name: str) -> None:
    out = build()
    data = (out / name).read_bytes()
    for place in (0, len(data) // 2, len(data) - 2):
        (out / name).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert releases.verify(out), place
    (out / name).write_bytes(data + b"\n")
    assert releases.verify(out)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(build: Build, name: str) -> None:
    out = build()
    (out / name).unlink()
    assert releases.verify(out)


@pytest.mark.parametrize("name", FILES)
def test_a_link_is_refused_even_to_the_same_bytes(build: Build, tmp_path: Path, name: str) -> None:
    out = build()
    (out / name).rename(tmp_path / "elsewhere")
    (out / name).symlink_to(tmp_path / "elsewhere")
    assert f"{name}: is not a plain file" in releases.verify(out)


def test_what_does_not_belong_is_refused(build: Build) -> None:
    out = build()
    (out / "model.psyn").touch()
    assert releases.verify(out) == ("'model.psyn': does not belong to a release",)
    (out / "model.psyn").unlink()
    (out / "more").mkdir()
    assert releases.verify(out) == ("'more': does not belong to a release",)
    (out / "more").rmdir()
    (out / "synthetic.parquet").touch()
    assert any("expected one table" in problem for problem in releases.verify(out))


def put(*keys: Any, value: Any) -> Callable[[Any], None]:
    def change(state: Any) -> None:
        for part in keys[:-1]:
            state = state[part]
        state[keys[-1]] = value

    return change


FORGERIES = {
    "epsilon": put("guarantee", "epsilon", value=1.0),
    "formal": put("guarantee", "formal", value=True),
    "guarantee in words": put("guarantee", "words", value="(1, 1e-06)-differential privacy"),
    "ledger in words": put("ledger", "guarantee", value="(1, 1e-06)-differential privacy"),
    "no guarantee at all": put("guarantee", value={}),
    "empty ledger": put("ledger", "events", value=[]),
    "unknown mechanism": put("ledger", "events", 0, "mechanism", value="laplace"),
    "a score": put("evaluation", "scores", 0, "low", value=0.0),
    "a score left out": lambda card: card["evaluation"]["scores"].pop(),
    "a note": put("evaluation", "notes", value=[]),
    "a verdict": put("findings", 0, "verdict", value="no leak found by these attacks and more"),
    "words of a finding": put("findings", 0, "words", value="anonymous"),
    "a finding left out": lambda card: card["findings"].pop(),
    "passed": put("passed", value=None),
    "a threshold": put("policy", "linkability", value=0.9),
    "unknown key in the policy": put("policy", "linkabilty", value=0.9),
    "another built-in policy": lambda card: card.update(policy=POLICIES["strict"].to_dict()),
    "rows": put("output", "rows", value=ROWS + 1),
    "rows as text": put("output", "rows", value="many"),
    "columns": lambda card: card["output"]["columns"].pop(),
    "the table's hash": put("output", "sha256", value="0" * 64),
    "the table's name": put("output", "file", value="../train.csv"),
    "the table's name as a list": put("output", "file", value=[]),
    "the list of files": put("files", value={}),
    "a path in the list of files": put("files", "../train.csv", value="0" * 64),
    "not covered": put("not_covered", value=[]),
    "warnings": put("warnings", value=["none"]),
    "what the model is": put("model_is", value="harmless"),
    "holds rows": put("model", "holds_rows", value=True),
    "seed": put("seeds", "fit", value=4),
    "signer": put("signed_by", value="0" * 64),
    "format": put("format", value="card"),
    "version": put("version", value=2),
    "another version of privsynth, and a verdict": lambda card: (
        put("versions", "privsynth", value="9.9")(card),
        put("findings", 0, "fails", value=True)(card),
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_card_that_is_forged_with_its_sums_is_found(build: Build, forgery: str) -> None:
    out = build()
    forge(out, FORGERIES[forgery])
    problems = releases.verify(out)
    assert problems
    assert all("\n" not in problem for problem in problems)


@pytest.mark.parametrize("key", ["output", "ledger", "guarantee", "policy", "evaluation", "model"])
def test_a_card_that_lacks_a_part_is_found(build: Build, key: str) -> None:
    out = build()
    forge(out, lambda card: card.pop(key))
    assert releases.verify(out)


def test_an_evaluation_that_is_forged_with_card_and_sums_is_found(build: Build) -> None:
    out = build()
    change = put("scores", 0, "low", value=7.0)
    forge(out, change, "evaluation.json")
    forge(out, lambda card: change(card["evaluation"]))
    assert any("'findings'" in problem for problem in releases.verify(out))


def test_metadata_forged_with_card_and_sums_is_found(build: Build) -> None:
    for change in (
        put("distribution", 0, "contentUrl", value="https://example.org/t.csv"),
        put("recordSet", 0, "field", 0, "dataType", value="sc:Text"),
        put("description", value="anonymous rows"),
        put("license", value="CC0"),
    ):
        out = build()
        forge(out, change, "croissant.json")
        assert any(problem.startswith("croissant.json") for problem in releases.verify(out))


def test_a_table_swapped_for_another_with_every_hash_made_anew_is_found(build: Build) -> None:
    out = build()
    table = out / "synthetic.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    state = {"sha256": sha256(table), "bytes": table.stat().st_size}
    forge(
        out,
        lambda told: told["distribution"][0].update(
            sha256=state["sha256"], contentSize=f"{state['bytes']} B"
        ),
        "croissant.json",
    )
    forge(out, lambda card: card["output"].update(state))
    forge(out, lambda card: card["files"].update({"synthetic.csv": state["sha256"]}))
    assert releases.verify(out) == ("synthetic.csv: has 119 rows, and card.json says otherwise",)
    table.write_text("")
    assert releases.verify(out)


def test_a_ledger_is_compared_with_the_model_where_it_is_given(build: Build, files: Path) -> None:
    out = build()
    forge(out, lambda card: card["ledger"]["events"].pop())
    assert releases.verify(out) == ()  # no one could tell without the model
    assert any("ledger" in problem for problem in releases.verify(out, model=files / "model.psyn"))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"[" * 100_000, b'{"format": NaN}', b'{"a": 1, "a": 2}', b"\xff\xfe"],
)
@pytest.mark.parametrize("name", ["card.json", "evaluation.json", "croissant.json"])
def test_what_is_no_json_of_ours_is_a_problem_and_no_error(
    build: Build, name: str, data: bytes
) -> None:
    out = build()
    (out / name).write_bytes(data)
    resum(out)
    assert releases.verify(out)


def test_a_file_of_absurd_size_is_not_read(build: Build) -> None:
    out = build()
    for name in set(FILES) - {"synthetic.csv"}:
        kept = (out / name).read_bytes()
        with (out / name).open("r+b") as file:
            file.truncate(2**40)  # sparse
        (problem,) = releases.verify(out)
        assert f"{name}: is larger than" in problem
        (out / name).write_bytes(kept)


@pytest.mark.parametrize(
    "line", ["{0}  ../train.csv", "{0}  /etc/passwd", "{0} card.json", "x", "{0}  other"]
)
def test_a_line_of_the_sums_that_leads_elsewhere_is_refused(build: Build, line: str) -> None:
    out = build()
    with (out / "SHA256SUMS").open("a") as file:
        file.write(line.format("0" * 64) + "\n")
    assert releases.verify(out) == ("SHA256SUMS, line 6: is not the hash of a release's file",)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is not a folder"):
        releases.verify(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "card.json: is missing" in releases.verify(tmp_path / "empty")


def test_a_signed_release_verifies_with_its_key_and_with_no_other(
    build: Build, key: Path, tmp_path: Path
) -> None:
    out = build(sign=key)
    other = new_key(tmp_path / "other.pem")
    assert releases.verify(out) == ()
    assert releases.verify(out, key=key.with_suffix(".pub")) == ()
    (problem,) = releases.verify(out, key=other.with_suffix(".pub"))
    assert "another key" in problem


def test_verify_says_that_nobody_vouches_for_the_signer(build: Build, key: Path) -> None:
    def told(out: Path, *more: object) -> str:
        result = CliRunner().invoke(main, ["verify", str(out), "--quiet", *map(str, more)])
        assert result.exit_code == 0, result.output
        return result.stdout

    unsigned = told(build())
    assert "not signed" in unsigned
    assert "nobody vouches for the signer" in unsigned
    signed = told(build("signed", sign=key))
    assert "nobody vouches for the signer" in signed
    assert "--key" in signed
    vouched = told(build("signed", sign=key), "--key", key.with_suffix(".pub"))
    assert vouched == f"signed by the owner of {key.with_suffix('.pub')}\n"


def test_a_release_signed_anew_by_a_forger_fails_the_publishers_key(
    build: Build, key: Path, tmp_path: Path
) -> None:
    out = build(sign=new_key(tmp_path / "forger.pem"))
    assert releases.verify(out, key=key.with_suffix(".pub"))


@pytest.mark.parametrize("name", ["SHA256SUMS.sig", "SHA256SUMS.pub", *FILES])
def test_a_change_to_any_file_of_a_signed_release_is_found(
    build: Build, key: Path, name: str
) -> None:
    out = build(sign=key)
    data = (out / name).read_bytes()
    for changed in (data[:9] + bytes([data[9] ^ 1]) + data[10:], b"", None):
        (out / name).unlink()
        if changed is not None:
            (out / name).write_bytes(changed)
        assert releases.verify(out)
        assert releases.verify(out, key=key.with_suffix(".pub"))
        (out / name).write_bytes(data)


def test_sums_made_anew_do_not_carry_the_signature(build: Build, key: Path) -> None:
    out = build(sign=key)
    (out / "report.html").write_text("<p>all is well</p>")
    forge(out, lambda card: card["files"].update({"report.html": sha256(out / "report.html")}))
    assert releases.verify(out) == ("SHA256SUMS.sig: does not sign this SHA256SUMS",)


def test_a_signature_taken_away_is_found(build: Build, key: Path) -> None:
    out = build(sign=key)
    (out / "SHA256SUMS.sig").unlink()
    (out / "SHA256SUMS.pub").unlink()
    assert any("signer" in problem for problem in releases.verify(out))
    assert any("is not signed" in p for p in releases.verify(out, key=key.with_suffix(".pub")))


def test_a_key_that_is_none_is_refused_before_anything_is_written(
    build: Build, key: Path, files: Path, tmp_path: Path
) -> None:
    for wrong in (key.with_suffix(".pub"), files / "train.csv"):
        with pytest.raises(UsageError, match="ed25519 private key"):
            build("refused", sign=wrong)
    with pytest.raises(StorageError, match="cannot be read"):
        build("refused", sign=tmp_path / "none.pem")
    assert not (tmp_path / "refused").exists()
    with pytest.raises(UsageError, match="ed25519 public key"):
        releases.verify(build(), key=key)


def test_without_the_package_the_extra_is_named(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'privsynth\[sign\]'"):
        build(sign=tmp_path / "key.pem")
    assert releases.verify(build()) == ()


def test_an_error_leaves_the_old_release_and_nothing_else(build: Build, tmp_path: Path) -> None:
    out = build()
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def interrupted() -> None:
        with releases.opened(out) as folder:
            (folder / "synthetic.csv").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_rename_that_fails_brings_the_old_release_back(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = build()
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == out.resolve() and not self.name.endswith(".old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)  # as on a shared folder
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StorageError):
        build(page="new")
    monkeypatch.undo()
    assert releases.verify(out) == ()
    assert (out / "report.html").read_text() == "<p>report</p>"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_older_release_is_replaced_where_two_names_cannot_be_exchanged(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    build()
    out = build(page="new")
    assert releases.verify(out) == ()
    assert (out / "report.html").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_older_release_and_an_empty_folder_are_replaced(build: Build, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    build(page="old")
    out = build(page="new")
    assert (out / "report.html").read_text() == "new"
    assert releases.verify(out) == ()


def test_a_folder_of_anything_else_is_left_alone(build: Build, tmp_path: Path) -> None:
    out = build()
    (out / "mine.txt").write_text("kept")
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "card.json").write_text("{}")
    for name in ("out", "other"):
        with pytest.raises(UsageError, match="nor an older release"):
            build(name, page="new")
    with pytest.raises(UsageError, match="is a file"):
        build("file", page="new")
    with pytest.raises(StorageError, match="does not exist"):
        build("none/out", page="new")
    assert (out / "mine.txt").read_text() == "kept"


def test_a_release_has_the_permissions_of_a_new_folder(build: Build, tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        out = build(page="new")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o644}


def test_a_release_without_one_table_is_refused(model: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="holds one table"),
        releases.opened(tmp_path / "o") as made,
    ):
        releases.fill(
            made,
            releases.Release(
                model=model,
                model_file=None,
                evaluation=evaluation(),
                page="",
                policy=Policy(),
                seeds={},
                inputs={},
                salt=secrets.token_hex(32),
            ),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_release_that_is_moved_still_verifies(build: Build, tmp_path: Path) -> None:
    shutil.move(build(), tmp_path / "moved")
    assert releases.verify(tmp_path / "moved") == ()
