"""Evaluators: functions that score a synthetic table.

An evaluator is a function of (train, holdout or None, synthetic, schema) and returns a tuple of
scores. Anything else that a reader must know is passed to `note`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from privsynth.evaluation.attacks.inference import attribute_inference
from privsynth.evaluation.attacks.linkability import linkability
from privsynth.evaluation.attacks.membership import membership
from privsynth.evaluation.attacks.replication import replication
from privsynth.evaluation.attacks.singling import singling_out
from privsynth.evaluation.attacks.unit_membership import unit_membership
from privsynth.evaluation.attacks.unit_replication import unit_replication
from privsynth.evaluation.diagnostic import exact_copies
from privsynth.evaluation.fidelity import marginal_agreement, sdmetrics_reports
from privsynth.evaluation.frames import Note, Progress, modelled, silent
from privsynth.evaluation.score import Evaluation, Score
from privsynth.evaluation.tables import Tables
from privsynth.evaluation.utility import train_synthetic_test_real
from privsynth.packages import installed_version
from privsynth.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ATTACKS", "EVALUATORS", "Evaluator", "evaluate_frames", "evaluate_tables"]


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
        """Return the scores; call `note` with what a reader of them must know."""
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
"""Attacks on a synthetic table; most of them need a holdout."""

OF_UNITS: Mapping[Evaluator, Evaluator] = {
    membership: unit_membership,
    replication: unit_replication,
}
"""Attacks on units, by the attack on rows whose place they take where a column names units."""

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
        The same seed, tables and versions give the same scores.
    attacks : bool
        Whether to attack the table, too.
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
    tables = Tables.of(train, holdout, synthetic, schema)
    return evaluate_tables(tables, schema, seed=seed, attacks=attacks, progress=progress)


def evaluate_tables(
    tables: Tables,
    schema: Schema,
    *,
    seed: int = 0,
    attacks: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a synthetic table with every evaluator; see `evaluate_frames`."""
    notes = [OUTSIDE, *tables.notes]
    scores: list[Score] = []
    attempts = _attempts(tables, seed, notes.append) if attacks else ()
    for evaluator, read in (*((each, tables) for each in EVALUATORS), *attempts):
        scores += evaluator(
            read.train,
            read.holdout,
            read.synthetic,
            schema,
            seed=seed,
            progress=progress or silent,
            note=notes.append,
        )
    return Evaluation(tuple(scores), _about(tables, schema, seed), tuple(notes))


def _attempts(tables: Tables, seed: int, note: Note) -> tuple[tuple[Evaluator, Tables], ...]:
    """Return the attacks, each with the tables that it reads.

    Where a column names units, an attack that has no form for units is given one random row of
    each, so that its trials are independent and no unit is compared with itself.
    """
    if tables.units is None:
        return tuple((attack, tables) for attack in ATTACKS)
    note(
        f"attacks judge units of column {tables.units.column!r}; attribute inference, linkability "
        "and singling out read one random row of each"
    )
    single = tables.one_row_each(seed)
    return tuple(
        (OF_UNITS[attack], tables) if attack in OF_UNITS else (attack, single) for attack in ATTACKS
    )


def _about(tables: Tables, schema: Schema, seed: int) -> dict[str, Any]:
    columns = [column.name for column in modelled(schema)]
    units = tables.units
    return {
        "rows": {table: len(frame) for table, frame in tables.named.items()},
        **({} if units is None else {"unit": {"column": units.column, "units": units.counts}}),
        "columns": columns,
        "left_out": [name for name in schema.names if name not in columns],
        "target": None if schema.target is None else schema.target.name,
        "seed": seed,
        "versions": {
            name: installed
            for name in ("privsynth", "sdmetrics", "scikit-learn")
            if (installed := installed_version(name))
        },
    }
