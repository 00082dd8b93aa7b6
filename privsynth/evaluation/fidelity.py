"""Fidelity: how near the synthetic table's distributions are to the real ones."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from math import comb, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.errors import MissingExtraError
from privsynth.evaluation.bins import learn
from privsynth.evaluation.frames import (
    Note,
    Progress,
    canonical,
    modelled,
    plain,
    silent,
    subsample,
)
from privsynth.evaluation.score import Score
from privsynth.packages import need
from privsynth.schema import Column, Kind, Role, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["agreements", "marginal_agreement", "sdmetrics_reports"]

ROWS = 50_000
PAIRS = 20_000
TRIPLES = 1_000
WORST = 10
GROUPS = 10
T_QUANTILE = 2.262  # Student's t, 97.5%, GROUPS - 1 degrees of freedom
QUALITY_COLUMNS = 60
QUALITY_WORK = 3_000_000  # rows x pairs of columns that SDMetrics gets through in about 5 s

Clique = tuple[int, ...]
Codes = Sequence[np.ndarray]  # one int64 array a column

_SETS = {1: "columns", 2: "pairs of columns", 3: "triples of columns"}


def marginal_agreement(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Score how well 1-, 2- and 3-way marginals agree with those of the training table.

    Parameters
    ----------
    train, holdout, synthetic : pandas.DataFrame
        Tables of one schema; at most 50,000 rows of each are read, drawn at random.
    schema : Schema
        Says which columns are compared, and of which kind they are.
    seed : int
        Governs which rows and triples are drawn, the shuffle and the jackknife's groups.
    progress, note : callable

    Returns
    -------
    tuple of Score
        1 - total variation distance (between 0 and 1), averaged over all columns, all pairs
        and all triples (20,000 and 1,000 at random where there are more), beside the same for the
        holdout; and the 2-way figure of the training table with each column shuffled by
        itself. Intervals are 95%, by a delete-a-group jackknife over the rows of both tables
        (Kott, *Journal of Official Statistics* 17, 2001).

    Notes
    -----
    Continuous columns are cut at ten quantiles of the training table; a missing cell, a level
    unseen in training, and all levels beyond the 50 most frequent are each a bin. The fewer
    rows a table has, the less it agrees, by chance alone: so the synthetic table, the holdout
    and the shuffled table are read at the same number of rows, the least that one of them has.
    """
    columns = modelled(schema)
    names = [column.name for column in columns]
    rng = np.random.default_rng(seed)

    def rows(frame: pd.DataFrame, most: int, table: str) -> pd.DataFrame:
        drawn = subsample(frame, most, seed, f"marginal agreement: {table}", note)
        return canonical(drawn, columns)

    alike = _alike(holdout, synthetic, ROWS)
    real = rows(train, ROWS, "train")
    bins = [learn(real[name]) for name in names]
    sizes = [column.size for column in bins]

    def encode(frame: pd.DataFrame) -> Codes:
        return [column.codes(frame[name]) for column, name in zip(bins, names, strict=True)]

    codes = encode(real)
    other = encode(rows(synthetic, alike, "synthetic"))
    holdout_codes = None if holdout is None else encode(rows(holdout, alike, "holdout"))
    shuffled = [rng.permutation(column)[:alike] for column in codes]
    groups = _groups(codes, rng), _groups(other, rng)

    scores = []
    for order, sets in _SETS.items():
        progress("marginal agreement", order - 1, len(_SETS))
        cliques = _cliques(len(names), order, rng)
        if not cliques:
            scores.append(_impossible(order, len(names)))
            continue
        each = agreements(codes, other, sizes, cliques)
        value = float(each.mean())
        margin = _margin(codes, other, sizes, cliques, groups)
        meaning = f"1 - total variation distance, mean over {len(cliques):,} {sets}"
        if len(cliques) < comb(len(names), order):
            meaning += f" drawn at random from {comb(len(names), order):,}"
        if order == 2:
            baseline = float(agreements(codes, shuffled, sizes, cliques).mean())
            side = "above" if value > baseline else "NOT above"
            meaning += f"; {side} the {baseline:.3f} of independently shuffled columns"
        scores.append(
            Score(
                "fidelity",
                f"marginal_agreement_{order}way",
                value,
                None if margin is None else max(0.0, value - margin),
                None if margin is None else min(1.0, value + margin),
                None
                if holdout_codes is None
                else float(agreements(codes, holdout_codes, sizes, cliques).mean()),
                meaning=meaning if order == 1 else f"{meaning}; the worst are listed",
                detail=_detail(names, cliques, each, None if order == 1 else WORST),
            )
        )
        if order == 2:
            scores.append(_shuffle_score(baseline))
    progress("marginal agreement", len(_SETS), len(_SETS))
    return tuple(scores)


def _alike(holdout: pd.DataFrame | None, synthetic: pd.DataFrame, most: int) -> int:
    """Return the number of rows at which the synthetic table and the holdout are compared."""
    return min(most, len(synthetic), most if holdout is None else len(holdout))


