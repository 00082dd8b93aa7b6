"""From a table to a fitted model under a privacy budget.

What is learnt comes from the accountant's noisy answers alone: no kind, level, bound, refusal or
message rests on the rows in any other way. Whatever could be wrong is checked on names and
declarations, before any noise is drawn.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from privsynth.artefact import FittedModel
from privsynth.coding import Codec, check_declared, declared_codec, spare, unit_texts
from privsynth.curator import PrivateCurator, discover, discovery_delta, frequent_values
from privsynth.engines import PRIVATE, PrivateModel, Progress, Synthesizer
from privsynth.errors import PrivsynthWarning, UsageError, did_you_mean
from privsynth.fitting.exact import versions
from privsynth.privacy import Accountant, Budget, Disclosure, Ledger, check_presence, reserve
from privsynth.schema import Schema, Source
from privsynth.table import Table

__all__ = ["bounded", "check_private", "fit_privately", "refitted", "set_aside"]

ENOUGH, CLEAR = 20, 3.0
"""Fewer rows of a class, as noisy counts tell, are warned of, or fewer times a count's noise."""
MOST_LOST = 0.5
"""So large a part of the rows of which a column tells nothing is warned of."""


def check_private(
    name: str,
    synthesizer: Synthesizer,
    budget: Budget | None,
    ledger: str | Path | None = None,
    new_ledger: bool = False,
) -> None:
    """Refuse an engine that cannot keep a promise, and what makes no sense without a budget.

    Raises
    ------
    UsageError
    """
    if not isinstance(budget, Budget | None):
        raise UsageError(
            f"the budget is given as {type(budget).__name__}; give one such as Budget(1.0)"
        )
    if budget is None and name in PRIVATE:
        raise UsageError(
            f"{name} works under a privacy budget alone; give one with --epsilon, or choose "
            "another engine, such as cart"
        )
    if budget is not None and not hasattr(synthesizer, "fit_privately"):
        raise UsageError(
            f"{name} carries no formal guarantee, and a budget is given; choose one of "
            f"{', '.join(PRIVATE)}, copula, or drop --epsilon"
        )
    if budget is None and ledger is not None:
        raise UsageError("a ledger counts what is spent under a budget; give --epsilon too")
    if new_ledger and ledger is None:
        raise UsageError("a new ledger was asked for, and none is named; name it with --ledger")
    if ledger is not None:
        check_presence(ledger, new_ledger)


def fit_privately(
    train: Table,
    name: str,
    synthesizer: Any,
    *,
    target: str | None,
    declared: Schema | None,
    budget: Budget,
    account: str | Path | None = None,
    new_account: bool = False,
    seed: int,
    stream: np.random.SeedSequence,
    minority: bool = False,
    holdout: float | None = None,
    progress: Progress | None = None,
    accountant: Callable[[Any, Ledger, float], Accountant] = Accountant,
) -> FittedModel:
    """Fit an engine to the rows of a table, under a privacy budget.

    Parameters
    ----------
    train : Table
    name : str
        The engine's name.
    synthesizer : PrivateSynthesizer
        Its recipe.
    target : str, optional
        The column to be predicted.
    declared : Schema
        Names every column, its kind and storage type, and its domain or that it is to be
        discovered.
    budget : Budget
    account : str or Path, optional
        The file in which the owner of the table counts what every fit may spend.
    new_account : bool
        Open that file, which must not be there yet.
    seed : int
        For the card; it governs what is done with the answers, never the noise.
    stream : numpy.random.SeedSequence
    minority : bool
        Whether the model is to draw the classes below the most frequent one alone.
    holdout : float, optional
        The share that was set aside, for the card.
    progress : callable, optional
    accountant : callable
        Makes the accountant from table, ledger and the delta for discovered levels.

    Returns
    -------
    FittedModel

    Raises
    ------
    UsageError
        The schema does not declare all that is needed, or names other columns than the table.
    BudgetExceeded
        The account does not allow the budget.
    """
    schema = check_declared(declared, train.names, train.name)
    if target is not None:
        schema = schema.with_target(target)
    if minority and not _classed(schema):
        raise UsageError(
            f"{train.name}: the minority is a class of the target, and the schema declares no "
            "target of few classes; name another with --target, or declare it categorical"
        )
    # All that can be refused is refused here: from the account's entry on, money is spent.
    synthesizer.check_codec(declared_codec(schema))
    delta = discovery_delta(schema, budget)
    rows = bounded(train, budget)
    if account is not None:
        what = f"{name} on {Path(train.name).name}"
        reserve(account, budget, delta, what, new=new_account)
    ledger = Ledger(budget=budget)
    asked = accountant(rows, ledger, delta)
    if progress is not None:
        progress("measuring under the budget", 0, 0)
    schema = discover(asked, schema)
    codec = declared_codec(schema, frequent_values(asked, schema))
    with threadpool_limits(1):
        model: PrivateModel = synthesizer.fit_privately(
            PrivateCurator(asked, codec), np.random.default_rng(stream), progress
        )
    shares = None if codec.target is None or not codec.classes else model.marginal(codec.target)
    cautions = [*_doubts(budget, model), *_cautions(codec, model, ledger)]
    for caution in cautions:
        warnings.warn(caution, PrivsynthWarning, stacklevel=4)
    card = {
        "engine": name,
        "settings": asdict(synthesizer),
        "seed": seed,
        "rows": max(round(model.n_rows), 0),
        "target": schema.target.name if schema.target else None,
        "declared": {column.name: sorted(column.stated) for column in declared or ()},
        "class_shares": None if shares is None else [float(share) for share in shares],
        "minority": minority,
        "holdout": holdout,
        "frame": train.frame,
        "disclosure": {"k": 1, "rules": list(Disclosure(1).rules[3:])},
        "holds_rows": model.holds_rows,
        "cautions": cautions,
        "versions": versions(),
    }
    return FittedModel(schema, codec, model, ledger, json.loads(json.dumps(card)))


