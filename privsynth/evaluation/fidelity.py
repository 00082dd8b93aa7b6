"""Fidelity: how close the synthetic table's distributions are to the real ones."""

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

MAX_ROWS = 50_000
MAX_PAIRS = 20_000
MAX_TRIPLES = 1_000
WORST = 10
GROUPS = 10
T_QUANTILE = 2.262  # Student's t, 97.5%, GROUPS - 1 degrees of freedom
MAX_QUALITY_COLUMNS = 60
QUALITY_WORK = 3_000_000  # rows x pairs of columns that SDMetrics processes in about 5 s

Clique = tuple[int, ...]
Codes = Sequence[np.ndarray]  # one int64 array per column

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
        Says which columns are compared, and their kinds.
    seed : int
        Determines the rows and triples drawn, the shuffle and the groups of the jackknife.
    progress, note : callable

    Returns
    -------
    tuple of Score
        1 - total variation distance (between 0 and 1), averaged over all columns, all pairs
        and all triples (20,000 and 1,000 at random if there are more), beside the same for the
        holdout; and the 2-way figure of the training table with each column shuffled
        independently. Intervals are 95%, by a delete-a-group jackknife over the rows of both tables
        (Kott, *Journal of Official Statistics* 17, 2001).

    Notes
    -----
    Continuous columns are cut at ten quantiles of the training table. Missing cells, levels
    unseen in training, and levels beyond the 50 most frequent have a bin each. The fewer rows
    a table has, the less it agrees, by chance alone; so the synthetic table, the holdout and
    the shuffled table are read at the same number of rows, that of the smallest.
    """
    columns = modelled(schema)
    names = [column.name for column in columns]
    rng = np.random.default_rng(seed)

    def sample(frame: pd.DataFrame, max_rows: int, table: str) -> pd.DataFrame:
        rows = subsample(frame, max_rows, seed, f"marginal agreement: {table}", note)
        return canonical(rows, columns)

    n_rows = _compared_rows(holdout, synthetic, MAX_ROWS)
    real = sample(train, MAX_ROWS, "train")
    bins = [learn(real[name]) for name in names]
    sizes = [column.size for column in bins]

    def encode(frame: pd.DataFrame) -> Codes:
        return [column.codes(frame[name]) for column, name in zip(bins, names, strict=True)]

    codes = encode(real)
    synthetic_codes = encode(sample(synthetic, n_rows, "synthetic"))
    holdout_codes = None if holdout is None else encode(sample(holdout, n_rows, "holdout"))
    shuffled = [rng.permutation(column)[:n_rows] for column in codes]
    groups = _groups(codes, rng), _groups(synthetic_codes, rng)

    scores = []
    for order, sets in _SETS.items():
        progress("marginal agreement", order - 1, len(_SETS))
        cliques = _cliques(len(names), order, rng)
        if not cliques:
            scores.append(_impossible(order, len(names)))
            continue
        agreement = agreements(codes, synthetic_codes, sizes, cliques)
        value = float(agreement.mean())
        margin = _margin(codes, synthetic_codes, sizes, cliques, groups)
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
                detail=_detail(names, cliques, agreement, None if order == 1 else WORST),
            )
        )
        if order == 2:
            scores.append(_shuffle_score(baseline))
    progress("marginal agreement", len(_SETS), len(_SETS))
    return tuple(scores)


def _compared_rows(holdout: pd.DataFrame | None, synthetic: pd.DataFrame, max_rows: int) -> int:
    """Return the number of rows at which the synthetic table and the holdout are compared."""
    return min(max_rows, len(synthetic), max_rows if holdout is None else len(holdout))


def agreements(
    train: Codes, other: Codes, sizes: Sequence[int], cliques: Iterable[Clique]
) -> np.ndarray:
    """Return 1 - total variation distance between two tables' marginals.

    Parameters
    ----------
    train, other : sequence of ndarray of int64
        One array of codes per column.
    sizes : sequence of int
        Number of codes of each column.
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
    """Return half the width of the mean's 95% interval; None if there are too few rows."""
    if min(len(group) for group in groups) < 2 * GROUPS:
        return None

    def shares_without(codes: Codes, group: np.ndarray, clique: Clique) -> np.ndarray:
        size = prod(sizes[i] for i in clique)
        cells = _cells(codes, sizes, clique) + size * group
        counts = np.bincount(cells, minlength=GROUPS * size).reshape(GROUPS, size)
        remaining = counts.sum(axis=0) - counts
        shares: np.ndarray = remaining / remaining.sum(axis=1, keepdims=True)
        return shares

    replicates = np.zeros(GROUPS)
    for clique in cliques:
        differences = shares_without(train, groups[0], clique)
        differences -= shares_without(other, groups[1], clique)
        replicates += 1 - np.abs(differences).sum(axis=1) / 2
    replicates /= len(cliques)
    return T_QUANTILE * float(replicates.std() * np.sqrt(GROUPS - 1))