def agreements(
    train: Codes, other: Codes, sizes: Sequence[int], cliques: Iterable[Clique]
) -> np.ndarray:
    """Return 1 - total variation distance between two tables' marginals.

    Parameters
    ----------
    train, other : sequence of ndarray of int64
        One array of codes a column.
    sizes : sequence of int
        How many codes each column may take.
    cliques : iterable of tuple of int
        Positions of the columns of each marginal.

    Returns
    -------
    ndarray of float64, shape (cliques,)
    """

    def shares(codes: Codes, clique: Clique) -> np.ndarray:
        cells = _cells(codes, sizes, clique)
        return np.bincount(cells, minlength=prod(sizes[i] for i in clique)) / len(cells)

    return np.array(
        [1 - np.abs(shares(train, clique) - shares(other, clique)).sum() / 2 for clique in cliques]
    )


def _cells(codes: Codes, sizes: Sequence[int], clique: Clique) -> np.ndarray:
    cells = codes[clique[0]]
    for i in clique[1:]:
        cells = cells * sizes[i] + codes[i]
    return cells


def _groups(codes: Codes, rng: np.random.Generator) -> np.ndarray:
    groups: np.ndarray = rng.permutation(len(codes[0])) % GROUPS
    return groups


def _margin(
    train: Codes,
    other: Codes,
    sizes: Sequence[int],
    cliques: Sequence[Clique],
    groups: tuple[np.ndarray, np.ndarray],
) -> float | None:
    """Half a 95% interval of the mean agreement; None where there are too few rows for one."""
    if min(len(group) for group in groups) < 2 * GROUPS:
        return None

    def shares_without(codes: Codes, group: np.ndarray, clique: Clique) -> np.ndarray:
        size = prod(sizes[i] for i in clique)
        cells = _cells(codes, sizes, clique) + size * group
        counts = np.bincount(cells, minlength=GROUPS * size).reshape(GROUPS, size)
        left = counts.sum(axis=0) - counts
        shares: np.ndarray = left / left.sum(axis=1, keepdims=True)
        return shares

    replicates = np.zeros(GROUPS)
    for clique in cliques:
        apart = shares_without(train, groups[0], clique)
        apart -= shares_without(other, groups[1], clique)
        replicates += 1 - np.abs(apart).sum(axis=1) / 2
    replicates /= len(cliques)
    return T_QUANTILE * float(replicates.std() * np.sqrt(GROUPS - 1))


def _cliques(columns: int, order: int, rng: np.random.Generator) -> list[Clique]:
    """All sets of columns; where there are very many pairs or triples, some at random."""
    most = {2: PAIRS, 3: TRIPLES}.get(order, columns)
    if comb(columns, order) <= most:
        return list(itertools.combinations(range(columns), order))
    drawn: set[Clique] = set()
    while len(drawn) < most:
        drawn.add(tuple(sorted(rng.choice(columns, order, replace=False).tolist())))
    return sorted(drawn)


def _detail(
    names: Sequence[str], cliques: Sequence[Clique], each: np.ndarray, worst: int | None
) -> dict[str, float]:
    shown = range(len(cliques)) if worst is None else np.argsort(each, kind="stable")[:worst]
    return {" × ".join(names[c] for c in cliques[i]): float(each[i]) for i in shown}


def _impossible(order: int, columns: int) -> Score:
    return Score(
        "fidelity",
        f"marginal_agreement_{order}way",
        None,
        meaning=f"needs {order} modelled columns, and the table has {columns}",
    )


def _shuffle_score(value: float) -> Score:
    return Score(
        "fidelity",
        "marginal_agreement_2way_shuffled",
        value,
        better="neither",
        meaning="baseline: the training table with each column shuffled by itself; "
        "a table that is not above it has learnt no relation",
    )


