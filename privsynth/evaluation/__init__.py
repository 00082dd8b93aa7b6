"""Evaluators: each yields scores about a synthetic table.

An evaluator is a function of (train, holdout or None, synthetic, schema) and gives a tuple of
scores. What it must tell the reader besides, it says through `note`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from privsynth.errors import DataError, known
from privsynth.evaluation.attacks.inference import attribute_inference
from privsynth.evaluation.attacks.linkability import linkability
from privsynth.evaluation.attacks.membership import membership
from privsynth.evaluation.attacks.replication import replication
from privsynth.evaluation.attacks.singling import singling_out
from privsynth.evaluation.diagnostic import exact_copies
from privsynth.evaluation.fidelity import marginal_agreement, sdmetrics_reports
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent
from privsynth.evaluation.overlap import check_overlap, without_holdout
from privsynth.evaluation.score import Evaluation, Score
from privsynth.evaluation.utility import train_synthetic_test_real
from privsynth.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ATTACKS", "EVALUATORS", "Evaluation", "Evaluator", "Score", "evaluate_frames"]


class Evaluator(Protocol):
    """A function that scores a synthetic table against the real ones."""

    def __call__(
        self,
        train: pd.DataFrame,
        holdout: pd.DataFrame | None,
        synthetic: pd.DataFrame,
        schema: Schema,
        *,
        seed: int = 0,
        progress: Progress = silent,
        note: Note = silent,
    ) -> tuple[Score, ...]:
        """Give the scores; `note` takes what a reader of them must know."""
        ...


EVALUATORS: tuple[Evaluator, ...] = (
    marginal_agreement,
    sdmetrics_reports,
    train_synthetic_test_real,
    exact_copies,
)

ATTACKS: tuple[Evaluator, ...] = (
    membership,
    replication,
    attribute_inference,
    linkability,
    singling_out,
)
"""What an attacker could find out; most of it needs a holdout."""

OUTSIDE = (
    "the figures here were read from the real rows: they lie outside any guarantee that the "
    "model carries, so share this report as you would share statistics of the real table"
)


def evaluate_frames(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    attacks: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a synthetic table with every evaluator.

    Parameters
    ----------
    train : pandas.DataFrame
        The real rows that the model learnt from.
    holdout : pandas.DataFrame or None
        Real rows that it did not learn from; without them there is no utility score.
    synthetic : pandas.DataFrame
    schema : Schema
        The columns of all three; its target is what utility predicts.
    seed : int
        Same seed, same tables, same versions: same scores.
    attacks : bool
        Whether the table is attacked, too.
    progress : callable, optional
        Called with a phase, the steps done and the steps in all.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        A table has no rows, its columns are not the schema's, or the holdout holds training rows.
    """
    tables = {"train": train, "synthetic": synthetic}
    if holdout is not None:
        tables["holdout"] = holdout
    for table, frame in tables.items():
        _check(frame, schema, table)
    columns = modelled(schema)
    if not columns:
        raise DataError(
            "the schema has only id, personal and text columns, and none of them is compared; "
            "give at least one column another kind"
        )
    notes = [OUTSIDE]
    for table, frame in tables.items():
        notes += _unreadable(frame, columns, table)
    train = without_holdout(train, holdout, schema, notes.append)
    check_overlap(train, holdout, schema, notes.append)
    tables["train"] = train
    scores: list[Score] = []
    for evaluator in (*EVALUATORS, *(ATTACKS if attacks else ())):
        scores += evaluator(
            train,
            holdout,
            synthetic,
            schema,
            seed=seed,
            progress=progress or silent,
            note=notes.append,
        )
    return Evaluation(tuple(scores), _about(tables, schema, columns, seed), tuple(notes))


def _check(frame: pd.DataFrame, schema: Schema, table: str) -> None:
    if not len(frame):
        raise DataError(f"the {table} table has no rows; at least one is wanted")
    given = [str(name) for name in frame.columns]
    for name in schema.names:
        if given.count(name) != 1:
            count = "no" if name not in given else "more than one"
            raise DataError(
                f"the {table} table has {count} column {name!r}, and one is wanted"
                f"{known(name, given)}"
            )
    for name in given:
        if name not in schema.names:
            raise DataError(
                f"the {table} table has a column {name!r} that the schema does not have; leave "
                f"it out{known(name, schema.names)}"
            )


def _unreadable(frame: pd.DataFrame, columns: Sequence[Column], table: str) -> list[str]:
    lost = canonical(frame, columns).isna().sum() - frame[[c.name for c in columns]].isna().sum()
    return [
        f"column {column.name!r} of the {table} table: {lost[column.name]:,} cells are no "
        f"{column.kind} and count as missing"
        for column in columns
        if lost[column.name] > 0
    ]


def _about(
    tables: Mapping[str, pd.DataFrame], schema: Schema, columns: Sequence[Column], seed: int
) -> dict[str, Any]:
    compared = [column.name for column in columns]
    return {
        "rows": {table: len(frame) for table, frame in tables.items()},
        "columns": compared,
        "left_out": [name for name in schema.names if name not in compared],
        "target": None if schema.target is None else schema.target.name,
        "seed": seed,
        "versions": {name: version(name) for name in ("privsynth", "sdmetrics", "scikit-learn")},
    }
