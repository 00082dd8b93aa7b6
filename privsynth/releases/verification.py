"""Verify a release: check that its files are intact and that its claims follow from them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from privsynth.artefact import load
from privsynth.errors import ArtefactError, DataError, PrivsynthError, StorageError
from privsynth.evaluation import Evaluation, Policy
from privsynth.privacy import Ledger, misstated
from privsynth.releases.card import FORMAT, FORMAT_VERSION, claims, guarantee_dict, public_claims
from privsynth.releases.croissant import croissant
from privsynth.releases.files import (
    CARD,
    CROISSANT,
    EVALUATION,
    MAX_BYTES,
    NAMES,
    PARTS,
    PUBLIC,
    PUBLIC_KEY,
    REPORT,
    RESTRICTED,
    SIGNATURE,
    SUMS,
    TABLES,
    bounded,
    parsed,
    read_sums,
    sha256,
)
from privsynth.releases.signature import fingerprint, is_signed, public_key
from privsynth.table import read

__all__ = ["remarks", "verify"]

MAX_SMALL_BYTES = 2**14
"""Largest size of the list of hashes, of a key and of a signature."""
_DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def verify(
    folder: str | Path, *, key: str | Path | None = None, model: str | Path | None = None
) -> tuple[str, ...]:
    """Recompute the hashes of a release and the claims of its card.

    Parameters
    ----------
    folder : str or Path
        A release, or one part of a release under a budget: ``DIR/public`` or ``DIR/restricted``.
    key : str or Path, optional
        The publisher's public key in PEM. If given, the release must be signed with it.
    model : str or Path, optional
        The model's file, which is not part of the release; card and ledger are compared with it.

    Returns
    -------
    tuple of str
        Problems, one line each; empty if there are none.

    Raises
    ------
    StorageError
        The folder does not exist, or one of its files, the key or the model cannot be read.
    UsageError
        `key` is not an ed25519 public key.
    ArtefactError
        `model` is not a model file.
    MissingExtraError
        There is a signature to check, and `cryptography` is not installed.

    Notes
    -----
    Without the publisher's key, a forger who rewrites all of the files consistently is not
    detected, since the files depend on no secret; see `remarks`. Apart from `key` and `model`,
    nothing outside the folder is read.
    """
    path = Path(folder)
    if not path.is_dir():
        raise StorageError(
            f"{folder}: is not a folder; give the one that 'privsynth release' wrote"
        )
    if not _has_parts(path):
        return _verify_part(path, key, model)
    problems = list(_beside_parts(path))
    for part in (PUBLIC, RESTRICTED):
        if (path / part).is_dir() and not (path / part).is_symlink():
            problems += [f"{part}/{problem}" for problem in _verify_part(path / part, key, model)]
            problems += _kind_of_part(path / part, part)
    return tuple(problems or _safely(_same_release, path, {}))


def remarks(folder: str | Path, *, key: str | Path | None = None) -> tuple[str, ...]:
    """Return what a reader must know about a release even if `verify` found no problem.

    Parameters
    ----------
    folder : str or Path
    key : str or Path, optional
        The key passed to `verify`.

    Returns
    -------
    tuple of str
        Who vouches for it, and the reason for accepting a risk, if one was given.
    """
    path = Path(folder)
    parts = [path / PUBLIC, path / RESTRICTED] if _has_parts(path) else [path]
    cards = [parsed(bounded(part / CARD), CARD) for part in parts]
    lines = [_who_signed(cards[0], key)]
    for card in cards:
        if (reason := card.get("accepted_risk")) is not None:
            outcome = "is met" if card["passed"] else "is missed"
            name = card["policy"]["name"]
            lines.append(f"policy {name!r} {outcome}; the risk was accepted: {reason}")
    return tuple(lines)


def _who_signed(card: Mapping[str, Any], key: str | Path | None) -> str:
    if key is not None:
        return f"signed by the owner of {key}"
    if card["signed_by"] is None:
        return (
            "not signed: nobody vouches for the signer or the content; whoever rewrites every file "
            "is not detected"
        )
    return (
        f"signed, but nobody vouches for the signer: the key is part of the release (sha256 "
        f"{card['signed_by']}); give the publisher's own with --key"
    )


def _has_parts(path: Path) -> bool:
    return any(os.path.lexists(path / part) for part in (PUBLIC, RESTRICTED))


def _beside_parts(path: Path) -> Iterator[str]:
    """Report what does not belong beside the two parts, missing parts and symbolic links."""
    for entry in sorted(path.iterdir()):
        if entry.name not in (PUBLIC, RESTRICTED):
            yield f"{entry.name!a}: does not belong to a release"
        elif not stat.S_ISDIR(entry.lstat().st_mode):
            yield f"{entry.name}: is not a folder"
    for part in (PUBLIC, RESTRICTED):
        if not os.path.lexists(path / part):
            yield f"{part}: is missing; verify the other part by itself"


def _kind_of_part(path: Path, part: str) -> Iterator[str]:
    """Report a part whose card does not match the name of its folder."""
    try:
        card = parsed(bounded(path / CARD), CARD)
    except (ArtefactError, StorageError):  # already reported
        return
    if card.get("part") != part:
        yield f"{part}/{CARD}: is not the card of a {part} part"


def _same_release(path: Path, _: Mapping[str, Any]) -> Iterator[str]:
    """Report where the two parts contradict each other."""
    public, restricted = (
        parsed(bounded(path / part / CARD), CARD) for part in (PUBLIC, RESTRICTED)
    )
    if restricted["public_card"] != sha256(path / PUBLIC / CARD):
        yield f"{RESTRICTED}/{CARD}: belongs to another public part"
    for name in ("versions", "model", "output", "signed_by", "ledger", "guarantee"):
        if public[name] != restricted[name]:
            yield f"{RESTRICTED}/{CARD}: its {name!r} is not that of the public part"
    if any(restricted["seeds"].get(name) != seed for name, seed in public["seeds"].items()):
        yield f"{RESTRICTED}/{CARD}: its 'seeds' are not those of the public part"


def _verify_part(path: Path, key: str | Path | None, model: str | Path | None) -> tuple[str, ...]:
    """Verify a release in one part, or one part of a release."""
    problems = list(_entries(path))
    if problems:
        return tuple(problems)
    problems = [*_hashes(path), *_signature(path, key)]
    if problems:  # the claims of an altered card mean nothing
        return tuple(problems)
    try:
        card = parsed(bounded(path / CARD), CARD)
        if card.get("format") != FORMAT or card.get("version") != FORMAT_VERSION:
            raise ArtefactError(
                f"{CARD}: is not a card of version {FORMAT_VERSION}; verify it with the privsynth "
                "that wrote it"
            )
    except ArtefactError as error:
        return (str(error),)
    for check in _CHECKS[_part_of(path)]:
        problems += _safely(check, path, card)
    if model is not None:
        problems += _against_model(card, model)
    return tuple(problems)


def _part_of(path: Path) -> str | None:
    """Read from its card which part of a release a folder holds."""
    try:
        part = parsed(bounded(path / CARD), CARD).get("part")
    except (ArtefactError, StorageError):
        return None
    return part if part in (PUBLIC, RESTRICTED) else None


def _safely(
    check: Callable[[Path, Mapping[str, Any]], Iterator[str]],
    path: Path,
    card: Mapping[str, Any],
) -> list[str]:
    """Run one check; content that it cannot interpret is a problem to report, not an error."""
    try:
        return list(check(path, card))
    except StorageError:
        raise
    except ArtefactError as error:
        return [str(error)]
    except (PrivsynthError, *_DAMAGE):
        return [f"{CARD}: its {check.__name__.strip('_').replace('_', ' ')} cannot be read"]


def _entries(path: Path) -> Iterator[str]:
    """Report missing files, files that do not belong, and symbolic links."""
    names = set()
    for entry in sorted(path.iterdir()):
        names.add(entry.name)
        if entry.name not in NAMES:
            yield f"{entry.name!a}: does not belong to a release"
        elif not stat.S_ISREG(entry.lstat().st_mode):
            yield f"{entry.name}: is not a plain file"
        elif entry.name not in TABLES and entry.lstat().st_size > MAX_BYTES:
            yield f"{entry.name}: is larger than the limit of {MAX_BYTES:,} bytes"
    regular = CARD in names and stat.S_ISREG((path / CARD).lstat().st_mode)
    part = _part_of(path) if regular else None
    for name in PARTS[part]:
        if name not in names:
            yield f"{name}: is missing"
    for name in sorted(names & ({EVALUATION, REPORT, CROISSANT} - set(PARTS[part]))):
        yield f"{name}: does not belong to the {part} part of a release"
    tables = len(names & set(TABLES))
    if part == RESTRICTED and tables:
        yield "a table does not belong to the restricted part of a release"
    elif part != RESTRICTED and tables != 1:
        yield f"expected one table, {' or '.join(TABLES)}; there are {tables}"
    if len(names & {SIGNATURE, PUBLIC_KEY}) == 1:
        yield f"{SIGNATURE} and {PUBLIC_KEY} belong together; one of them is missing"


def _hashes(path: Path) -> Iterator[str]:
    try:
        listed = read_sums(bounded(path / SUMS, MAX_SMALL_BYTES))
    except ArtefactError as error:
        yield str(error)
        return
    present = {entry.name for entry in path.iterdir()} - {SUMS, SIGNATURE, PUBLIC_KEY}
    for name in sorted(present - listed.keys()):
        yield f"{name}: is not listed in {SUMS}"
    for name in sorted(listed.keys() - present):
        yield f"{name}: is listed in {SUMS} but missing"
    for name in sorted(present & listed.keys()):
        if sha256(path / name) != listed[name]:
            yield f"{name}: does not have the hash that {SUMS} lists"


def _signature(path: Path, key: str | Path | None) -> Iterator[str]:
    publisher = None if key is None else public_key(bounded(Path(key), MAX_SMALL_BYTES), key)
    if not (path / SIGNATURE).exists():
        if publisher is not None:
            yield "the release is not signed, but a key was given"
        return
    try:
        signer = public_key(bounded(path / PUBLIC_KEY, MAX_SMALL_BYTES), PUBLIC_KEY)
        signature = bytes.fromhex(bounded(path / SIGNATURE, MAX_SMALL_BYTES).decode("ascii"))
    except ValueError:  # UsageError and ArtefactError are subclasses
        yield f"{SIGNATURE} or {PUBLIC_KEY}: is damaged"
        return
    if publisher is not None and fingerprint(publisher) != fingerprint(signer):
        yield f"{SIGNATURE}: was made with another key than the one given"
    if not is_signed(signer, signature, bounded(path / SUMS, MAX_SMALL_BYTES)):
        yield f"{SIGNATURE}: does not sign this {SUMS}"


def _signed_by(path: Path, card: Mapping[str, Any]) -> Iterator[str]:
    signer = None
    if (path / PUBLIC_KEY).exists():
        signer = fingerprint(public_key(bounded(path / PUBLIC_KEY, MAX_SMALL_BYTES), PUBLIC_KEY))
    if card["signed_by"] != signer:
        yield f"{CARD}: names another signer than {PUBLIC_KEY}, or one is missing"


def _files(path: Path, card: Mapping[str, Any]) -> Iterator[str]:
    part = card.get("part")
    expected = set(PARTS[part]) - {CARD, SUMS}
    if part != RESTRICTED:
        expected.add(card["output"]["file"])
    if set(card["files"]) != expected:
        yield f"{CARD}: does not list the files of the release"
    for name in sorted(expected & set(card["files"]) & NAMES):
        if sha256(path / name) != card["files"][name]:
            yield f"{name}: does not have the hash that {CARD} lists"


def _table(path: Path, card: Mapping[str, Any]) -> Iterator[str]:
    output = card["output"]
    name = output["file"]
    if name not in TABLES or not (path / name).is_file():
        yield f"{CARD}: names a table that is not there"
        return
    if sha256(path / name) != output["sha256"] or (path / name).stat().st_size != output["bytes"]:
        yield f"{name}: is not the table that {CARD} describes"
        return
    try:
        # Cards from before escaping have no such entry.
        table = read(path / name, escape=bool(output.get("escaped", False)))
    except DataError:
        yield f"{name}: cannot be read as a table"
        return
    if table.n_rows != output["rows"]:
        yield f"{name}: has {table.n_rows:,} rows, and {CARD} says otherwise"
    if list(table.names) != [column["name"] for column in output["columns"]]:
        yield f"{name}: does not have the columns that {CARD} lists"


def _croissant(path: Path, card: Mapping[str, Any]) -> Iterator[str]:
    stored = parsed(bounded(path / CROISSANT), CROISSANT)
    attacked = card.get("part") != PUBLIC
    expected = croissant(card["output"], card["guarantee"]["words"], attacked=attacked)
    for entry in expected if _same_version(card) else ("conformsTo", "distribution", "recordSet"):
        if stored.get(entry) != expected[entry]:
            yield f"{CROISSANT}: its {entry!r} is not what follows from {CARD}"
    if _same_version(card) and stored.keys() != expected.keys():
        yield f"{CROISSANT}: has a part that privsynth does not write"


def _evaluation(path: Path, card: Mapping[str, Any]) -> Iterator[str]:
    stored = parsed(bounded(path / EVALUATION), EVALUATION)
    if card["evaluation"] == stored:
        return
    ours, theirs = (
        {score["name"]: score for score in state["scores"]}
        for state in (card["evaluation"], stored)
    )
    different = [n for n in sorted(ours.keys() | theirs.keys()) if ours.get(n) != theirs.get(n)]
    for name in different:
        yield f"{CARD}: score {name!r} is not that of {EVALUATION}"
    if not different:
        yield f"{CARD}: what it says of the evaluation is not in {EVALUATION}"


def _guarantee(_path: Path, card: Mapping[str, Any]) -> Iterator[str]:
    ledger = Ledger.from_dict(card["ledger"])
    if not ledger.events:
        yield f"{CARD}: its ledger is empty, but every fit queries the data"
    if ledger.to_dict() != card["ledger"]:
        yield f"{CARD}: its ledger does not add up to what it says"
    if guarantee_dict(ledger.guarantee()) != card["guarantee"]:
        yield f"{CARD}: its guarantee does not follow from its ledger"
    yield from (f"{CARD}: {problem}" for problem in misstated(ledger))


def _public_claims(_path: Path, card: Mapping[str, Any]) -> Iterator[str]:
    ledger = Ledger.from_dict(card["ledger"])
    if ledger.budget is None:
        yield f"{CARD}: belongs to a public part, but its ledger has no budget"
    if card["seeds"]["fit"] != card["model"]["seed"]:
        yield f"{CARD}: names two seeds of the fit"
    if card["training_rows"] != card["model"]["rows"]:
        yield f"{CARD}: names two counts of training rows"
    expected = public_claims(ledger.guarantee(), holds_rows=bool(card["model"]["holds_rows"]))
    for entry, value in expected.items() if _same_version(card) else ():
        if card[entry] != value:
            yield f"{CARD}: its {entry!r} do not follow from its ledger"
    for entry in sorted(_FROM_REAL_ROWS & card.keys()):
        yield f"{CARD}: {entry!r} does not belong to a public part"


def _claims(path: Path, card: Mapping[str, Any]) -> Iterator[str]:
    text = bounded(path / EVALUATION).decode("utf-8")
    evaluation = Evaluation.from_json(text, EVALUATION)
    if evaluation.about["rows"]["synthetic"] != card["output"]["rows"]:
        yield f"{EVALUATION}: is of a table with another number of rows"
    if evaluation.about.get("findings", card["findings"]) != card["findings"]:
        yield f"{EVALUATION}: has other findings than {CARD}"
    if evaluation.about.get("accepted_risk") != card.get("accepted_risk"):
        yield f"{CARD}: names another reason than {EVALUATION} for accepting the risk"
    if not card["passed"] and card.get("accepted_risk") is None:
        yield f"{CARD}: misses its policy, and nobody accepted the risk"
    if card["seeds"]["fit"] != card["model"]["seed"]:
        yield f"{CARD}: names two seeds of the fit"
    policy = Policy.from_dict(card["policy"])
    if card["policy"] != policy.to_dict():
        yield f"{CARD}: does not name its policy in full"
    inputs = card["inputs"]
    if not isinstance(inputs, Mapping) or not isinstance(inputs.get("sha256"), Mapping):
        yield f"{CARD}: does not say what its inputs were"
    holds_rows = bool(card["model"]["holds_rows"])
    guarantee = Ledger.from_dict(card["ledger"]).guarantee()
    expected = claims(evaluation, policy, guarantee, holds_rows=holds_rows)
    if not _same_version(card):  # the wording may change between versions, verdicts do not
        expected = _without_words(expected)
        card = {**card, **_without_words(card)}
    for entry, value in expected.items():
        if card[entry] != value:
            yield f"{CARD}: its {entry!r} do not follow from scores, policy and ledger"


def _without_words(card: Mapping[str, Any]) -> dict[str, Any]:
    findings = [{**finding, "words": ""} for finding in card["findings"]]
    return {"findings": findings, "passed": card["passed"]}


def _against_model(card: Mapping[str, Any], model: str | Path) -> Iterator[str]:
    fitted = load(model)
    described = {key: value for key, value in fitted.card.items() if key != "frame"}
    if card.get("model") != {"sha256": sha256(Path(model)), **described}:
        yield f"{CARD}: does not describe the model in {model}"
    if card.get("ledger") != fitted.ledger.to_dict():
        yield f"{CARD}: its ledger is not that of {model}"


def _same_version(card: Mapping[str, Any]) -> bool:
    return bool(card["versions"]["privsynth"] == version("privsynth"))


_FROM_REAL_ROWS = frozenset(
    {"evaluation", "policy", "findings", "passed", "warnings", "inputs", "accepted_risk"}
)
"""The entries of a card that were read off real rows, outside any guarantee."""
_CHECKS: Mapping[str | None, tuple[Callable[[Path, Mapping[str, Any]], Iterator[str]], ...]] = {
    None: (_files, _table, _croissant, _evaluation, _guarantee, _claims, _signed_by),
    PUBLIC: (_files, _table, _croissant, _guarantee, _public_claims, _signed_by),
    RESTRICTED: (_files, _evaluation, _guarantee, _claims, _signed_by),
}
"""The checks of each part of a release; None is a release in one part."""