def _classed(schema: Schema) -> bool:
    """Tell whether the target is one of few classes, as far as the schema says."""
    codec = declared_codec(schema)
    return codec.classes or (
        schema.target is not None
        and schema.target.source is Source.DISCOVERED
        and not schema.target.kind.continuous
        and not schema.target.kind.surrogate
    )


def _doubts(budget: Budget, model: PrivateModel) -> Iterator[str]:
    """Say where delta is too large for the noisy number of rows."""
    if model.n_rows >= 1 and budget.delta >= 1 / model.n_rows:
        yield (
            f"delta is {budget.delta:g}, and one in the number of rows is about "
            f"{1 / model.n_rows:.2g} by the noisy count: so large a delta allows that a whole row "
            "is told; fit with a smaller one"
        )


def _cautions(codec: Codec, model: PrivateModel, ledger: Ledger) -> Iterator[str]:
    """Say where noisy counts tell that little is known: of a class, or of a whole column."""
    noise = min((event.scale for event in ledger.events if event.query == "marginals"), default=0)
    for j, coding in enumerate(codec.codings):
        shares = model.marginal(j)
        if not 1 < len(shares) == coding.size:
            continue
        known = coding.size - spare(coding)
        if (lost := float(shares[known:].sum())) > MOST_LOST:
            yield (
                f"column {coding.name!r}: about {lost:.0%} of the rows are missing there, or hold "
                "what the schema does not declare; compare its levels, dtype and format"
            )
        if j == codec.target and codec.classes:
            if not known:
                yield f"column {coding.name!r}: no class was found that enough rows hold"
                continue
            rows = np.maximum(np.rint(model.n_rows * shares[:known]), 0)
            rarest = int(rows.argmin())
            if rows[rarest] < max(ENOUGH, CLEAR * noise):
                (label,) = coding.decode(np.array([rarest], np.int32), np.random.default_rng(0))
                yield (
                    f"column {coding.name!r}: class {label} has about {rows[rarest]:.0f} rows "
                    f"under the noise, which moves a count by {noise:.2g}; what is drawn of it "
                    "says little more than the other classes do"
                )


def refitted(fitted: FittedModel, name: str, synthesizer: Any) -> FittedModel:
    """Fit another engine to what was measured for a model: it costs no privacy.

    Parameters
    ----------
    fitted : FittedModel
        Was fitted under a budget by an engine of marginals.
    name : str
        The other engine's name.
    synthesizer : PrivateSynthesizer
        Its recipe.

    Raises
    ------
    UsageError
        The model holds no noisy marginals, or the engine cannot use them.
    """
    if fitted.card["engine"] not in PRIVATE or not hasattr(synthesizer, "refit"):
        raise UsageError(
            f"{name} cannot be fitted to a model of {fitted.card['engine']}; give a model that "
            f"one of {', '.join(PRIVATE)} made, and choose one of them"
        )
    with threadpool_limits(1):
        model = synthesizer.refit(fitted.model)
    shares = fitted.card["class_shares"]
    if shares is not None and fitted.codec.target is not None:
        shares = [float(share) for share in model.marginal(fitted.codec.target)]
    first = {"engine": fitted.card["engine"], "settings": fitted.card["settings"]}
    card = {
        "measured_by": first,  # of a model that was refitted itself, what it was fitted to
        **fitted.card,
        "engine": name,
        "settings": asdict(synthesizer),
        "class_shares": shares,
    }
    return FittedModel(
        fitted.schema, fitted.codec, model, fitted.ledger, json.loads(json.dumps(card))
    )


def bounded(table: Table, budget: Budget) -> Table:
    """Keep as many rows of each unit as the budget allows, chosen by chance that has no seed.

    Rows without a value in the unit's column are those of one unit.

    Raises
    ------
    UsageError
        There is no such column.
    """
    if budget.unit == "row":
        return table
    units = _numbered(table, budget.unit)
    order = np.random.default_rng().permutation(len(units))
    order = order[np.argsort(units[order], kind="stable")]
    first = np.flatnonzero(np.diff(units[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return table.take(np.sort(order[place < budget.rows_per_unit]))


def set_aside(table: Table, share: float | None, budget: Budget) -> tuple[Table, Table | None]:
    """Set each unit aside by a coin of its own, so that one unit decides on no other.

    Parameters
    ----------
    table : Table
    share : float or None
        The chance of a unit to be set aside.
    budget : Budget
        Names the unit.

    Returns
    -------
    train, holdout : Table
    """
    if share is None:
        return table, None
    if not 0 < share < 1:
        raise UsageError(f"a holdout share of {share} was given; give one between 0 and 1")
    units = np.arange(table.n_rows) if budget.unit == "row" else _numbered(table, budget.unit)
    coins = np.random.default_rng().random(int(units.max(initial=0)) + 1) < share
    aside = coins[units]
    return table.take(np.flatnonzero(~aside)), table.take(np.flatnonzero(aside))


def _numbered(table: Table, name: str) -> npt.NDArray[np.int64]:
    """Return each row's unit as a number; rows without a value are of one unit."""
    if name not in table.names:
        raise UsageError(
            f"the privacy unit is 'row' or the name of a column, and {name!r} is none"
            f"{did_you_mean(name, table.names)}"
        )
    column = table.to_arrow([name]).column(0).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()  # a dictionary may list a value twice
    values = column.dictionary_encode()
    texts = unit_texts(values.dictionary).dictionary_encode().indices.take(values.indices)
    return np.asarray(pc.fill_null(texts, len(values.dictionary))).astype(np.int64)
