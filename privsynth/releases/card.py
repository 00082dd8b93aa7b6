"""The card of a release: what was done, what it proves, what attacks found, what is not covered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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


def make_card(
    model: FittedModel,
    *,
    model_sha256: str | None,
    output: Mapping[str, Any],
    evaluation: Evaluation,
    policy: Policy,
    seeds: Mapping[str, int],
    inputs: Mapping[str, str | Path | None],
    salt: str,
    digests: Mapping[str, str],
    signed_by: str | None,
) -> dict[str, Any]:
    """Put together all that is claimed of a release, as JSON values.

    Parameters
    ----------
    model : FittedModel
    model_sha256 : str, optional
        Of its file; None where it was never saved.
    output : mapping
        The synthetic table: file, rows, columns, bytes, sha256.
    evaluation : Evaluation
    policy : Policy
    seeds : mapping of str to int
        Of sampling and evaluation; that of fitting is the model's own.
    inputs : mapping of str to path or None
        ``"train"`` and ``"holdout"``; what is no single file has no hash.
    salt : str
        Hexadecimal; see `salted_hash`.
    digests : mapping of str to str
        sha256 of the other files of the release.
    signed_by : str, optional
        The fingerprint of the key that signs.
    """
    card = {
        **_facts(model, model_sha256, output, digests, signed_by),
        "inputs": {
            "how": "sha256 of the salt followed by the file; the salt is kept by who released it",
            "sha256": {
                role: None if path is None or not Path(path).is_file() else salted_hash(path, salt)
                for role, path in inputs.items()
            },
        },
        "seeds": {"fit": model.card.seed, **seeds},
        "evaluation": json.loads(evaluation.to_json()),
        "policy": policy.to_dict(),
        "accepted_risk": evaluation.about.get("accepted_risk"),
    }
    guarantee = model.ledger.guarantee()
    derived = claims(evaluation, policy, guarantee, holds_rows=bool(card["model"]["holds_rows"]))
    return dict(json.loads(json.dumps({**card, **derived}, allow_nan=False)))


def public_card(
    model: FittedModel,
    *,
    model_sha256: str | None,
    output: Mapping[str, Any],
    seed: int | None,
    digests: Mapping[str, str],
    signed_by: str | None,
) -> dict[str, Any]:
    """Put together what may be told beside a guarantee: nothing here was read off real rows.

    Parameters
    ----------
    model : FittedModel
        Was fitted under a budget.
    seed : int, optional
        Of sampling.
    model_sha256, output, digests, signed_by
        As in `make_card`.
    """
    guarantee = model.ledger.guarantee()
    card = {
        **_facts(model, model_sha256, output, digests, signed_by),
        "part": PUBLIC,
        "seeds": {"fit": model.card.seed, "sample": seed},
        "training_rows": model.card.rows,
        **public_claims(guarantee, holds_rows=model.card.holds_rows),
    }
    return dict(json.loads(json.dumps(card, allow_nan=False)))


def _facts(
    model: FittedModel,
    model_sha256: str | None,
    output: Mapping[str, Any],
    digests: Mapping[str, str],
    signed_by: str | None,
) -> dict[str, Any]:
    """Return what every card says: the model, its table, and what the ledger proves."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "versions": {**model.card.versions, "privsynth": version("privsynth")},
        "model": {
            "sha256": model_sha256,
            **{key: value for key, value in model.card.to_dict().items() if key != "frame"},
        },
        "output": dict(output),
        "files": dict(digests),
        "signed_by": signed_by,
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
        "model_is": _HELD if holds_rows else _LEARNT,
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
        "model_is": _HELD if holds_rows else _LEARNT,
        "not_covered": [*guarantee.not_covered, *_NOT_COVERED_IN_PUBLIC, _DECISION],
    }


def finding_dict(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON values."""
    return asdict(finding) | {"verdict": str(finding.verdict)}


def guarantee_dict(guarantee: Guarantee) -> dict[str, Any]:
    """Return a guarantee as JSON values, in which an infinite epsilon is null."""
    state = asdict(guarantee) | {"formal": guarantee.formal, "words": str(guarantee)}
    state["epsilon"] = guarantee.epsilon if math.isfinite(guarantee.epsilon) else None
    return dict(json.loads(json.dumps(state, allow_nan=False)))


def salted_hash(path: str | Path, salt: str) -> str:
    """Return the sha256 of a salt, followed by a file's bytes.

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
    The salt stays out of the release. With it, whoever knows all of the private table but one cell
    could try each value of that cell, and would know when they have it: the hash alone would undo
    a guarantee. The holder of the table shows file and salt to who is to check that they match.
    """
    try:
        start = bytes.fromhex(salt)
    except ValueError:
        start = b""
    if len(start) < 32:
        raise UsageError("expected the salt as 64 hexadecimal digits or more, drawn at random")
    return sha256(Path(path), start=start)


def _warnings(evaluation: Evaluation, holds_rows: bool) -> Sequence[str]:
    rows = evaluation.about.get("rows")
    held_out = int(rows.get("holdout", 0)) if isinstance(rows, Mapping) else 0
    lines = []
    if not held_out:
        lines.append(
            "no holdout was given: most attacks could not be tried, and what they would have found "
            "is not known"
        )
    elif held_out < HOLDOUT_ROWS:
        lines.append(
            f"the holdout has {held_out:,} rows, and {HOLDOUT_ROWS:,} are needed: small leaks "
            "could not have been seen"
        )
    if holds_rows:
        lines.append(_HELD)
    return lines


_LEARNT = "the model is parameters learnt from training rows; it holds none of them"
_HELD = (
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
