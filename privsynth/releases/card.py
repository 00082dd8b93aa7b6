"""The card of a release: what was done, what is proven, what attacks found, what is not covered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from privsynth.artefact import FittedModel
from privsynth.errors import UsageError
from privsynth.evaluation import HOLDOUT_ROWS, Evaluation, Finding, Policy, apply_policy, passed
from privsynth.privacy import Guarantee
from privsynth.releases.files import PUBLIC, sha256

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Facts",
    "Release",
    "claims",
    "finding_dict",
    "guarantee_dict",
    "make_card",
    "public_card",
    "public_claims",
    "salted_hash",
]

FORMAT = "privsynth-card"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is published with a synthetic table, and what its claims are computed from.

    Parameters
    ----------
    model : FittedModel
        The model that drew the table.
    model_file : str or Path, optional
        Where the model is saved; None if it never was.
    evaluation : Evaluation
        The evaluation of the complete table.
    page : str
        The report as HTML.
    policy : Policy
        The card records its findings; whether to release a table that fails it is the caller's
        decision.
    seeds : mapping of str to int
        ``"sample"`` and ``"evaluate"``; the seed of the fit is in the model.
    inputs : mapping of str to path or None
        ``"train"`` and ``"holdout"``. The card keeps a salted hash of each that is a single file.
    salt : str
        64 hexadecimal digits, such as ``secrets.token_hex(32)``; see `salted_hash`. It is not
        written to the release, so show it to the user. The same salt gives the same bytes.
    sign : str or Path, optional
        An ed25519 private key in PEM.
    escape : bool
        Whether a ``'`` was written before each text that a spreadsheet would run as a formula.
        The card records it, since a reader of the table must know.
    """

    model: FittedModel
    model_file: str | Path | None
    evaluation: Evaluation
    page: str
    policy: Policy
    seeds: Mapping[str, int]
    inputs: Mapping[str, str | Path | None]
    salt: str
    sign: str | Path | None = None
    escape: bool = True


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts about the files of a release, for its card.

    Parameters
    ----------
    model_sha256 : str, optional
        sha256 of the model's file; None if it was never saved.
    output : mapping
        The synthetic table: file, rows, columns, bytes, sha256.
    signed_by : str, optional
        The fingerprint of the signing key.
    digests : mapping of str to str
        sha256 of every other file of the same part.
    """

    model_sha256: str | None
    output: Mapping[str, Any]
    signed_by: str | None
    digests: Mapping[str, str]


def make_card(release: Release, facts: Facts) -> dict[str, Any]:
    """Return the card with every claim of a release, as JSON values."""
    model, seeds, evaluation = release.model, release.seeds, release.evaluation
    card = {
        **_shared(model, facts),
        "inputs": {
            "how": "sha256 of the salt followed by the file; the salt is kept by who released it",
            "sha256": {
                role: None
                if path is None or not Path(path).is_file()
                else salted_hash(path, release.salt)
                for role, path in release.inputs.items()
            },
        },
        "seeds": {"fit": model.card.seed, **seeds},
        "evaluation": json.loads(evaluation.to_json()),
        "policy": release.policy.to_dict(),
        "accepted_risk": evaluation.about.get("accepted_risk"),
    }
    guarantee = model.ledger.guarantee()
    holds_rows = bool(card["model"]["holds_rows"])
    card |= claims(evaluation, release.policy, guarantee, holds_rows=holds_rows)
    return dict(json.loads(json.dumps(card, allow_nan=False)))


def public_card(release: Release, facts: Facts) -> dict[str, Any]:
    """Return the card that may stand beside a guarantee: nothing in it was read off real rows.

    The model must have been fitted under a budget.
    """
    model, seed = release.model, release.seeds.get("sample")
    guarantee = model.ledger.guarantee()
    card = {
        **_shared(model, facts),
        "part": PUBLIC,
        "seeds": {"fit": model.card.seed, "sample": seed},
        "training_rows": model.card.rows,
        **public_claims(guarantee, holds_rows=model.card.holds_rows),
    }
    return dict(json.loads(json.dumps(card, allow_nan=False)))


def _shared(model: FittedModel, facts: Facts) -> dict[str, Any]:
    """Return what every card says: the model, its table, and what the ledger proves."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "versions": {**model.card.versions, "privsynth": version("privsynth")},
        "model": {
            "sha256": facts.model_sha256,
            **{key: value for key, value in model.card.to_dict().items() if key != "frame"},
        },
        "output": dict(facts.output),
        "files": dict(facts.digests),
        "signed_by": facts.signed_by,
        "ledger": model.ledger.to_dict(),
        "guarantee": guarantee_dict(model.ledger.guarantee()),
    }