def _cliques(columns: int, order: int, rng: np.random.Generator) -> list[Clique]:
    """Return all sets of columns, or some of them at random if there are very many."""
    limit = {2: MAX_PAIRS, 3: MAX_TRIPLES}.get(order, columns)
    if comb(columns, order) <= limit:
        return list(itertools.combinations(range(columns), order))
    sample: set[Clique] = set()
    while len(sample) < limit:
        sample.add(tuple(sorted(rng.choice(columns, order, replace=False).tolist())))
    return sorted(sample)


def _detail(
    names: Sequence[str], cliques: Sequence[Clique], agreement: np.ndarray, worst: int | None
) -> dict[str, float]:
    listed = range(len(cliques)) if worst is None else np.argsort(agreement, kind="stable")[:worst]
    return {" × ".join(names[c] for c in cliques[i]): float(agreement[i]) for i in listed}


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
        Tables of one schema. The quality report reads as many random rows as it can process in
        a few seconds, as many of the synthetic table as of the holdout, and at most 60 columns,
        the target and others at random; the diagnostic report reads everything.
    schema : Schema
    seed : int
        Determines the rows drawn. SDMetrics' own, unseeded subsampling is turned off.
    progress, note : callable

    Returns
    -------
    tuple of Score
        Both overall scores and those of their properties, between 0 and 1, with details by
        column if a property has them. A property that applies to no column is None.

    Notes
    -----
    Datetimes are passed as seconds: the metrics depend only on their order, or are linear in
    them. Personal and text columns are left out; of ids, only the uniqueness is scored.
    """
    try:
        need("SDMetrics' part of fidelity", "sdmetrics")
    except MissingExtraError as error:
        note(f"left out: {error}")
        return ()
    columns = modelled(schema)
    compared_columns = _quality_columns(columns, seed, note)
    ids = [column for column in schema if column.kind is Kind.ID]
    pairs = max(1, comb(len(compared_columns), 2))
    rows = min(MAX_ROWS, max(1_000, QUALITY_WORK // pairs))
    quality = _metadata(compared_columns)
    n_rows = _compared_rows(holdout, synthetic, rows)
    tables = {"train": train, "synthetic": synthetic}
    if holdout is not None:
        tables["holdout"] = holdout

    def draw(table: str) -> pd.DataFrame:
        max_rows = rows if table == "train" else n_rows
        return subsample(tables[table], max_rows, seed, f"SDMetrics quality: {table}", note)

    samples = {table: canonical(draw(table), compared_columns) for table in tables}
    full = {table: plain(frame, [*columns, *ids]) for table, frame in tables.items()}
    keys = [c.name for c in ids if train[c.name].notna().all() and train[c.name].is_unique]
    diagnostic = _metadata([*columns, *ids], keys)

    scores: dict[str, dict[str, _Reading]] = {}
    for step, table in enumerate(name for name in tables if name != "train"):
        progress("SDMetrics", step, len(tables) - 1)
        scores[table] = {
            **_report("QualityReport", *_numbered(samples["train"], samples[table]), quality),
            **_report("DiagnosticReport", full["train"], full[table], diagnostic),
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


def _quality_columns(columns: Sequence[Column], seed: int, note: Note) -> Sequence[Column]:
    """Return the columns whose pairs are compared: all, or the target and a random sample."""
    if len(columns) <= MAX_QUALITY_COLUMNS:
        return columns
    note(
        f"SDMetrics quality: {MAX_QUALITY_COLUMNS} of {len(columns):,} columns were drawn at "
        f"random (seed {seed})"
    )
    order = np.random.default_rng(seed).permutation(len(columns))
    chosen = sorted(order, key=lambda i: columns[i].role is not Role.TARGET)[:MAX_QUALITY_COLUMNS]
    return [columns[i] for i in sorted(chosen)]


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
    """Return both tables with levels as shared numbers, which SDMetrics counts faster."""
    import pandas as pd

    def column(series: pd.Series[Any], levels: pd.Index[Any] | None) -> np.ndarray:
        if levels is None:
            return series.to_numpy()
        numbers = np.append(levels.get_indexer(series.cat.categories), np.nan)
        return numbers[series.cat.codes.to_numpy()]

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
