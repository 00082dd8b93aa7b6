"""The content of the before-and-after picture, computed from the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.evaluation import canonical, modelled
from privsynth.minority.picture.plane import Plane, planes
from privsynth.report.plots.densities import Density, measure
from privsynth.schema import Column, Kind, Role

if TYPE_CHECKING:
    import pandas as pd

    from privsynth.schema import Schema

__all__ = ["BeforeAfter", "collect"]

POINTS = 3_000
"""Most points drawn of a group."""
PANELS = 9
"""Most columns whose densities are drawn."""
CLASSES = 12
"""Most bars of classes; the smallest classes share the last."""


@dataclass(frozen=True)
class BeforeAfter:
    """The content of the picture.

    Parameters
    ----------
    planes : tuple of Plane
        Each with three groups of points: real majority, real minority, synthetic minority.
    classes : tuple of (str, int, int)
        Each class with its real and its synthetic rows, the largest first.
    densities : tuple of Density
        The columns in which the real and the synthetic minority differ most.
    caption : str
        How the picture was made.
    """

    planes: tuple[Plane, ...]
    classes: tuple[tuple[str, int, int], ...]
    densities: tuple[Density, ...]
    caption: str


def collect(
    real: pd.DataFrame,
    real_labels: Any,
    synthetic: pd.DataFrame,
    synthetic_labels: Any,
    schema: Schema,
    majority: Any,
    seed: int,
) -> BeforeAfter:
    """Compute the content of a picture; parameters as in `before_after`."""
    columns = [
        column
        for column in modelled(schema)
        if column.role is not Role.TARGET and column.name in real and column.name in synthetic
    ]
    before, added = canonical(real, columns), canonical(synthetic, columns)
    real_texts, synthetic_texts, (majority_text,) = (
        _texts(values) for values in (real_labels, synthetic_labels, [majority])
    )
    in_minority = real_texts != majority_text
    minority = before[in_minority]
    rng = np.random.default_rng(seed)
    groups = (before[~in_minority], minority, added)
    subsets = tuple(_subset(group, rng) for group in groups)
    fitted = planes(before, subsets, seed) if columns and len(before) else ()
    densities = [measure(column, minority[column.name], added[column.name]) for column in columns]
    densities.sort(key=lambda density: -density.distance)
    return BeforeAfter(
        fitted,
        _classes(real_texts, synthetic_texts),
        tuple(densities[:PANELS]),
        _caption(
            [len(group) for group in groups], fitted, len(columns), len(set(real_texts)), seed
        ),
    )


def _texts(labels: Any) -> np.ndarray:
    import pandas as pd

    column = Column("label", Kind.CATEGORICAL, "string")
    frame = pd.DataFrame({"label": pd.Series(labels).reset_index(drop=True)})
    texts = canonical(frame, [column])["label"].astype(object)
    return texts.where(texts.notna(), "(missing)").to_numpy(dtype=object)


def _subset(group: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = min(POINTS, len(group))
    return group.iloc[np.sort(rng.choice(len(group), rows, replace=False))]


def _classes(real: np.ndarray, synthetic: np.ndarray) -> tuple[tuple[str, int, int], ...]:
    """Count the rows of each class; the smallest of many classes share one entry."""
    names, codes = np.unique(np.concatenate([real, synthetic]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(names)) for part in np.split(codes, [len(real)])]
    order = np.argsort(-counts[0], kind="stable")
    rows = [(str(names[i]), int(counts[0][i]), int(counts[1][i])) for i in order]
    if len(rows) > CLASSES:
        rest = rows[CLASSES - 1 :]
        others = f"({len(rest)} smaller classes)"
        rows = [*rows[: CLASSES - 1], (others, sum(r[1] for r in rest), sum(r[2] for r in rest))]
    return tuple(rows)


def _caption(
    sizes: list[int], fitted: tuple[Plane, ...], columns: int, classes: int, seed: int
) -> str:
    names = ("real majority", "real minority", "synthetic minority")
    group_counts = ", ".join(
        f"{min(POINTS, size):,} of {size:,} {name} rows"
        for size, name in zip(sizes, names, strict=True)
    )
    text = [f"Points: {group_counts}"]
    text.append(f", drawn at random (seed {seed}). " if max(sizes) > POINTS else ". ")
    if classes > 2:
        text.append("Minority: all classes but the largest. ")
    if fitted:
        text.append("PCA is fitted to the real rows (standardised numbers, scaled levels)")
        text.append("; UMAP to the points drawn. " if len(fitted) > 1 else ". ")
    if columns:
        text.append(
            f"Below, real and synthetic minority in {min(PANELS, columns)} of {columns} columns, "
            "those that differ most, as shares of the rows; 'apart' is the total variation "
            "distance, and the outermost bins hold what lies beyond."
        )
    return "".join(text).strip()