def sdmetrics_reports(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Score by SDMetrics' quality and diagnostic reports.

    Parameters
    ----------
    train, holdout, synthetic : pandas.DataFrame
        Tables of one schema. The quality report reads as many rows, drawn at random, as it
        gets through in seconds, as many of the synthetic table as of the holdout, and at most 60
        columns, the target and others at random; the diagnostic report reads all.
    schema : Schema
    seed : int
        Governs which rows are drawn. SDMetrics' own, unseeded, subsampling is turned off.
    progress, note : callable

    Returns
    -------
    tuple of Score
        Both overall scores and those of their properties, between 0 and 1, by column where a
        property is. A property that no column has is None.

    Notes
    -----
    Datetimes are given as numbers of seconds: the metrics depend on their order alone, or
    are linear in them. Personal and text columns are left out; ids count for their uniqueness.
    """
    try:
        need("SDMetrics' part of fidelity", "sdmetrics")
    except MissingExtraError as error:
        note(f"left out: {error}")
        return ()
    columns = modelled(schema)
    some = _some_columns(columns, seed, note)
    ids = [column for column in schema if column.kind is Kind.ID]
    pairs = max(1, comb(len(some), 2))
    rows = min(ROWS, max(1_000, QUALITY_WORK // pairs))
    quality = _metadata(some)
    alike = _alike(holdout, synthetic, rows)
    tables = {"train": train, "synthetic": synthetic}
    if holdout is not None:
        tables["holdout"] = holdout

    def draw(table: str) -> pd.DataFrame:
        most = rows if table == "train" else alike
        return subsample(tables[table], most, seed, f"SDMetrics quality: {table}", note)

    drawn = {table: canonical(draw(table), some) for table in tables}
    whole = {table: plain(frame, [*columns, *ids]) for table, frame in tables.items()}
    keys = [c.name for c in ids if train[c.name].notna().all() and train[c.name].is_unique]
    diagnostic = _metadata([*columns, *ids], keys)

    scores: dict[str, dict[str, _Reading]] = {}
    for step, table in enumerate(name for name in tables if name != "train"):
        progress("SDMetrics", step, len(tables) - 1)
        scores[table] = {
            **_report("QualityReport", *_numbered(drawn["train"], drawn[table]), quality),
            **_report("DiagnosticReport", whole["train"], whole[table], diagnostic),
        }
    progress("SDMetrics", len(tables) - 1, len(tables) - 1)
    real = scores.get("holdout", {})
    return tuple(
        Score(
            "fidelity",
            name,
            value,
            real=real[name][0] if name in real else None,
            meaning=_MEANINGS[name] if value is not None else "no column that it can be read from",
            detail=detail,
        )
        for name, (value, detail) in scores["synthetic"].items()
    )


def _some_columns(columns: Sequence[Column], seed: int, note: Note) -> Sequence[Column]:
    """Return the columns whose pairs are compared: all, or the target and others at random."""
    if len(columns) <= QUALITY_COLUMNS:
        return columns
    note(
        f"SDMetrics quality: {QUALITY_COLUMNS} of {len(columns):,} columns were drawn at random "
        f"(seed {seed})"
    )
    order = np.random.default_rng(seed).permutation(len(columns))
    drawn = sorted(order, key=lambda i: columns[i].role is not Role.TARGET)[:QUALITY_COLUMNS]
    return [columns[i] for i in sorted(drawn)]


_Reading = tuple[float | None, dict[str, float]]

_MEANINGS = {
    "sdmetrics_quality": "SDMetrics QualityReport: mean of column shapes and column pair trends",
    "sdmetrics_column_shapes": "SDMetrics: similarity of single columns (KS and TV complement)",
    "sdmetrics_column_pair_trends": "SDMetrics: similarity of correlations and contingency "
    "tables; leaves out pairs that are weakly related in the real table",
    "sdmetrics_diagnostic": "SDMetrics DiagnosticReport: mean of its properties; below 1 is a "
    "defect, and 1 is no praise",
    "sdmetrics_data_validity": "SDMetrics: values lie in the real bounds and levels, "
    "keys are unique",
    "sdmetrics_data_structure": "SDMetrics: columns have the names and types of the real table's",
}


def _metadata(columns: Sequence[Column], keys: Sequence[str] = ()) -> dict[str, Any]:
    def sdtype(kind: Kind) -> str:
        if kind.continuous:
            return "numerical"
        return {Kind.ID: "id", Kind.BOOLEAN: "boolean"}.get(kind, "categorical")

    metadata: dict[str, Any] = {
        "columns": {column.name: {"sdtype": sdtype(column.kind)} for column in columns}
    }
    if keys:
        metadata |= {"primary_key": keys[0], "alternate_keys": list(keys[1:])}
    return metadata


def _numbered(train: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables with levels as numbers, alike in both, which SDMetrics counts faster."""
    import pandas as pd

    def column(mine: pd.Series[Any], levels: pd.Index[Any] | None) -> np.ndarray:
        if levels is None:
            return mine.to_numpy()
        numbers = np.append(levels.get_indexer(mine.cat.categories), np.nan)
        return numbers[mine.cat.codes.to_numpy()]

    levels = {
        name: None
        if train[name].dtype == np.float64
        else train[name].cat.categories.union(other[name].cat.categories)
        for name in train.columns
    }
    return (
        pd.DataFrame({name: column(train[name], levels[name]) for name in levels}),
        pd.DataFrame({name: column(other[name], levels[name]) for name in levels}),
    )


def _report(
    kind: str, train: pd.DataFrame, other: pd.DataFrame, metadata: Mapping[str, Any]
) -> dict[str, _Reading]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sdmetrics import reports

        report = getattr(reports, kind)()
        report.num_rows_subsample = None
        tables = {"tables": {"table": metadata}}
        report.generate({"table": train}, {"table": other}, tables, verbose=False)
        overall = f"sdmetrics_{kind.removesuffix('Report').lower()}"
        readings: dict[str, _Reading] = {overall: (_finite(report.get_score()), {})}
        for title, value in report.get_properties().itertuples(index=False):
            name = f"sdmetrics_{title.lower().replace(' ', '_')}"
            if name in _MEANINGS:
                readings[name] = (_finite(value), _by_column(report.get_details(title)))
    return readings


def _by_column(details: pd.DataFrame) -> dict[str, float]:
    if "Column" not in details:
        return {}
    scores = details.dropna(subset=["Score"])
    return {name: float(score) for name, score in scores[["Column", "Score"]].to_numpy()}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