def claims(
    evaluation: Evaluation, policy: Policy, guarantee: Guarantee, *, holds_rows: bool
) -> dict[str, Any]:
    """Return the part of a card that follows from the rest of it.

    Returns
    -------
    dict
        ``"findings"``, ``"passed"``, ``"warnings"``, ``"model_is"``, ``"not_covered"``.
    """
    findings = apply_policy(evaluation, policy, claim=guarantee.epsilon)
    return {
        "findings": [finding_dict(finding) for finding in findings],
        "passed": passed(findings),
        "warnings": list(_warnings(evaluation, holds_rows)),
        "model_is": _IS_ROWS if holds_rows else _IS_PARAMETERS,
        "not_covered": [*guarantee.not_covered, *_NOT_COVERED],
    }


def public_claims(guarantee: Guarantee, *, holds_rows: bool) -> dict[str, Any]:
    """Return the part of a public card that follows from the rest of it.

    Returns
    -------
    dict
        ``"training_rows_are"``, ``"decision"``, ``"model_is"``, ``"not_covered"``.
    """
    return {
        "training_rows_are": _NOISY,
        "decision": _DECISION,
        "model_is": _IS_ROWS if holds_rows else _IS_PARAMETERS,
        "not_covered": [*guarantee.not_covered, *_NOT_COVERED_IN_PUBLIC, _DECISION],
    }


def finding_dict(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON values."""
    return asdict(finding) | {"verdict": str(finding.verdict)}


def guarantee_dict(guarantee: Guarantee) -> dict[str, Any]:
    """Return a guarantee as JSON values; an infinite epsilon is null."""
    state = asdict(guarantee) | {"formal": guarantee.formal, "words": str(guarantee)}
    state["epsilon"] = guarantee.epsilon if math.isfinite(guarantee.epsilon) else None
    return dict(json.loads(json.dumps(state, allow_nan=False)))


def salted_hash(path: str | Path, salt: str) -> str:
    """Return the sha256 of a salt followed by a file's bytes.

    Parameters
    ----------
    path : str or Path
    salt : str
        32 random bytes or more, in hexadecimal.

    Raises
    ------
    UsageError
        The salt is too short, or is not hexadecimal.
    StorageError
        The file cannot be read.

    Notes
    -----
    The salt stays out of the release. With it, anyone who knows all of the private table but one
    cell could try each value of that cell until the hash matches, which would undo a guarantee.
    The owner of the table shows the file and the salt to anyone who must check that they match.
    """
    try:
        prefix = bytes.fromhex(salt)
    except ValueError:
        prefix = b""
    if len(prefix) < 32:
        raise UsageError(
            "the salt is too short or not hexadecimal; give at least 64 hexadecimal digits, drawn "
            "at random"
        )
    return sha256(Path(path), prefix=prefix)


def _warnings(evaluation: Evaluation, holds_rows: bool) -> Sequence[str]:
    held_out, judged = evaluation.counted("holdout"), evaluation.unit or "rows"
    warnings = []
    if not held_out:
        warnings.append(
            "no holdout was given: most attacks could not be tried, and what they would have found "
            "is not known"
        )
    elif held_out < HOLDOUT_ROWS:
        warnings.append(
            f"the holdout has {held_out:,} {judged}, and {HOLDOUT_ROWS:,} are wanted: small leaks "
            "could not have been seen"
        )
    if holds_rows:
        warnings.append(_IS_ROWS)
    return warnings


_IS_PARAMETERS = "the model is parameters learnt from training rows; it holds none of them"
_IS_ROWS = (
    "the model IS training rows: each synthetic row is a training row or lies between training "
    "rows, so treat this table as you would treat the private one"
)
_NOISY = "a noisy count, which the guarantee covers; the exact one is not told here"
_DECISION = (
    "the decision to release this table read real rows, outside the guarantee: the table was "
    "attacked and judged against them before it was put here"
)
_NOT_COVERED_IN_PUBLIC = (
    "tuning: engines, settings and seeds that were tried before this one were compared by looking "
    "at the private rows, and are not accounted for",
    "repeated releases: each further table from the same rows adds to what can be learnt of them; "
    "this card speaks of one fit",
    "size: how many synthetic rows there are was chosen by who released them",
)
_NOT_COVERED = (
    "domain: names, kinds and levels of columns that were inferred were read from the private rows",
    "bounds: the least and greatest values that were inferred were read from the private rows",
    "tuning: engines, settings and seeds that were tried before this one were compared by looking "
    "at the private rows, and are not accounted for",
    "row count: the numbers of training and holdout rows are told exactly",
    "repeated releases: each further table from the same rows adds to what can be learnt of them; "
    "this card speaks of one fit",
    "evaluation: scores and verdicts were read from the private rows, outside any guarantee",
    "attacks: those that are named were tried; others may find what they did not",
    "persons with several rows: each row is judged by itself",
)
